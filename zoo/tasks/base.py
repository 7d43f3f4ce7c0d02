"""What a task is, and what it is measured against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from zoo.core.batch import Batch
from zoo.core.component import Component
from zoo.core.model import LatentVariableModel
from zoo.settings import Settings


class Task(Component, ABC):
    """Something that is done with a trained model; its settings are ``Config``.

    Models know nothing of tasks. A subclass is made as ``Task(config)``, and is called by the verb
    of its name. :mod:`zoo.testing` runs every registered one on every variant.
    """

    section = "tasks"

    def __init__(self, config: Settings) -> None:
        self.config = config

    @abstractmethod
    def check_model(self, model: LatentVariableModel) -> None:
        """Raise UnsupportedError where the task cannot be done with a model: why, and with which.

        Asked before any data are read.
        """

    @abstractmethod
    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """Do it on a few examples of a small model; AssertionError where what must hold does not.

        What must hold is the task's own contract, whatever the model: what is observed comes back
        unchanged, what is decoded equals what was encoded, and so on.
        """


class Baseline(Component, ABC):
    """A way to do a task without a model of zoo, that tables may say what one is worth.

    A task has a subclass of its own for those that it is measured against, which says how they are
    called; :attr:`task` names it. What a library computes is called, not written again.
    """

    section = "baselines"
    task: ClassVar[str]
    """The task that it does."""

    def __init__(self, config: Settings) -> None:
        self.config = config
