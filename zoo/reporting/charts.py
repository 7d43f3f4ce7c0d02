"""What is seen of several models at once: how they learned, what they spend, and on what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo.metrics import Scores
from zoo.reporting import svg
from zoo.reporting.exhibit import Exhibit, Point

SETTLED = 0.12
"""Of a training's epochs, after which its curve decides how far the axis reaches down."""
BARS = 24
"""Dimensions, or groups, that are drawn of a model."""


COSTS = {"weights": "weights", "decode-time": "milliseconds an image, decoding"}
"""What a likelihood is drawn against, and how its axis is called."""


@dataclass(frozen=True)
class Chart:
    """An SVG picture, its title, and the words under it."""

    title: str
    picture: Markup
    caption: str


def charts(
    exhibits: Sequence[Exhibit], scores: Scores | None, hues: Mapping[str, int]
) -> list[Chart]:
    """All charts for which there is something to draw."""
    curves = {each.name: each.curve for each in exhibits if each.curve and each.model.has_evidence}
    spent = {each.name: kl for each in exhibits if (kl := _bars(each))}
    compared = [] if scores is None else of_scores(scores, hues)
    found = [*compared, learning(curves, hues), divergences(spent, hues)]
    return [each for each in found if each is not None]


def of_scores(scores: Scores, hues: Mapping[str, int]) -> list[Chart | None]:
    """Those of figures that stand beside each other."""
    costs = [likelihood_and_cost(pairs(scores, cost, "nll"), cost, hues) for cost in COSTS]
    return [rate_and_distortion(pairs(scores, "rate", "distortion"), hues), *costs]


def pairs(scores: Scores, first: str, second: str) -> dict[str, tuple[float, float]]:
    """Two figures of the models that have both, on the benchmark's own examples."""
    shifts = scores.shifts or [""] * len(scores.metrics)
    rows = {
        chosen.name: scores.of_models(n)
        for n, (chosen, shift) in enumerate(zip(scores.metrics, shifts, strict=True))
        if not shift
    }
    if not {first, second} <= rows.keys():
        return {}
    each = zip(scores.models, rows[first], rows[second], strict=True)
    return {
        name: (one.measured.value, other.measured.value)
        for name, one, other in each
        if one.measured is not None and other.measured is not None
    }


def rate_and_distortion(
    found: Mapping[str, tuple[float, float]], hues: Mapping[str, int]
) -> Chart | None:
    """Where each model spends its nats (Alemi et al. 2018, arXiv:1711.00464)."""
    if len(found) < 2:
        return None
    rates, distortions = zip(*found.values(), strict=True)
    x = svg.across(*_around(rates), "rate, nats")
    y = svg.upwards(*_around(distortions), "distortion, nats")
    said = {
        name: f"rate {rate:.2f}, distortion {distortion:.2f}, ELBO {-rate - distortion:.2f}"
        for name, (rate, distortion) in found.items()
    }
    parts = [*svg.frame(x, y), *bounds(x, y), *_dots(found, x, y, said, hues)]
    caption = (
        "What a code costs against what is then still to be said of the example. Models on one "
        "dashed line have the same ELBO; below it is better."
    )
    label = ", ".join(f"{name} {r:.1f} and {d:.1f}" for name, (r, d) in found.items())
    picture = svg.drawing(f"Rate and distortion: {label}", parts)
    return Chart("Rate and distortion", picture, caption)


def likelihood_and_cost(
    found: Mapping[str, tuple[float, float]], cost: str, hues: Mapping[str, int]
) -> Chart | None:
    """What a better likelihood costs."""
    if len(found) < 2 or min(price for price, _ in found.values()) <= 0:
        return None
    prices, values = zip(*found.values(), strict=True)
    x = svg.across(min(prices) / 1.5, max(prices) * 1.5, COSTS[cost], log=True)
    y = svg.upwards(*_around(values), "-log p(x), nats")
    said = {
        name: f"{svg.number(float(f'{price:.3g}'))} {cost}, {nll:.2f} nats"
        for name, (price, nll) in found.items()
    }
    label = "; ".join(f"{name} {words}" for name, words in said.items())
    picture = svg.drawing(
        f"Likelihood and {cost}: {label}", [*svg.frame(x, y), *_dots(found, x, y, said, hues)]
    )
    return Chart(f"Likelihood and {cost}", picture, "Lower, and further left, is better.")


def _dots(
    found: Mapping[str, tuple[float, float]],
    x: svg.Axis,
    y: svg.Axis,
    said: Mapping[str, str],
    hues: Mapping[str, int],
) -> list[Markup]:
    """A named point for each model."""
    places = {name: (x.at(across), y.at(up)) for name, (across, up) in found.items()}
    labels, dot = svg.apart(places), Markup('<circle cx="{:.1f}" cy="{:.1f}" r="6"/>')
    return [
        svg.of_model(name, hues[name], dot.format(*place) + labels[name], f"{name}: {said[name]}")
        for name, place in places.items()
    ]


def bounds(x: svg.Axis, y: svg.Axis) -> list[Markup]:
    """Dashed lines of equal ELBO, each with its ELBO at its upper end."""
    parts = []
    for cost in svg.round_numbers(x.low + y.low, x.high + y.high, 6):
        start, end = max(x.low, cost - y.high), min(x.high, cost - y.low)
        if end - start < 0.12 * (x.high - x.low):
            continue
        parts.append(
            svg.line(x.at(start), y.at(cost - start), x.at(end), y.at(cost - end), "bound")
        )
        label = svg.number(-cost)
        parts.append(svg.text(x.at(start) + 5, y.at(cost - start) - 4, label, "bound", "start"))
    return parts


def learning(curves: Mapping[str, Sequence[Point]], hues: Mapping[str, int]) -> Chart | None:
    """The validation's ELBO over epochs."""
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not curves:
        return None
    last = max(points[-1].epoch for points in curves.values())
    late = [p.elbo for points in curves.values() for p in points[int(SETTLED * len(points)) :]]
    x = svg.across(1, last, "epoch", log=True)
    y = svg.upwards(*_around(late), "ELBO of the validation split, nats")
    parts = svg.frame(x, y)
    for name, points in curves.items():
        places = [(x.at(max(p.epoch, 1)), y.at(p.elbo)) for p in points]
        said = (
            f"{name}: {max(p.elbo for p in points):.2f} at best, of {points[-1].epoch:.0f} epochs"
        )
        parts.append(svg.of_model(name, hues[name], svg.path(_inside(places, y)), said))
    label = ", ".join(f"{name} to {points[-1].elbo:.1f}" for name, points in curves.items())
    caption = "Higher is better. The first epochs lie below the chart."
    return Chart("Learning", svg.drawing(f"ELBO over epochs: {label}", parts), caption)


def _inside(places: list[tuple[float, float]], y: svg.Axis) -> list[tuple[float, float]]:
    """From where a curve enters the chart on; what lies below later is drawn at the edge."""
    first = next((n for n, (_, at) in enumerate(places) if at <= y.start), len(places) - 1)
    kept = places[first:]
    if first:
        (x0, y0), (x1, y1) = places[first - 1], places[first]
        share = (y0 - y.start) / ((y0 - y1) or 1.0)
        kept = [(x0 + share * (x1 - x0), y.start), *kept]
    return [(across, min(at, y.start)) for across, at in kept]


def divergences(found: Mapping[str, list[float]], hues: Mapping[str, int]) -> Chart | None:
    """The KL of each dimension, or of each group: a row of bars for every model."""
    if not found:
        return None
    most = max(max(values) for values in found.values()) or 1.0
    step, bar, left = 34, 13, 176
    parts = []
    for row, (name, values) in enumerate(found.items()):
        base = 30 + row * step
        bars = Markup("").join(
            Markup('<rect x="{:.1f}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
                left + n * (bar + 2), base - height, bar, height
            )
            for n, value in enumerate(values[:BARS])
            if (height := max(0.6, 26 * value / most)) > 0
        )
        total = f"{sum(values):.1f} nats over {len(values)}"
        words = svg.text(left - 10, base - 4, name, "name", "end")
        parts.append(svg.of_model(name, hues[name], words + bars, f"{name}: {total}"))
    said = ", ".join(f"{name} {sum(values):.1f}" for name, values in found.items())
    caption = (
        "The KL of each dimension of a code, the largest first, or of each group of a hierarchy; "
        f"all on one scale, the highest bar {most:.1f} nats."
    )
    width, height = left + BARS * (bar + 2) + 8, 14 + step * len(found)
    picture = svg.drawing(f"KL in all: {said}", parts, width=width, height=height)
    return Chart("Where the rate goes", picture, caption)


def _bars(exhibit: Exhibit) -> list[float]:
    """Nothing of a model whose KL is one number: a bar would say no more than the table."""
    kl = exhibit.kl
    return [] if kl is None or len(kl) < 2 else kl.tolist()


def _around(values: Sequence[float]) -> tuple[float, float]:
    """A range with some room about the values."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room if math.isfinite(high) else low + 1
