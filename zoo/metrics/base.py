"""What a metric is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor

from zoo.core.component import Component
from zoo.errors import UnsupportedError
from zoo.evaluation.results import Estimate, mean_of
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.metrics.subject import Subject


@dataclass(frozen=True)
class Measured:
    """A figure, and the values of the examples that it is the mean of, where it is one.

    ``values`` (N,) are float64, in the order of the examples, so that two models are compared
    example by example: the standard error of a paired difference is a fraction of that of each.
    """

    estimate: Estimate
    values: Tensor | None = None

    @classmethod
    def of_each(cls, name: str, values: Tensor, variance: Tensor | None = None) -> Measured:
        """The mean of ``values`` (N,); see :func:`zoo.evaluation.results.mean_of`."""
        values = values.detach().double().cpu()
        return cls(mean_of(name, values, variance), values)

    @classmethod
    def of_all(cls, value: float, stderr: float = float("nan")) -> Measured:
        """A figure of all examples together; its error, where it is known."""
        return cls(Estimate(value=float(value), stderr=float(stderr)))


class Metric(Component, ABC):
    """A number that says something of a model on some data; its settings are ``Config``.

    A subclass is made as ``Metric(config)``. ``version`` goes up whenever the same model and data
    get another figure than before: what is recorded of an older version is measured anew.
    """

    section = "metrics"
    version: ClassVar[int]
    unit: ClassVar[str]
    """In words, as "nats per example"; empty where it has none."""
    better: ClassVar[Literal["higher", "lower", "neither"]]
    """Which way a model is better, all else equal."""
    samples_matter: ClassVar[bool] = False
    """Whether the figure depends on the number of importance samples."""
    reads_training: ClassVar[bool] = False
    """Whether the figure depends on the training split too."""
    recorded: ClassVar[bool] = True
    """Whether what was measured once holds again: False of times, which the machine decides."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    def check(self, subject: Subject) -> None:
        """Raise UnsupportedError where it cannot be measured: why, and of what it can.

        Asked before anything is computed.
        """

    @abstractmethod
    def measure(self, subject: Subject) -> Measured:
        """The figure. The caller has seen to it that nothing keeps a graph or changes the model."""


def need_evidence(subject: Subject) -> None:
    """Raise UnsupportedError for a model without log p(x)."""
    if not subject.model.has_evidence:
        raise UnsupportedError(
            f"{type(subject.model).__name__} has no posterior density, so that log p(x) is not "
            "defined; it is of the variational variants, such as 'gaussian-vae'"
        )


def need_labels(subject: Subject) -> Tensor:
    """The class of each example, (N,). Raises UnsupportedError where there are none."""
    labels = subject.examples.labels
    if labels is None or labels.ndim != 1 or labels.is_floating_point():
        raise UnsupportedError(
            f"the examples of {subject.data.name} have no classes; choose a dataset that has, such "
            "as 'digits'"
        )
    return labels
