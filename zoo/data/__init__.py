"""A dataset's name, file or folder -> examples in memory, in three splits."""

from zoo.data.loading import load_dataset, load_for_model
from zoo.data.split import Dataset, Examples, Split

__all__ = ["Dataset", "Examples", "Split", "load_dataset", "load_for_model"]
