"""Lossless coding of examples with a trained model, by bits back."""

from zoo.tasks.compress.task import Compress

__all__ = ["Compress"]
