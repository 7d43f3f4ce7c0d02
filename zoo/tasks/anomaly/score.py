"""What a score of anomaly is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.component import Component
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.settings import Settings


class Score(Component, ABC):
    """A number for each example that is the higher, the less it belongs; in nats where it can be.

    A subclass is made as ``Score(config)`` and is called with a model in evaluation mode and
    examples as the model reads them.
    """

    section = "scores"

    def __init__(self, config: Settings) -> None:
        self.config = config

    @property
    def draws(self) -> int:
        """How many codes of each example are decoded at a time."""
        return 1

    def check_model(self, model: LatentVariableModel) -> None:
        """Raise UnsupportedError for a model that does not have it: why, and what to take."""

    @abstractmethod
    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        """The score of each example, (B,)."""


def check_evidence(model: LatentVariableModel) -> None:
    """Raise UnsupportedError for a model without log p(x)."""
    if not model.has_evidence:
        raise UnsupportedError(
            f"{type(model).__name__} has no posterior density, so its likelihood of x is not "
            "defined; choose the score 'reconstruction', or a variational variant such as "
            "'gaussian-vae'"
        )
