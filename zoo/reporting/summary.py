"""What was measured of several models, as a table that is read at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zoo.metrics import Scores
from zoo.metrics.base import Measured
from zoo.metrics.shown import shown
from zoo.registry import CheckpointSpec, MetricSpec, registry

State = Literal["best", "tie", "", "none"]


@dataclass(frozen=True)
class Column:
    """A metric: its name, unit, which way is better, and what it says."""

    name: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    meaning: str


@dataclass(frozen=True)
class Cell:
    """A figure as text, its error, how far it is from the best, and a number to sort by.

    ``place`` is 1 for the best of a column and 0 for the worst. ``note`` says why there is none.
    """

    value: str = "–"
    error: str = ""
    number: float | None = None
    state: State = "none"
    to_best: str = ""
    place: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """The cells of a model."""

    model: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Summary:
    """Rows of models under columns of metrics, the best of the first ranked one on top.

    ``references`` are rows of what could be reached, which is not ranked.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    references: tuple[Row, ...] = ()
    headline: str = ""
    notes: tuple[str, ...] = ()


def summary(scores: Scores | None, cards: dict[str, CheckpointSpec | None]) -> Summary:
    """Of what was measured, and of what cards record of the NLL where that was not.

    Without ``scores`` there are cards alone: nothing is ranked then.
    """
    models = list(cards) if scores is None else list(scores.models)
    pairs = [] if scores is None else [measured(scores, n) for n in range(len(scores.metrics))]
    if not any(column.name == "nll" for column, _ in pairs) and any(cards.values()):
        pairs.append(recorded_nll([cards[name] for name in models]))
    order = sorted(range(len(models)), key=lambda n: _key(pairs, n))
    rows = (Row(models[n], tuple(cells[n] for _, cells in pairs)) for n in order)
    notes = () if scores is None else tuple(scores.notes)
    columns = tuple(column for column, _ in pairs)
    below = () if scores is None else references(scores, len(columns))
    return Summary(columns, tuple(rows), below, headline(scores), notes)


def references(scores: Scores, columns: int) -> tuple[Row, ...]:
    """What could be reached, where that was measured, in so many columns."""
    rows = []
    for n, name in enumerate(scores.references, len(scores.models)):
        found = [outcomes[n].measured for outcomes in scores.outcomes]
        cells = [Cell() if each is None else _plain(each) for each in found]
        rows.append(Row(name, tuple(cells + [Cell()] * (columns - len(cells)))))
    return tuple(rows)


def measured(scores: Scores, metric: int) -> tuple[Column, list[Cell]]:
    """A column of what was measured."""
    chosen = scores.metrics[metric]
    spec = registry().metrics.get(chosen.name)
    cls = chosen.component
    column = Column(scores.named(metric), cls.unit, cls.better, spec.summary if spec else "")
    best, ties, several = scores.best(metric), scores.ties(metric), len(scores.models) > 1
    found = [each.measured for each in scores.of_models(metric)]
    differences = (
        scores.differences(metric)[: len(found)] if best is not None else [None] * len(found)
    )
    places = _places(found, cls.better, [each is not None for each in differences])
    cells = []
    for n, outcome in enumerate(scores.of_models(metric)):
        if (figure := outcome.measured) is None:
            cells.append(Cell(note=outcome.refusal or ""))
            continue
        value, _, error = shown(figure).partition(" ± ")
        state: State = "best" if n == best and several else "tie" if ties[n] and several else ""
        away = "" if n == best or best is None else _away(differences[n])
        cells.append(Cell(_signed(value), error, figure.value, state, away, places[n]))
    return column, cells


def recorded_nll(cards: Sequence[CheckpointSpec | None]) -> tuple[Column, list[Cell]]:
    """What cards say of the NLL, each of its own number of importance samples: not ranked."""
    meaning = "-log p(x) as the checkpoint's card records it, of so many importance samples K"
    column = Column("nll, on its card", "nats per example", "neither", meaning)
    figures = [None if card is None else card.metrics.get("nll") for card in cards]
    return column, [Cell() if each is None else _recorded(each) for each in figures]


def headline(scores: Scores | None) -> str:
    """Who is best by the first metric that ranks, and by how much; empty where none does."""
    if scores is None or len(scores.models) < 2:
        return ""
    for metric in range(len(scores.metrics)):
        if (best := scores.best(metric)) is None:
            continue
        ties = [name for n, name in enumerate(scores.models) if scores.ties(metric)[n]]
        if len(ties) > 1:
            tied = f"{_listed(ties)} are tied on {scores.named(metric)}"
            return f"{tied}: within two standard errors."
        figure = scores.outcomes[metric][best].measured
        return (
            f"{scores.models[best]} is best on {scores.named(metric)}, {_signed(shown(figure))}"
            f"{_runner_up(scores, metric, best)}."
        )
    return ""


def _runner_up(scores: Scores, metric: int, best: int) -> str:
    away = scores.differences(metric)
    others = [(abs(each.value), n) for n, each in enumerate(away) if each and n != best]
    if not others:
        return ""
    _, second = min(others)
    found = away[second]
    assert found is not None
    said = shown(Measured(abs(found.value), found.stderr))
    return f"; {scores.models[second]} is next, {said} away"


def _places(
    found: Sequence[Measured | None], better: str, ranked: Sequence[bool]
) -> list[float | None]:
    """Of each figure, from 0 for the worst to 1 for the best of those that are ranked."""
    sign = {"higher": 1, "lower": -1}.get(better)
    known = [each.value for each, kept in zip(found, ranked, strict=True) if each and kept]
    if sign is None or len(known) < 2 or min(known) == max(known):
        return [None] * len(found)
    low, width = min(sign * each for each in known), max(known) - min(known)
    return [
        (sign * each.value - low) / width if each and kept else None
        for each, kept in zip(found, ranked, strict=True)
    ]


def _key(pairs: Sequence[tuple[Column, list[Cell]]], model: int) -> tuple[bool, float]:
    """The best first by the first column that ranks, then those that it does not rank."""
    for column, cells in pairs:
        if column.better != "neither" and any(cell.state == "best" for cell in cells):
            place = cells[model].place
            return place is None, -(place or 0.0)
    return False, 0.0


def _plain(figure: Measured) -> Cell:
    """A figure that is not ranked."""
    value, _, error = shown(figure).partition(" ± ")
    return Cell(_signed(value), error, figure.value, "")


def _recorded(figure: MetricSpec) -> Cell:
    samples = "" if figure.samples is None else f"K = {figure.samples}"
    plain = _plain(Measured(figure.value, figure.stderr))
    return replace(plain, to_best=samples, note=figure.note or "")


def _away(difference: Measured | None) -> str:
    """How far a figure is from the best; those of another scale have no difference."""
    return "not ranked" if difference is None else _signed(shown(difference, "+"))


def _signed(text: str) -> str:
    """With a true minus."""
    return text.replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return f"{', '.join(names[:-1])} and {names[-1]}"
