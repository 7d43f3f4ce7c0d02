"""Contenders, what they do alike, and the figures that come of their rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from benchmarks._load import Load

PRODUCTS = "products"
"""The contender that does nothing but matrix products: the peak that others reach a part of."""


@dataclass(frozen=True)
class Contender:
    """``seconds`` measures once: of a repetition, in which ``work`` things are done."""

    seconds: Callable[[], float]
    work: float | None = 1.0
    """None for a yardstick, whose speed is compared in operations alone."""
    operations: float | None = None
    """Of products and convolutions in a repetition, a multiplication and an addition being two."""


@dataclass(frozen=True)
class Case:
    """What its contenders do alike. The first that does ``unit`` is what the others are beside."""

    about: Mapping[str, Any]
    contenders: Mapping[str, Contender]
    unit: str = "repetitions"

    def __str__(self) -> str:
        return describe(self.about)

    @property
    def first(self) -> str:
        """The contender that the speeds of the others are divided by."""
        return next(name for name, each in self.contenders.items() if each.work)


def describe(about: Mapping[str, Any]) -> str:
    """In words, numbers with their names: "kl, width 6 to 129, batch 128"."""
    return ", ".join(_named(*each) for each in about.items())


def _named(key: str, value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    listed = " and ".join(map(str, values)) if len(values) < 3 else f"{values[0]} to {values[-1]}"
    return listed if isinstance(values[0], str) else f"{key} {listed}"


@dataclass(frozen=True)
class Sample:
    """One measurement, and the foreign load beside it."""

    seconds: float
    load: Load


Rounds = Sequence[Mapping[str, Sample]]
"""Of one case: by contender."""


@dataclass(frozen=True)
class Figure:
    """Over the undisturbed rounds, or over all, then marked with a "!"."""

    median: float
    least: float
    most: float
    mark: str = ""

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.least)} to {short(self.most)}){self.mark}"


def short(value: float) -> str:
    """Three digits of a number, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def over_rounds(rounds: Rounds, names: Sequence[str], value: Callable[..., float]) -> Figure:
    """Of ``value`` of the seconds of those contenders in one round."""
    found = []
    for each in rounds:
        samples = [each[name] for name in names]
        disturbed = any(sample.load.disturbed for sample in samples)
        found.append((value(*(sample.seconds for sample in samples)), disturbed))
    kept = [number for number, disturbed in found if not disturbed]
    shown = kept or [number for number, _ in found]
    return Figure(statistics.median(shown), min(shown), max(shown), "" if kept else "!")


def speed_ratio(case: Case, rounds: Rounds, own: str, other: str) -> Figure:
    """How many times as fast as another a contender works."""
    share = (case.contenders[own].work or 1) / (case.contenders[other].work or 1)
    return over_rounds(rounds, (own, other), lambda s, reference: share * reference / s)


def figures_of(case: Case, rounds: Rounds, name: str) -> dict[str, Any]:
    """What is known of a contender in one case."""
    own, peak = case.contenders[name], case.contenders.get(PRODUCTS)
    work, operations = own.work, own.operations
    found: dict[str, Any] = {"milliseconds": over_rounds(rounds, [name], lambda s: 1e3 * s)}
    if work:
        found["per_second"] = over_rounds(rounds, [name], lambda s: work / s)
        if name != case.first:
            found["ratio"] = speed_ratio(case, rounds, name, case.first)
    if operations:
        found["gigaflops"] = over_rounds(rounds, [name], lambda s: operations / s / 1e9)
    if work and operations and peak and peak.operations:
        share = operations / peak.operations
        found["of_peak"] = over_rounds(rounds, (name, PRODUCTS), lambda s, p: share * p / s)
        found["megaflop"] = operations / work / 1e6
    return found


def summarise(case: Case, rounds: Rounds) -> dict[str, Any]:
    """A case for other programs: its figures, and every measurement that they are of."""
    return {
        "case": dict(case.about),
        "unit": case.unit,
        "contenders": {name: figures_of(case, rounds, name) for name in case.contenders},
        "rounds": rounds,
    }


@dataclass(frozen=True)
class Bar:
    """What a contender must reach beside a reference, in the cases that ``where`` covers.

    ``contender`` is a pattern: of several that it fits, the fastest counts. The median is judged.
    """

    contender: str
    reference: str
    limit: float
    is_cost: bool = False
    """Whether ``limit`` is the most of the reference's time, else the least of its speed."""
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        kind = "at most {:g} x the time of" if self.is_cost else "at least {:g} x as fast as"
        where = f" ({describe(self.where)})" if self.where else ""
        return f"{self.contender} {kind.format(self.limit)} {self.reference}{where}"

    def covers(self, case: Case) -> bool:
        """Whether it says anything about this case."""
        return all(case.about.get(key) in allowed for key, allowed in self.where.items())

    def judge(self, cases: Iterable[tuple[Case, Rounds]]) -> list[dict[str, Any]]:
        """How each case that it covers fares; none where a contender is missing."""
        rows = []
        for case, rounds in cases:
            names = [name for name in case.contenders if fnmatch(name, self.contender)]
            if names and self.reference in case.contenders and self.covers(case):
                rows.append(self._fastest(case, rounds, names))
        return rows

    def _fastest(self, case: Case, rounds: Rounds, names: Sequence[str]) -> dict[str, Any]:
        ratios = {name: self._ratio(case, rounds, name) for name in names}
        best = (min if self.is_cost else max)(ratios, key=lambda name: ratios[name].median)
        reached = ratios[best].median
        met = reached <= self.limit if self.is_cost else reached >= self.limit
        return {"case": dict(case.about), "contender": best, "ratio": ratios[best], "met": met}

    def _ratio(self, case: Case, rounds: Rounds, name: str) -> Figure:
        if self.is_cost:
            return speed_ratio(case, rounds, self.reference, name)
        return speed_ratio(case, rounds, name, self.reference)
