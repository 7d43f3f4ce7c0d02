"""A model as the page shows it: what is known of it, and the examples it is shown with."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.latent_space import Euclidean, LatentSpace, Sphere
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of
from zoo.data import Dataset, Examples
from zoo.data.examples import are_classes
from zoo.evaluation.evaluate import largest_batch
from zoo.registry import CheckpointSpec, packaged_root
from zoo.tasks.drawing import codes_of, parts_of
from zoo.training.run import RunDirectory

SHOWN = 10
"""Examples of a row."""
CODED = 1000
"""Examples whose codes are looked at."""
CURVES = packaged_root() / "checkpoints" / "curves"


class Point(NamedTuple):
    """The validation's ELBO after an epoch."""

    epoch: float
    elbo: float


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A model under the name that the page has for it.

    ``card`` is that of a released checkpoint, ``curve`` how its training went, ``data`` what it is
    shown with, as it reads them: both empty where they are not here.
    """

    name: str
    model: LatentVariableModel
    variant: str = ""
    card: CheckpointSpec | None = None
    curve: Sequence[Point] = ()
    data: Dataset | None = None
    split: str = "test"
    seed: int = 0

    @property
    def examples(self) -> Examples | None:
        """Those of the split, before they are binarised."""
        return None if self.data is None else getattr(self.data, self.split)

    @property
    def dataset(self) -> str:
        """The name of that with which it is shown, or else was trained; empty where neither is."""
        if self.data is not None:
            return self.data.name
        return "" if self.card is None else self.card.dataset

    @cached_property
    def batch(self) -> Batch | None:
        """The examples of a row: one of each class where there are classes, else the first."""
        if self.examples is None:
            return None
        return self._read(self.examples.select(representatives(self.examples)))

    @cached_property
    def many(self) -> Batch | None:
        """Examples at even distances, whose codes are looked at."""
        return None if self.examples is None else self._read(self.examples.evenly(CODED))

    @cached_property
    def codes(self) -> Tensor | None:
        """Those of ``many``, (N, D)."""
        return None if self.many is None else codes_of(self.model, self.many)

    @cached_property
    def kl(self) -> Tensor | None:
        """The mean KL of each dimension, the largest first, or of each latent group; (K,)."""
        if self.many is None or not self.model.has_evidence:
            return None
        every = [self.model.infer(part) for part in parts_of(self.many, largest_batch(self.model))]
        dims = [each.kl_by_dimension for each in every]
        known = [each for each in dims if each is not None]
        if len(known) == len(dims) and len(self.model.group_widths) == 1:
            return torch.cat(known).mean(0).sort(descending=True).values.cpu()
        return torch.cat([each.kl for each in every]).mean(0).cpu()

    @property
    def space(self) -> str:
        """Where its codes live, in a few characters."""
        groups = len(self.model.group_widths)
        name = described(self.model.space)
        return name if groups == 1 else f"{name} in {groups} groups"

    def _read(self, some: Examples) -> Batch:
        """As the model reads them, on its device."""
        fixed = some.fixed(self.model.input_kind, self.seed).to(device_of(self.model))
        return fixed.batch(torch.arange(len(fixed)), kind="real")


def representatives(examples: Examples) -> Tensor:
    """Places of the first of each of ten classes, and of the first of all where these are fewer.

    >>> from zoo.data import Split
    >>> images = torch.zeros(12, 1, 2, 2, dtype=torch.uint8)
    >>> representatives(Split(images, torch.tensor([1, 1, 0] * 4))).tolist()
    [2, 0, 1, 3, 4, 5, 6, 7, 8, 9]
    """
    labels, chosen = examples.labels, []
    if labels is not None and are_classes(labels):
        known = [each for each in torch.unique(labels).tolist() if each >= 0][:SHOWN]
        chosen = [int((labels == each).nonzero()[0]) for each in known]
    rest = [place for place in range(min(len(examples), 2 * SHOWN)) if place not in chosen]
    return torch.tensor([*chosen, *rest][:SHOWN])


def described(space: LatentSpace) -> str:
    """A space in a few characters.

    >>> described(Sphere(3)), described(Euclidean(16))
    ('S² in R³', 'R¹⁶')
    """
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    whole = "R" + str(space.dim).translate(raised)
    if isinstance(space, Sphere):
        return "S" + str(space.m - 1).translate(raised) + " in " + whole
    return whole if isinstance(space, Euclidean) else f"{type(space).__name__.lower()}, {whole}"


def released_curve(name: str) -> list[Point]:
    """How the training of a released checkpoint went; nothing where that is not packaged."""
    path = CURVES / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return points(list(csv.DictReader(file)))


def curve_of_run(folder: Path) -> list[Point]:
    """How a run went. Raises TrainingError for a record that zoo did not write."""
    return points(RunDirectory(folder).metrics.read())


def points(records: Sequence[Mapping[str, object]]) -> list[Point]:
    """Of the epochs that say their ELBO; those of a second run, as of fine-tuning, are later ones.

    >>> points([{"epoch": "1", "validation_elbo": "-90.5"}, {"epoch": 2}])
    [Point(epoch=1.0, elbo=-90.5)]
    >>> points([{"epoch": 9, "validation_elbo": -82}, {"epoch": 1, "validation_elbo": -81}])
    [Point(epoch=9.0, elbo=-82.0), Point(epoch=10.0, elbo=-81.0)]
    """
    found: list[Point] = []
    before = last = 0.0
    for record in records:
        epoch, elbo = (_number(record.get(key)) for key in ("epoch", "validation_elbo"))
        if epoch is None:
            continue
        if epoch <= last:
            before += last
        last = epoch
        if elbo is not None:
            found.append(Point(before + epoch, elbo))
    return found


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
