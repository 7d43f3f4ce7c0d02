"""Recorded figures against recomputed ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

from zoo.errors import DataError
from zoo.evaluation.results import Estimate, Evaluation
from zoo.registry import MetricSpec
from zoo.settings import Settings

ROUNDING = 1e-5
"""Of a recorded figure and of float32, relatively."""
DIGITS = 6e-6
"""Half of a recorded figure's last digit."""
ERRORS = 4
"""Standard errors of a difference of two estimates, beyond which these disagree."""


class Check(Settings):
    """One figure as recorded and as recomputed; ``tolerance`` is what they may differ by."""

    metric: str
    recorded: float
    recomputed: float | None
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the recomputed figure lies within the tolerance of the recorded one."""
        if self.recomputed is None:
            return False
        return abs(self.recomputed - self.recorded) <= self.tolerance


class Verification(Settings):
    """All recorded figures of a checkpoint, recomputed from its file on the same examples."""

    name: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether there are figures and every one was reproduced."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def __str__(self) -> str:
        lines = [f"{self.name}: {'verified' if self.passed else 'NOT reproduced'}"]
        for check in self.checks:
            verdict = "ok" if check.passed else "outside its error"
            again = "-" if check.recomputed is None else f"{check.recomputed:.4f}"
            lines.append(
                f"  {check.metric:<16}recorded {check.recorded:.4f}  recomputed {again}  "
                f"(± {check.tolerance:.4f})  {verdict}"
            )
        return "\n".join(lines)


def verify_figures(
    name: str, recorded: Mapping[str, MetricSpec], evaluation: Evaluation
) -> Verification:
    """Hold every recorded figure against the evaluation.

    The examples are the same ones, so what may differ is the Monte Carlo noise of two estimates,
    four of their standard errors, and rounding. One whose noise is not known may differ by its
    standard error over examples; one without an error is a count and must agree exactly.

    Raises DataError when a figure was recorded on other examples.
    """
    for metric, spec in recorded.items():
        if spec.test_set not in (None, evaluation.test_set):
            raise DataError(
                f"{name}: {metric} was recorded on {spec.test_set!r}, but what was measured is "
                f"{evaluation.test_set!r}; use the data it was recorded on"
            )
    checks = tuple(
        Check(
            metric=metric,
            recorded=spec.value,
            recomputed=figure(evaluation, metric),
            tolerance=_tolerance(spec, evaluation.figure(metric)),
        )
        for metric, spec in recorded.items()
    )
    return Verification(name=name, checks=checks)


def _tolerance(spec: MetricSpec, recomputed: Estimate | float | None) -> float:
    if spec.stderr is None:
        return 0.0
    known = recomputed.monte_carlo if isinstance(recomputed, Estimate) else None
    noise = spec.stderr if known is None else ERRORS * math.sqrt(2) * known
    return max(noise, ROUNDING * abs(spec.value), DIGITS)


def figure(evaluation: Evaluation, metric: str) -> float | None:
    """The value of a metric by its name, or None where the evaluation has no such figure."""
    value = evaluation.figure(metric)
    if value is None:
        return None
    return value.value if isinstance(value, Estimate) else float(value)
