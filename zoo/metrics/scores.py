"""Several models under several metrics: a table, and how far each is from the best."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from zoo.core.component import Selected
from zoo.errors import ZooError
from zoo.evaluation.table import aligned
from zoo.metrics.base import Measured, Metric
from zoo.metrics.notes import notes_of
from zoo.metrics.run import Outcome
from zoo.metrics.shown import markdown, marked, placed, shown, titled

SURE = 2.0
"""From how many standard errors on a difference counts as one."""
DIFFERENCES = "differences to the best, paired where examples are"
RANKS = "places, and how many up or down from those of the benchmark's own examples"


@dataclass(frozen=True)
class Scores:
    """What every metric says of every model; ``print`` it for the table.

    ``outcomes`` has a row for each of ``metrics`` and a column for each of ``models``, then one for
    each of the ``references``, which say what could be reached and are not ranked. The best is
    marked with ``*``, and so are all that differ from it by at most two standard errors of the
    difference. Differences are paired where a metric has a value for each example.
    """

    title: str
    models: tuple[str, ...]
    metrics: tuple[Selected[Metric], ...]
    outcomes: tuple[tuple[Outcome, ...], ...]
    references: tuple[str, ...] = ()
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each column that is a mean over seeds the runs that it is the mean of."""
    shifts: tuple[str, ...] = ()
    """Of each row on which examples it is measured, empty for the benchmark's; none where all are.
    """

    def named(self, row: int) -> str:
        """The metric of a row, and what its examples are where they are not the benchmark's."""
        shift = self.shifts[row] if self.shifts else ""
        return f"{titled(self.metrics[row])}, {shift}" if shift else titled(self.metrics[row])

    @property
    def columns(self) -> tuple[str, ...]:
        """The models, then the references."""
        return *self.models, *self.references

    def of_models(self, metric: int) -> tuple[Outcome, ...]:
        """What a row says of the models, without the references."""
        return self.outcomes[metric][: len(self.models)]

    def differences(self, metric: int) -> list[Measured | None]:
        """Of each column to the best in a row; None where there is no figure, or none ranked.

        The error is that of the mean of the differences, example by example, or the root of the sum
        of squares of both errors where a metric has no values of examples. That of means over seeds
        is added in squares.
        """
        row, best = self._ranked(metric), self.best(metric)
        if best is None:
            return [None] * len(row)
        reference = row[best]
        assert reference is not None
        return [None if each is None else difference(each, reference) for each in row]

    def best(self, metric: int) -> int | None:
        """The model that a metric likes best; None where it says nothing of which is.

        Only those of the commonest basis are ranked: others have no common scale.
        """
        sign = {"lower": 1, "higher": -1}.get(self.metrics[metric].component.better)
        if sign is None:
            return None
        ranked = self._ranked(metric)
        known = [(sign * each.value, n) for n, each in enumerate(ranked) if each is not None]
        return min(known)[1] if known else None

    def basis(self, metric: int) -> str:
        """What the figures of a row that are ranked are of; see :class:`Measured`."""
        models = self.outcomes[metric][: len(self.models)]
        counts = Counter(each.measured.basis for each in models if each.measured)
        return counts.most_common(1)[0][0] if counts else ""

    def _ranked(self, metric: int) -> list[Measured | None]:
        """The figures of a row that have a common scale."""
        common = self.basis(metric)
        models = (outcome.measured for outcome in self.outcomes[metric][: len(self.models)])
        row = [each if each is not None and each.basis == common else None for each in models]
        return [*row, *[None] * len(self.references)]

    def ties(self, metric: int) -> list[bool]:
        """Which models are the best, or differ from it by at most two standard errors.

        No one is where there is but one to be ranked.
        """
        best, found = self.best(metric), self.differences(metric)
        if sum(each is not None for each in found) < 2:
            return [False] * len(found)
        return [
            place == best or (each is not None and abs(each.value) <= SURE * (each.stderr or 0))
            for place, each in enumerate(found)
        ]

    def __str__(self) -> str:
        parts = [self.title, aligned(self.table())]
        if differences := self.table_of_differences():
            parts += [DIFFERENCES, aligned(differences)]
        if ranks := self.table_of_ranks():
            parts += [RANKS, aligned(ranks)]
        return "\n\n".join([*parts, "\n".join(self.notes)])

    @property
    def notes(self) -> list[str]:
        """The convention, what models do not have, and what is not ranked: a line each."""
        return list(notes_of(self))

    @property
    def effort(self) -> str:
        """How many figures there are, how many were recorded, and how long the others took."""
        every = [outcome for row in self.outcomes for outcome in row if outcome.measured]
        reused = sum(outcome.reused for outcome in every)
        seconds = sum(outcome.seconds for outcome in every)
        return f"{len(every)} figures, {reused} of them from records, {seconds:.1f} s"

    def rows(self) -> Iterator[dict[str, Any]]:
        """A flat row for each column and metric, figures or the reason why there is none."""
        for row, metric in enumerate(self.metrics):
            differences, ties = self.differences(row), self.ties(row)
            for place, model in enumerate(self.columns):
                outcome, to_best = self.outcomes[row][place], differences[place]
                found = outcome.measured
                yield {
                    "model": model,
                    "reference": place >= len(self.models),
                    "metric": titled(metric),
                    "shift": self.shifts[row] if self.shifts else "",
                    "unit": metric.component.unit,
                    "better": metric.component.better,
                    "value": found and found.value,
                    "stderr": found and found.stderr,
                    "deviation": found and found.deviation,
                    "runs": found and found.runs,
                    "difference": to_best and to_best.value,
                    "difference_stderr": to_best and to_best.stderr,
                    "best": ties[place],
                    "basis": found and found.basis,
                    "refusal": outcome.refusal,
                    "reused": outcome.reused,
                    "seconds": round(outcome.seconds, 3),
                }

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame. Raises ZooError where pandas is not installed."""
        try:
            pandas = import_module("pandas")  # slow to import
        except ImportError as error:
            raise ZooError(
                "a frame is one of the library pandas, which is not installed: "
                "pip install pandas, or take rows() or to_csv()"
            ) from error
        return pandas.DataFrame(list(self.rows()))

    def to_json(self) -> str:
        """The rows, with the title and the notes."""
        content = {"title": self.title, "notes": self.notes, "rows": list(self.rows())}
        return json.dumps(content, indent=2)

    def to_csv(self) -> str:
        """The rows, a line each under a header."""
        rows, text = list(self.rows()), io.StringIO()
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The tables in Markdown, the notes under them."""
        parts = [markdown(self.table())]
        if differences := self.table_of_differences():
            parts += [f"{DIFFERENCES.capitalize()}:", markdown(differences)]
        if ranks := self.table_of_ranks():
            parts += [f"{RANKS.capitalize()}:", markdown(ranks)]
        return "\n\n".join([*parts, *(f"*{note}*" for note in self.notes)])

    def table(self) -> list[list[str]]:
        """The figures as text: a header of columns, then a row for each metric."""
        rows = [["", *self.columns]]
        for row, metric in enumerate(self.metrics):
            cells = [
                shown(outcome.measured) + ("*" if tied else "")
                for outcome, tied in zip(self.outcomes[row], self.ties(row), strict=True)
            ]
            rows.append([self.named(row) + marked(metric), *cells])
        return rows

    def table_of_differences(self) -> list[list[str]]:
        """Those to the best of each metric that ranks some, as text; empty where none does."""
        rows = []
        for row in range(len(self.metrics)):
            found, best = self.differences(row)[: len(self.models)], self.best(row)
            if best is not None and sum(each is not None for each in found) > 1:
                cells = ["best" if n == best else shown(each, "+") for n, each in enumerate(found)]
                rows.append([self.named(row), *cells])
        return [["", *self.models], *rows] if rows else []

    def ranks(self, metric: int) -> list[int | None]:
        """Which place each column has, from 1; None where it is not ranked."""
        sign = {"lower": 1, "higher": -1}.get(self.metrics[metric].component.better)
        found = [None if each is None else each.value for each in self._ranked(metric)]
        known = [value for value in found if value is not None]
        return [
            None
            if value is None or sign is None
            else 1 + sum(sign * other < sign * value for other in known)
            for value in found
        ]

    def table_of_ranks(self) -> list[list[str]]:
        """Places by shift, with how many places up or down; empty without shifts."""
        rows: list[list[str]] = []
        own: dict[Selected[Metric], list[int | None]] = {}
        for row in range(len(self.shifts)):
            ranks = self.ranks(row)[: len(self.models)]
            usual = own.setdefault(self.metrics[row], ranks)
            if sum(each is not None for each in ranks) > 1:
                pairs = zip(ranks, usual, strict=True)
                rows.append([self.named(row), *(placed(each, before) for each, before in pairs)])
        return [["", *self.models], *rows] if rows else []

    @property
    def unrecorded(self) -> str:
        """How many figures could not be kept, and why; empty where all could."""
        row = [each.unrecorded for row in self.outcomes for each in row if each.unrecorded]
        return f"{len(row)} figures could not be recorded: {row[0]}" if row else ""


def difference(one: Measured, other: Measured) -> Measured:
    """``one`` less ``other``, with its standard error: see :meth:`Scores.differences`.

    >>> import torch
    >>> a = Measured.of_each("a", torch.tensor([1.0, 2.0, 4.0]))
    >>> found = difference(a, Measured.of_each("b", torch.tensor([0.0, 1.0, 3.0])))
    >>> found.value, found.stderr
    (1.0, 0.0)
    """
    if one.values is not None and other.values is not None and len(one.values) == len(other.values):
        found = Measured.of_each("difference", one.values - other.values)
    else:
        known = one.stderr is not None and other.stderr is not None
        error = math.hypot(one.stderr or 0, other.stderr or 0) if known else None
        found = Measured(one.value - other.value, error)
    seeds = [(each.deviation or 0) / math.sqrt(each.runs) for each in (one, other)]
    return replace(found, stderr=math.hypot(found.stderr or 0, *seeds)) if any(seeds) else found
