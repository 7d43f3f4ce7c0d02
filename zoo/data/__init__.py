"""A dataset's name, file or folder -> images in memory, in three splits."""

from zoo.data.loading import load_dataset, load_for_model
from zoo.data.split import Dataset, Split

__all__ = ["Dataset", "Split", "load_dataset", "load_for_model"]
