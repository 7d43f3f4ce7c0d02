"""What stands beside models to say what could be reached: the data in the place of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoo.core.component import Selected
from zoo.metrics.base import Metric
from zoo.metrics.features.compared import Role
from zoo.metrics.records import Records
from zoo.metrics.run import Outcome, measure_reference
from zoo.metrics.scores import Scores
from zoo.metrics.subject import Subject


class References:
    """Figures of what metrics have as ``references``, once for all models of one basis."""

    def __init__(self, metrics: Sequence[Selected[Metric]], records: Records | None) -> None:
        self._metrics, self._records = metrics, records
        self._found: dict[tuple[int, Role, str], Outcome] = {}

    def measure(self, subject: Subject, outcomes: Sequence[Outcome]) -> None:
        """Those beside the figures of a subject, one for each metric."""
        for row, (metric, outcome) in enumerate(zip(self._metrics, outcomes, strict=True)):
            if outcome.measured is None:
                continue
            basis = outcome.measured.basis
            for role in metric.component.references:
                if (row, role, basis) not in self._found:
                    found = measure_reference(subject, metric, self._records, role, basis)
                    self._found[row, role, basis] = found

    def beside(self, scores: Scores) -> Scores:
        """The scores with those of the basis that is ranked as columns of their own."""
        roles = tuple(dict.fromkeys(role for _, role, _ in self._found))
        rows = [
            (*row, *(self._found.get((n, role, scores.basis(n)), Outcome()) for role in roles))
            for n, row in enumerate(scores.outcomes)
        ]
        return replace(scores, references=roles, outcomes=tuple(rows))
