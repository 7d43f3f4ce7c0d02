"""A dataset's name, file or folder -> examples in memory, in three splits."""

from zoo.data.dataset import Dataset
from zoo.data.examples import Examples
from zoo.data.loading import Kept, load_dataset, load_for_model
from zoo.data.split import Split
from zoo.data.vectors import VectorSplit

__all__ = [
    "Dataset",
    "Examples",
    "Kept",
    "Split",
    "VectorSplit",
    "load_dataset",
    "load_for_model",
]
