"""Fill in what is missing of an example, by what is observed of it."""

from zoo.tasks.impute.task import Impute

__all__ = ["Impute"]
