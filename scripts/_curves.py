"""The curves of a sweep: two of its columns against each other, a line for each kind of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from _tables import swept
from markupsafe import Markup

from zoo.reporting import svg
from zoo.reporting.charts import bounds

COLOURS = ("#2f6fde", "#d97706", "#0f9d75", "#b0449b")
STYLE = Markup(
    "<style>text { font: 12px sans-serif; fill: #6b7280 } line { stroke: #9aa4b2 }"
    " line.grid { opacity: .3 } line.bound { stroke-dasharray: 4 4; opacity: .6 }"
    " .curve { stroke: currentColor; fill: currentColor } polyline { fill: none; stroke-width: 2 }"
    " .curve text { stroke: none; fill: currentColor }</style>"
)
Places = Sequence[tuple[float, float]]


def curves(sweep: str = "rate_distortion") -> dict[str, Places]:
    """Rate and distortion of each kind, what is before the comma of a point; the least first."""
    report = swept(sweep)
    found: dict[str, list[tuple[float, float]]] = {}
    for point in report.study.points:
        rate, distortion = report.ours(point, "rate"), report.ours(point, "distortion")
        if rate is not None and distortion is not None:
            kind = _kind(point)
            found.setdefault(kind, []).append((rate.value, distortion.value))
    return {kind: sorted(places) for kind, places in found.items()}


def _kind(point: str) -> str:
    kind, _, budget = point.partition(", ")
    return kind if budget.startswith("KL") else f"{kind}, one concentration"


def chart(found: Mapping[str, Places]) -> str:
    """The curves as SVG; on a dashed line the bound on the likelihood is the same."""
    rates, distortions = zip(*(place for each in found.values() for place in each), strict=True)
    x = svg.across(0, 1.05 * max(rates), "rate, nats")
    room = 0.08 * (max(distortions) - min(distortions))
    y = svg.upwards(min(distortions) - room, max(distortions) + room, "distortion, nats")
    lines = [
        _curve(number, kind, [(x.at(rate), y.at(distortion)) for rate, distortion in places])
        for number, (kind, places) in enumerate(found.items())
    ]
    said = "; ".join(f"{kind} {_in_words(places)}" for kind, places in found.items())
    picture = svg.drawing(
        f"Rate and distortion: {said}", [STYLE, *svg.frame(x, y), *bounds(x, y), *lines]
    )
    return str(picture).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _curve(number: int, kind: str, places: Places) -> Markup:
    """A line with its points, and its kind in the corner above all others."""
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4"/>')
    dots = Markup("").join(dot.format(*place) for place in places)
    name = svg.text(svg.WIDTH - svg.RIGHT - 8, svg.TOP + 16 * (number + 1), kind, "name", "end")
    group = Markup('<g class="curve" style="color: {}">{}{}{}</g>')
    return group.format(COLOURS[number], svg.path(places), dots, name)


def _in_words(places: Places) -> str:
    return ", ".join(f"{rate:.1f} and {distortion:.1f}" for rate, distortion in places)
