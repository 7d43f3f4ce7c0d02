"""A dataset's name, file or folder -> examples in memory, in three splits."""

from zoo.data.dataset import Dataset
from zoo.data.examples import Examples
from zoo.data.loading import load_dataset, load_for_model
from zoo.data.split import Split
from zoo.data.vectors import VectorSplit

__all__ = ["Dataset", "Examples", "Split", "VectorSplit", "load_dataset", "load_for_model"]
