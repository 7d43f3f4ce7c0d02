"""Charts of recorded figures: coders, ways to fill in a table, detectors of anomalies.

They are drawn of scripts/results/compression.json, imputation.json and anomaly.json alone and go to
docs/images; the pages docs/compress.md, tables.md and anomaly.md show them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from _records import read_json

RESULTS = Path(__file__).with_name("results")
PICTURES = Path(__file__).parents[1] / "docs" / "images"
DATA = {
    "gaussian-vae-mnist": "MNIST, binary",
    "nvae-lite-mnist": "MNIST, binary",
    "runs/pixel-vae-mnist-8bit": "MNIST, 8 bits",
    "nvae-lite-cifar10": "CIFAR-10, 8 bits",
}
"""What the images of each compressing model are."""
LEFT, WIDTH, ROW, GAP = 150, 660, 20, 34
BAR, END = 12, 70
OURS, THEIRS, INK = "#2f6fde", "#9aa4b2", "#6b7280"


class Row(NamedTuple):
    """A figure of one way to do it, and its deviation where there are several."""

    name: str
    value: float
    spread: float | None = None
    is_model: bool = False


def charts() -> dict[str, dict[str, list[Row]]]:
    """The groups of bars of each chart."""
    return {
        "compression": of_coders(read_json(RESULTS / "compression.json")),
        "imputed-tables": of_fillers(read_json(RESULTS / "imputation.json")),
        "anomaly-vectors": of_detectors(read_json(RESULTS / "anomaly.json")["vectors"]),
    }


def of_coders(records: dict[str, Any]) -> dict[str, list[Row]]:
    """Bits a pixel of each data set's images, the fewest first."""
    groups: dict[str, list[Row]] = {}
    for source, found in records.items():
        rows = groups.setdefault(f"{DATA[source]}: bits a pixel", [])
        rate = found["compressed"]["bits_per_pixel"]
        rows.append(Row(Path(source).name, rate, is_model=True))
        known = {row.name for row in rows}
        programs: dict[str, float] = found.get("programs", {})
        rows += [Row(name, rate) for name, rate in programs.items() if name not in known]
    return {title: sorted(rows, key=lambda row: row.value) for title, rows in groups.items()}


def of_fillers(records: dict[str, Any]) -> dict[str, list[Row]]:
    """The average error over the columns of each table, the smallest first; mean over masks."""
    found: dict[tuple[str, str], list[float]] = {}
    for key, record in records.items():
        table, *place = key.split("/")
        if "average" in record:
            share, method, _ = place
            title = f"{table}, {share} of the values hidden: error"
            found.setdefault((title, method), []).append(record["average"])
    groups: dict[str, list[Row]] = {}
    for (title, method), errors in found.items():
        spread = statistics.stdev(errors) if len(errors) > 1 else None
        is_model = method in ("tabular-vae", "miwae", "hi-vae")
        row = Row(method, statistics.mean(errors), spread, is_model)
        groups.setdefault(title, []).append(row)
    return {title: sorted(groups[title], key=lambda row: row.value) for title in sorted(groups)}


def of_detectors(records: dict[str, Any]) -> dict[str, list[Row]]:
    """The AUROC of each detector on each set, the largest first; mean over divisions."""
    found: dict[str, dict[str, list[float]]] = {}
    for key, record in records.items():
        title = f"{key.partition('/')[0]}: AUROC"
        for name, each in record.items():
            if isinstance(each, dict):
                found.setdefault(title, {}).setdefault(name, []).append(each["auroc"])
    groups = {}
    for title in sorted(found):
        rows = [
            Row(name, statistics.mean(each), statistics.stdev(each), name == "vae")
            for name, each in found[title].items()
        ]
        groups[title] = sorted(rows, key=lambda row: -row.value)
    return groups


def chart(groups: dict[str, list[Row]]) -> str:
    """Bars from 0, each group with a scale of its own, as SVG; models of the zoo are blue."""
    parts, y = [], 0
    for title, rows in groups.items():
        parts.append(_text(LEFT, y + 18, title, "start", bold=True))
        parts += _bars(rows, y + 26)
        y += ROW * len(rows) + GAP
    said = escape("; ".join(map(_in_words, groups.items())))
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{said}">'
    return "\n".join([start, *parts, "</svg>\n"])


def _in_words(group: tuple[str, Sequence[Row]]) -> str:
    title, rows = group
    return f"{title} " + ", ".join(f"{row.name} {row.value:.4g}" for row in rows)


def _bars(rows: Sequence[Row], top: int) -> Iterable[str]:
    scale = (WIDTH - LEFT - END) / max(row.value + (row.spread or 0) for row in rows)
    for number, row in enumerate(rows):
        y, length = top + number * ROW, row.value * scale
        colour = OURS if row.is_model else THEIRS
        yield _text(LEFT - 8, y + 10, row.name, "end")
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
        if row.spread:
            ends = [LEFT + length + side * row.spread * scale for side in (-1, 1)]
            path = f"M{ends[0]:.1f} {y + 6}H{ends[1]:.1f}"
            yield f'<path d="{path}" stroke="{INK}" stroke-width="2"/>'
        after = LEFT + length + (row.spread or 0) * scale + 6
        yield _text(after, y + 10, f"{row.value:.3f}", "start")


def _text(x: float, y: float, text: str, anchor: str, bold: bool = False) -> str:
    style = f'font-family="sans-serif" font-size="12" text-anchor="{anchor}" fill="{INK}"'
    weight = ' font-weight="bold"' * bold
    return f'<text x="{x:.1f}" y="{y}" {style}{weight}>{escape(text)}</text>'
