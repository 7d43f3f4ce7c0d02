"""What a metric is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from zoo.core.component import Component
from zoo.data.labels import labelled_of
from zoo.data.text import TextSplit
from zoo.errors import UnsupportedError, ZooError
from zoo.evaluation.results import mean_of
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.metrics.features.compared import Role
    from zoo.metrics.subject import Subject


@dataclass(frozen=True)
class Measured:
    """A figure, its standard error where it is known, and the values that it is the mean of.

    ``values`` (N,) are float64, in the order of the examples, so that two models are compared
    example by example: the standard error of a paired difference is a fraction of that of each.
    ``monte_carlo`` is the error that draws alone make.
    """

    value: float
    stderr: float | None = None
    monte_carlo: float | None = None
    values: Tensor | None = None
    basis: str = ""
    """In words, what it is measured of, as a likelihood of a mass or a density: figures of another
    basis have no common scale with it."""
    deviation: float | None = None
    """Over runs of several seeds, where it is the mean of several."""
    runs: int = 1

    @classmethod
    def of_each(
        cls, name: str, values: Tensor, variance: Tensor | None = None, basis: str = ""
    ) -> Measured:
        """The mean of ``values`` (N,); see :func:`zoo.evaluation.results.mean_of`."""
        values = values.detach().double().cpu()
        mean = mean_of(name, values, variance)
        return cls(mean.value, mean.stderr, mean.monte_carlo, values, basis)

    @classmethod
    def of_all(cls, value: float, stderr: float | None = None) -> Measured:
        """A figure of all examples together. Raises ZooError where it is not finite."""
        if not math.isfinite(value):
            raise ZooError(
                f"a metric of all examples is {value}: the weights are damaged, or the training "
                "diverged"
            )
        return cls(float(value), None if stderr is None else float(stderr))

    @classmethod
    def with_jackknife(cls, scores: Sequence[float], basis: str = "") -> Measured:
        """A score with its error over examples: sqrt((g - 1)/g sum_i (s_i - mean)^2).

        The first of ``scores`` is that of all examples, s_i that without the i-th of g groups of
        them (Efron & Stein 1981).
        """
        whole, *parts = scores
        without = torch.tensor(parts, dtype=torch.float64)
        spread = (without - without.mean()).square().sum()
        error = ((len(parts) - 1) / len(parts) * spread).sqrt().item()
        return replace(cls.of_all(whole, error), basis=basis)


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

    references: ClassVar[tuple[Role, ...]] = ()
    """What may stand in the place of a model's samples, to say what could be reached."""
    recorded: ClassVar[bool] = True
    """Whether it is a figure of the model, and the same whenever it is measured: no time is."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    def check(self, subject: Subject) -> None:
        """Raise UnsupportedError where it cannot be measured: why, and of what it can.

        Asked before anything is computed.
        """

    def depends_on(self, subject: Subject) -> dict[str, str]:
        """What else its figure depends on, beside model, data, settings and protocol; by name.

        No model is loaded for it.
        """
        return {}

    @abstractmethod
    def measure(self, subject: Subject) -> Measured:
        """The figure. The caller has seen to it that nothing keeps a graph or changes the model."""

    def measure_as(self, subject: Subject, role: Role) -> Measured:
        """That of one of its ``references`` beside a subject that has a figure itself."""
        raise UnsupportedError(f"nothing can stand in the place of a model but {self.references}")


def need_evidence(subject: Subject) -> None:
    """Raise UnsupportedError for a model without log p(x)."""
    if not subject.model.has_evidence:
        raise UnsupportedError(
            f"{type(subject.model).__name__} has no posterior density, so that log p(x) is not "
            "defined; it is of the variational variants, such as 'gaussian-vae'"
        )


def need_text(subject: Subject) -> TextSplit:
    """The sentences. Raises UnsupportedError where model or examples are of another kind."""
    kind = subject.model.modality.name
    if kind == "text" and isinstance(subject.examples, TextSplit):
        return subject.examples
    raise UnsupportedError(
        f"it is of sentences, and the model reads {kind}, the examples of {subject.data.name} are "
        f"{subject.examples.modality}; choose a dataset and a model of text, such as "
        "'tang-couplets' and 'univae-tang'"
    )


def need_labels(subject: Subject) -> Tensor:
    """The class of each example, (N,), -1 where it is not known.

    Raises UnsupportedError where none is known.
    """
    labels = subject.examples.labels
    if labels is None or labelled_of(subject.examples) is None:
        raise UnsupportedError(
            f"the examples of {subject.data.name} have no classes; choose a dataset that has, such "
            "as 'digits'"
        )
    return labels


def need_factors(subject: Subject) -> Tensor:
    """The factors of each example, integers (N, L).

    Raises UnsupportedError where there are no two of them.
    """
    factors = subject.examples.labels
    if factors is None or factors.ndim != 2 or factors.is_floating_point() or factors.shape[1] < 2:
        raise UnsupportedError(
            f"the labels of {subject.data.name} are not factors, integers (N, L) with L at least "
            "2; choose a dataset whose are, such as 'sprites'"
        )
    return factors
