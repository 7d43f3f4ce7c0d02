"""Classes from few labels: what those of a few codes say of all others."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.condition import refuse_told_labels
from zoo.core.model import LatentVariableModel
from zoo.evaluation import few_label_accuracies, linear_probe, nearest_neighbours
from zoo.settings import Settings
from zoo.tasks.base import Task


class Accuracy(NamedTuple):
    """The share of test examples that are classified rightly, over draws of the labels.

    ``deviation`` is the standard deviation over the draws, None where nothing depends on them.
    """

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        """In per cent."""
        if self.deviation is None:
            return f"{100 * self.mean:.1f}"
        return f"{100 * self.mean:.1f} ± {100 * self.deviation:.1f}"


class Labelled(NamedTuple):
    """The codes (N, D) of examples, and their classes (N,)."""

    codes: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Labelling:
    """What few labels are worth: for each number of them, the accuracy of each classifier."""

    name: str
    examples: int
    draws: int
    accuracies: Mapping[int, Mapping[str, Accuracy]]

    def __str__(self) -> str:
        """A table."""
        names = list(next(iter(self.accuracies.values())))
        rows = [[str(n), *map(str, of.values())] for n, of in self.accuracies.items()]
        table = [["labels", *names], *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in [table[0], ["-" * width for width in widths], *rows]
        ]
        note = (
            f"accuracy in per cent on {self.examples:,} test examples, mean ± standard deviation "
            f"over {self.draws} draws of the labels"
        )
        return "\n".join([self.name, *lines, note])


class Label(Task):
    """Classify examples by the codes of a few whose class is known.

    Two classifiers of scikit-learn are fitted to labelled codes: the nearest ``neighbours``, by
    Euclidean distance, which orders unit vectors as the angle between them does, and a linear
    probe, logistic regression with its usual penalty on codes of unit variance under the prior
    (:meth:`LatentSpace.standardized`). The codes are those of a model that has seen no label
    (M1 of Kingma et al. 2014, arXiv:1406.5298). A model that infers classes itself is measured by
    its own classifier too.
    """

    class Config(Settings):
        """``labels`` that are known, as many of each class, and ``draws`` of which ones."""

        labels: list[int] = Field([100], min_length=1)
        draws: int = Field(20, ge=2, le=10_000)
        neighbours: int = Field(5, ge=1, le=1000)

    config: Config

    def check_model(self, model: LatentVariableModel) -> None:
        refuse_told_labels(model)

    def measure(
        self, train: Labelled, test: Labelled, seed: int = 0, own: float | None = None
    ) -> dict[int, dict[str, Accuracy]]:
        """The accuracy of each classifier for each number of labels, and the model's ``own``.

        Raises DataError for a class with too few examples.
        """
        found = {}
        for count in self.config.labels:
            found[count] = {
                name: _over_draws(
                    few_label_accuracies(
                        made, train, test, labels=count, repeats=self.config.draws, seed=seed
                    )
                )
                for name, made in self._classifiers(count).items()
            }
            if own is not None:
                found[count]["own classifier"] = Accuracy(own, None)
        return found

    def _classifiers(self, labels: int) -> dict[str, Callable[[], Any]]:
        """By name, how each is made for so many labels."""
        return {
            "neighbours": nearest_neighbours(min(self.config.neighbours, labels)),
            "linear probe": linear_probe(),
        }

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """A label on every code finds each again by itself; classes are as many as labels say."""
        codes = model.space.standardized(model.encode(batch)).detach()
        every = Labelled(codes, torch.arange(len(codes)))
        found = Label(Label.Config(labels=[len(codes)], draws=2, neighbours=1)).measure(
            every, every
        )
        right = found[len(codes)]["neighbours"]
        if right != Accuracy(1.0, 0.0):
            raise AssertionError(f"codes are not nearest to themselves: {right}")


def _over_draws(values: list[float]) -> Accuracy:
    return Accuracy(statistics.mean(values), statistics.stdev(values))
