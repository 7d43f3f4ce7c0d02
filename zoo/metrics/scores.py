"""Several models under several metrics: a table, and how far each is from the best."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zoo.core.component import Selected
from zoo.evaluation.table import aligned
from zoo.metrics.base import Measured, Metric
from zoo.metrics.run import Outcome

SURE = 2.0
"""From how many standard errors on a difference counts as one."""


@dataclass(frozen=True)
class Scores:
    """What every metric says of every model; ``print`` it for the table.

    ``outcomes`` has a row for each of ``metrics`` and a column for each of ``models``. The best is
    marked with ``*``, and so are all that differ from it by at most two standard errors of the
    difference. Differences are paired where a metric has a value for each example.
    """

    title: str
    models: tuple[str, ...]
    metrics: tuple[Selected[Metric], ...]
    outcomes: tuple[tuple[Outcome, ...], ...]

    def differences(self, metric: int) -> list[Measured | None]:
        """Of each model to the best in a row; None where there is no figure.

        The error is that of the mean of the differences, example by example, or the root of the sum
        of squares of both errors where a metric has no values of examples.
        """
        row, best = self._ranked(metric), self.best(metric)
        if best is None:
            return [None] * len(row)
        reference = row[best]
        assert reference is not None
        return [None if each is None else difference(each, reference) for each in row]

    def best(self, metric: int) -> int | None:
        """The model that a metric likes best; None where it says nothing of which is.

        Of likelihoods only those of the commonest basis are ranked: others have no common scale.
        """
        sign = {"lower": 1, "higher": -1}.get(self.metrics[metric].component.better)
        if sign is None:
            return None
        ranked = self._ranked(metric)
        known = [(sign * each.value, n) for n, each in enumerate(ranked) if each is not None]
        return min(known)[1] if known else None

    def _ranked(self, metric: int) -> list[Measured | None]:
        """The figures of a row that have a common scale."""
        row = [outcome.measured for outcome in self.outcomes[metric]]
        counts = Counter(each.basis for each in row if each is not None)
        (common, _), *_ = counts.most_common(1) or [("", 0)]
        return [each if each is not None and each.basis == common else None for each in row]

    def ties(self, metric: int) -> list[bool]:
        """Which models are the best, or differ from it by at most two standard errors."""
        best = self.best(metric)
        return [
            place == best or (each is not None and abs(each.value) <= SURE * (each.stderr or 0))
            for place, each in enumerate(self.differences(metric))
        ]

    def __str__(self) -> str:
        parts = [self.title, aligned(self._table())]
        if len(self.models) > 1 and (differences := self._differences()):
            parts += ["differences to the best, paired where examples are", aligned(differences)]
        return "\n\n".join([*parts, "\n".join(self.notes())]).rstrip()

    @property
    def effort(self) -> str:
        """How many figures there are, how many were recorded, and how long the others took."""
        every = [outcome for row in self.outcomes for outcome in row if outcome.measured]
        reused = sum(outcome.reused for outcome in every)
        seconds = sum(outcome.seconds for outcome in every)
        return f"{len(every)} figures, {reused} of them from records, {seconds:.1f} s"

    def rows(self) -> Iterator[dict[str, Any]]:
        """A flat row for each model and metric, figures or the reason why there is none.

        ``pandas.DataFrame(scores.rows())`` makes a frame of them.
        """
        for row, metric in enumerate(self.metrics):
            differences, ties = self.differences(row), self.ties(row)
            for place, model in enumerate(self.models):
                outcome, to_best = self.outcomes[row][place], differences[place]
                found = outcome.measured
                yield {
                    "model": model,
                    "metric": titled(metric),
                    "unit": metric.component.unit,
                    "better": metric.component.better,
                    "value": found and found.value,
                    "stderr": found and found.stderr,
                    "difference": to_best and to_best.value,
                    "difference_stderr": to_best and to_best.stderr,
                    "best": ties[place],
                    "refusal": outcome.refusal,
                    "reused": outcome.reused,
                    "seconds": round(outcome.seconds, 3),
                }

    def to_json(self) -> str:
        """The rows, with the title."""
        return json.dumps({"title": self.title, "rows": list(self.rows())}, indent=2)

    def to_csv(self) -> str:
        """The rows, a line each under a header."""
        rows, text = list(self.rows()), io.StringIO()
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The table in Markdown."""
        head, *rows = self._table()
        lines = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
        return "\n".join([lines[0], "|:---" + "|---:" * (len(head) - 1) + "|", *lines[1:]])

    def _table(self) -> list[list[str]]:
        rows = [["", *self.models]]
        for row, metric in enumerate(self.metrics):
            ties, several = self.ties(row), len(self.models) > 1
            cells = [
                shown(outcome.measured) + ("*" if several and tied else "")
                for outcome, tied in zip(self.outcomes[row], ties, strict=True)
            ]
            rows.append([labelled(metric), *cells])
        return rows

    def _differences(self) -> list[list[str]]:
        rows = []
        for row, metric in enumerate(self.metrics):
            found, best = self.differences(row), self.best(row)
            if best is not None and sum(each is not None for each in found) > 1:
                cells = ["best" if n == best else shown(each, "+") for n, each in enumerate(found)]
                rows.append([titled(metric), *cells])
        return [["", *self.models], *rows] if rows else []

    def notes(self) -> Iterator[str]:
        """What the table leaves out, and why."""
        for (model, refusal), names in self._refusals().items():
            yield f"{model} has no {', '.join(names)}: {refusal}"
        for model, basis in self._of_another_basis().items():
            yield f"{model} is not ranked with the others: its p(x) is a {basis}"
        if self.unrecorded:
            yield self.unrecorded

    @property
    def unrecorded(self) -> str:
        """How many figures could not be kept, and why; empty where all could."""
        row = [each.unrecorded for row in self.outcomes for each in row if each.unrecorded]
        return f"{len(row)} figures could not be recorded: {row[0]}" if row else ""

    def _of_another_basis(self) -> dict[str, str]:
        """What the likelihoods of the models are that have no common scale with the others'."""
        found: dict[str, str] = {}
        for row in range(len(self.metrics)):
            ranked = self._ranked(row)
            for model, outcome, kept in zip(self.models, self.outcomes[row], ranked, strict=True):
                if outcome.measured is not None and kept is None:
                    found[model] = outcome.measured.basis
        return found

    def _refusals(self) -> dict[tuple[str, str], list[str]]:
        """Of each model and reason the metrics that it does not have."""
        found: dict[tuple[str, str], list[str]] = {}
        for metric, row in zip(self.metrics, self.outcomes, strict=True):
            for model, outcome in zip(self.models, row, strict=True):
                if outcome.refusal is not None:
                    found.setdefault((model, outcome.refusal), []).append(titled(metric))
        return found


def difference(one: Measured, other: Measured) -> Measured:
    """``one`` less ``other``, with its standard error: see :meth:`Scores.differences`.

    >>> import torch
    >>> a = Measured.of_each("a", torch.tensor([1.0, 2.0, 4.0]))
    >>> found = difference(a, Measured.of_each("b", torch.tensor([0.0, 1.0, 3.0])))
    >>> found.value, found.stderr
    (1.0, 0.0)
    """
    if one.values is not None and other.values is not None and len(one.values) == len(other.values):
        return Measured.of_each("difference", one.values - other.values)
    known = one.stderr is not None and other.stderr is not None
    error = math.hypot(one.stderr or 0, other.stderr or 0) if known else None
    return Measured(one.value - other.value, error)


def titled(metric: Selected[Metric]) -> str:
    """The name of a metric, with those of its settings that are not the registered ones."""
    usual = Selected.parse("metrics", metric.name).config.model_dump()
    own = {key: value for key, value in metric.config.model_dump().items() if value != usual[key]}
    said = ", ".join(f"{key} {value}" for key, value in own.items())
    return f"{metric.name} ({said})" if said else metric.name


def labelled(metric: Selected[Metric]) -> str:
    """Its title, its unit, and an arrow to where models are better."""
    cls = metric.component
    arrow = {"lower": " ↓", "higher": " ↑", "neither": ""}[cls.better]
    return titled(metric) + arrow + (f" [{cls.unit}]" if cls.unit else "")


def shown(measured: Measured | None, sign: str = "") -> str:
    """A figure with two digits of its error, or four of its own."""
    if measured is None:
        return "-"
    value, error = measured.value, measured.stderr
    if not error:  # not known, or a count
        return f"{value:{sign},.4g}" if abs(value) < 10_000 else f"{value:{sign},.0f}"
    digits = decimals(error)
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}"


def decimals(error: float) -> int:
    """After the point, for two digits of an error.

    >>> decimals(0.0213), decimals(12.0), decimals(0.0)
    (3, 0, 4)
    """
    return 4 if error <= 0 else max(0, 1 - math.floor(math.log10(error)))
