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
                yield {
                    "point": point,
                    "column": column,
                    "ours": ours and ours.value,
                    "error": ours and ours.stderr,
                    "seeds": len(self.seeds(point)),
                    "paper": theirs and theirs.value,
                    "deviation": theirs and theirs.stderr,
                }

    def __str__(self) -> str:
        return "\n\n".join([self.title, aligned(self._table()), "\n".join(self._notes())])

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
        return "\n".join([markdown(self._table()), "", *(f"- {note}" for note in self._notes())])

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
                row.append(_cell(self.ours(point, name), column))
                if name in claimed:
                    row.append(_cell(self.theirs(point, name), column))
            rows.append(row)
        return rows

    def _notes(self) -> Iterator[str]:
        """How to read the table, one sentence or two a line."""
        study, paper = self.study, self.study.paper
        yield f"ours: {OF_SEVERAL}; {Path(study.dataset).name}/{study.split}"
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


def _cell(found: Figure | None, column: Column) -> str:
    if found is None:
        return "-"
    said = f"{found.value:.{column.digits}f}"
    return said if found.stderr is None else f"{said} ± {found.stderr:.{column.digits}f}"
