"""What a classifier makes of the codes: how well they tell classes that the model never saw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from zoo.core.condition import refuse_told_labels
from zoo.data import Examples
from zoo.data.labels import labelled_of
from zoo.errors import UnsupportedError
from zoo.evaluation.representation import few_label_hits, linear_probe, nearest_neighbours
from zoo.metrics.base import Measured, Metric, need_labels
from zoo.metrics.subject import Subject
from zoo.settings import Settings


class _OfFewLabels(Metric):
    """A classifier is fitted to labelled codes of the training split and judged on the others.

    Codes have unit variance under the prior (:meth:`LatentSpace.standardized`). The value of an
    example is the share of the draws of labels in which it is classified rightly.
    """

    version = 1
    unit = "share of the examples"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    reads_training = True

    class Config(Settings):
        """``labels`` that are known, as many of each class, and ``draws`` of which ones."""

        labels: Annotated[int, Field(ge=1)] | Literal["all"] = 100
        draws: int = Field(20, ge=2, le=10_000)

    config: Config

    def check(self, subject: Subject) -> None:
        refuse_told_labels(subject.model)
        need_labels(subject)
        if labelled_of(subject.data.train) is None:
            raise UnsupportedError(
                f"no class of the training split of {subject.data.name} is known; choose a dataset "
                "where some are, such as 'digits'"
            )

    @abstractmethod
    def classifier(self, labels: int) -> Callable[[], Any]:
        """How scikit-learn's is made, for so many labels."""

    def measure(self, subject: Subject) -> Measured:
        train = labelled(subject, subject.train, subject.train_codes)
        test = labelled(subject, subject.examples, subject.codes)
        few, draws = self.config.labels, self.config.draws
        labels, draws = (len(train[0]), 1) if few == "all" else (few, draws)
        hits = few_label_hits(
            self.classifier(labels), train, test, labels=labels, repeats=draws, seed=subject.seed
        )  # (R, M)
        return _over_draws(hits.double())


class NearestNeighbours(_OfFewLabels):
    """The class of most of the nearest labelled codes (Cover & Hart 1967).

    Its figure is that of :func:`zoo.evaluation.knn_accuracy`. Euclidean distances order unit
    vectors as the angles between them do.
    """

    class Config(_OfFewLabels.Config):
        """``neighbours`` that vote."""

        neighbours: int = Field(5, ge=1, le=1000)

    config: Config

    def classifier(self, labels: int) -> Callable[[], Any]:
        return nearest_neighbours(min(self.config.neighbours, labels))


class LinearProbe(_OfFewLabels):
    """p(y|z) = softmax(Wz + b) (Alain & Bengio 2016), with scikit-learn's usual penalty on W."""

    def classifier(self, labels: int) -> Callable[[], Any]:
        return linear_probe()


def labelled(subject: Subject, examples: Examples, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The codes (N, D) of the examples whose class is known, and the classes (N,); on the CPU."""
    known, labels = labelled_of(examples), examples.labels
    assert known is not None and labels is not None  # as the checks have found
    return subject.model.space.standardized(codes).cpu()[known], labels.cpu()[known]


def _over_draws(hits: Tensor) -> Measured:
    """The mean of (R, M), with the error that the draws of the labels make as Monte Carlo error."""
    measured = Measured.of_each("accuracy", hits.mean(0))
    if len(hits) == 1:
        return measured
    return replace(measured, monte_carlo=(hits.mean(1).std() / len(hits) ** 0.5).item())
