"""Metrics and figures as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.core.component import Selected
from zoo.metrics.base import Measured, Metric


def titled(metric: Selected[Metric]) -> str:
    """The name of a metric, with those of its settings that are not the registered ones."""
    usual = Selected.parse("metrics", metric.name).config.model_dump()
    own = {key: value for key, value in metric.config.model_dump().items() if value != usual[key]}
    said = ", ".join(f"{key} {value}" for key, value in own.items())
    return f"{metric.name} ({said})" if said else metric.name


def marked(metric: Selected[Metric]) -> str:
    """What stands after its title: an arrow to where models are better, and its unit."""
    cls = metric.component
    arrow = {"lower": " ↓", "higher": " ↑", "neither": ""}[cls.better]
    return arrow + (f" [{cls.unit}]" if cls.unit else "")


def placed(rank: int | None, usual: int | None) -> str:
    """A place among models, and how many it is better or worse than the usual one.

    >>> placed(1, 3), placed(2, 2), placed(3, 1), placed(None, 1)
    ('1 (+2)', '2', '3 (-2)', '-')
    """
    if rank is None:
        return "-"
    return f"{rank} ({usual - rank:+d})" if usual is not None and usual != rank else str(rank)


def shown(measured: Measured | None, sign: str = "") -> str:
    """A figure with two digits of its error, or four of its own.

    That of several runs is shown with their deviation.

    >>> shown(Measured(22.204, 0.21)), shown(Measured(105312.0)), shown(None)
    ('22.20 ± 0.21', '105,312', '-')
    """
    if measured is None:
        return "-"
    value = measured.value
    error = measured.stderr if measured.runs == 1 else measured.deviation
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


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table of cells, the first row its titles.

    >>> print(markdown([["", "a"], ["nll", "22.20"]]))
    |  | a |
    |:---|---:|
    | nll | 22.20 |
    """
    head, *rest = ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in rows]
    return "\n".join([head, "|:---" + "|---:" * (len(rows[0]) - 1) + "|", *rest])


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")
