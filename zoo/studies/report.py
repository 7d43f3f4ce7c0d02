"""What a study came to: each model's figures, over its seeds, beside what the paper says."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from zoo.evaluation.table import aligned
from zoo.metrics.shown import markdown
from zoo.studies.results import Figure, Result
from zoo.studies.study import Column, Study, Trial

OF_SEVERAL = "of several seeds their mean ± the deviation between them, of one ± its standard error"


@dataclass(frozen=True)
class StudyReport:
    """A study's results under its protocol; ``print`` it for the table.

    ``missing`` are the runs that are not there, each a point and a seed, and ``command`` what
    trains them.
    """

    study: Study
    results: tuple[Result, ...]
    missing: tuple[tuple[str, int], ...] = ()
    command: str = ""

    @classmethod
    def of(
        cls, study: Study, trials: Iterable[Trial], results: Iterable[Result], command: str = ""
    ) -> Self:
        """What is there of the trials: results of another protocol are not theirs."""
        wanted = {(trial.point, trial.seed): trial.protocol for trial in trials}
        found = {each.of: each for each in results if wanted.get(each.of) == each.protocol}
        absent = tuple(of for of in wanted if of not in found)
        return cls(study, tuple(found.values()), absent, command)

    def ours(self, point: str, column: str) -> Figure | None:
        """The mean over seeds with their deviation, or of one seed its figure and error."""
        times = self.study.columns[column].times
        found = [
            result.figures[column]
            for result in self.results
            if result.point == point and column in result.figures
        ]
        if not found:
            return None
        values = [times * figure.value for figure in found]
        if len(values) > 1:
            return Figure(value=statistics.mean(values), stderr=statistics.stdev(values))
        error = found[0].stderr
        return Figure(value=values[0], stderr=None if error is None else abs(times) * error)

    def difference(self, point: str, column: str) -> Figure | None:
        """From the baseline to a point: the mean over the seeds of both, and its standard error.

        None without a baseline, for itself, and without a seed that both have; of one seed there is
        no error.
        """
        times = self.study.columns[column].times
        base, own = self._by_seed(self.study.baseline, column), self._by_seed(point, column)
        if point == self.study.baseline or not (both := base.keys() & own.keys()):
            return None
        apart = [times * (own[seed] - base[seed]) for seed in sorted(both)]
        error = statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else None
        return Figure(value=statistics.mean(apart), stderr=error)

    def _by_seed(self, point: str | None, column: str) -> dict[int, float]:
        found = (result for result in self.results if result.point == point)
        return {each.seed: each.figures[column].value for each in found if column in each.figures}

    def theirs(self, point: str, column: str) -> Figure | None:
        """The paper's figure, and its deviation where it says one."""
        claim = self.study.points[point].claims.get(column)
        if claim is None:
            return None
        value, deviation = claim if isinstance(claim, tuple) else (claim, None)
        return Figure(value=value, stderr=deviation)

    def seeds(self, point: str) -> list[int]:
        """Those that are there."""
        return sorted({result.seed for result in self.results if result.point == point})

    def rows(self) -> Iterator[dict[str, Any]]:
        """A flat row for each point and column."""
        for point in self.study.points:
            for column in self.study.columns:
                ours, theirs = self.ours(point, column), self.theirs(point, column)
                apart = self.difference(point, column)
                yield {
                    "point": point,
                    "column": column,
                    "ours": ours and ours.value,
                    "error": ours and ours.stderr,
                    "seeds": len(self.seeds(point)),
                    "paper": theirs and theirs.value,
                    "deviation": theirs and theirs.stderr,
                    "difference": apart and apart.value,
                    "difference_error": apart and apart.stderr,
                }

    def __str__(self) -> str:
        parts = [self.title, aligned(self._table())]
        if self.study.baseline is not None:
            parts += [self._held_against, aligned(self._table_of_differences())]
        return "\n\n".join([*parts, "\n".join(self._notes())])

    @property
    def title(self) -> str:
        """The study's, and where in the paper it stands."""
        study, paper = self.study, self.study.paper
        if paper is None:
            return study.title
        number = f", arXiv:{paper.arxiv}" if paper.arxiv else ""
        return f"{study.title} ({paper.authors} {paper.year}{number}, {paper.where})"

    def to_markdown(self) -> str:
        """The table in Markdown, with its notes."""
        parts = [markdown(self._table()), ""]
        if self.study.baseline is not None:
            parts += [self._held_against, "", markdown(self._table_of_differences()), ""]
        return "\n".join([*parts, *(f"- {note}" for note in self._notes())])

    def to_json(self) -> str:
        """The rows, with the title and the notes."""
        said = {"title": self.title, "rows": list(self.rows()), "notes": list(self._notes())}
        return json.dumps(said, indent=2)

    def _table(self) -> list[list[str]]:
        columns = self.study.columns
        claimed = [c for c in columns if any(c in p.claims for p in self.study.points.values())]
        head = ["", "seeds"]
        for title in columns:
            head += [title, *["paper"] * (title in claimed)]
        rows = [head]
        for point in self.study.points:
            row = [point, str(len(self.seeds(point)))]
            for name, column in columns.items():
                row.append(cell(self.ours(point, name), column))
                if name in claimed:
                    row.append(cell(self.theirs(point, name), column))
            rows.append(row)
        return rows

    @property
    def _held_against(self) -> str:
        return f"differences to {self.study.baseline}, of the same seeds"

    def _table_of_differences(self) -> list[list[str]]:
        columns = self.study.columns
        others = [point for point in self.study.points if point != self.study.baseline]
        cells = (
            [cell(self.difference(point, name), column, "+") for name, column in columns.items()]
            for point in others
        )
        rows = ([point, *row] for point, row in zip(others, cells, strict=True))
        return [["", *columns], *rows]

    def _notes(self) -> Iterator[str]:
        """How to read the table, one sentence or two a line."""
        study, paper = self.study, self.study.paper
        yield f"ours: {OF_SEVERAL}; {Path(study.dataset).name}/{study.split}"
        if study.baseline is not None:
            yield "differences: their mean over the seeds ± its standard error"
        if paper is not None and paper.runs is not None:
            yield f"paper: means of {paper.runs} runs ± their deviation, where it says one"
        for name, column in study.columns.items():
            if column.doubt:
                yield f"{name}: {column.doubt}"
        yield from study.departures
        if self.missing:
            names = ", ".join(f"{point} (seed {seed})" for point, seed in self.missing[:6])
            more = f" and {len(self.missing) - 6} more" * (len(self.missing) > 6)
            yield f"not there yet: {names}{more}; `{self.command}` trains and measures them"


def cell(found: Figure | None, column: Column, sign: str = "") -> str:
    """A figure with its error, in the digits of its column; "+" is a sign to show always."""
    if found is None:
        return "-"
    value = f"{found.value:{sign}.{column.digits}f}"
    return value if found.stderr is None else f"{value} ± {found.stderr:.{column.digits}f}"
