"""Tables of what metrics say: of samples and costs of models, of codes of known score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import measure_codes as codes
import measure_generation as generation
import numpy as np
from _task_tables import joined, packaged, recorded

import zoo
from zoo.registry import packaged_root

HELD_AGAINST = {"halves": "halves of the test images", "training": "training images"}
DIGITS = {"frechet-distance": 2, "kernel-distance": 3, "density": 2}
"""Of a figure; others, shares, have three."""
WITH_ERROR = ("frechet-distance", "kernel-distance")
SHORT = {
    "dci-disentanglement": "D",
    "dci-completeness": "C",
    "dci-informativeness": "I",
    "factor-vae-score": "FactorVAE",
    "beta-vae-score": "beta-VAE",
    "info-modularity": "InfoM",
    "info-compactness": "InfoC",
}


def samples() -> str:
    """What the data get, then the models, the best by their Frechet distance first."""
    records = recorded("generation")
    titles = ("", *(f"`{name}`" for name in generation.METRICS))
    against = [[said, *_cells(records, name)] for name, said in HELD_AGAINST.items()]
    models = sorted(
        _models(records, "samples"),
        key=lambda name: _value(records, f"samples/{name}", "frechet-distance"),
    )
    return joined(titles, [*against, *([f"`{name}`", *_cells(records, name)] for name in models)])


def _models(records: Mapping[str, Any], kind: str) -> list[str]:
    """Those of whose file, as it is now, there is a record."""
    known = packaged().checkpoints
    found = (key.partition("/")[2] for key in records if key.startswith(f"{kind}/"))
    return [
        name
        for name in found
        if name in known and known[name].sha256 == records[f"{kind}/{name}"]["sha256"]
    ]


def _value(records: Mapping[str, Any], key: str, metric: str) -> float:
    return float(records[key]["figures"][metric]["value"])


def _cells(records: Mapping[str, Any], column: str) -> Iterator[str]:
    for metric in generation.METRICS:
        figure, digits = records[f"samples/{column}"]["figures"][metric], DIGITS.get(metric, 3)
        error = f" ± {figure['stderr']:.{digits}f}" if metric in WITH_ERROR else ""
        yield f"{figure['value']:.{digits}f}{error}"


def costs() -> str:
    """Of models whose times are recorded, the fewest operations first; these are counted."""
    records = recorded("generation")
    counted = {name: _counted(name) for name in _models(records, "times")}
    rows = []
    for name, (weights, operations) in sorted(counted.items(), key=lambda item: item[1][::-1]):
        times = [_value(records, f"times/{name}", metric) for metric in generation.TIMES]
        counts = [f"{weights:,.0f}", f"{operations / 1e6:.1f} million"]
        rows.append([f"`{name}`", *counts, *(f"{each:.2f} ms" for each in times)])
    return joined(("", *(f"`{each}`" for each in ("weights", "flops", *generation.TIMES))), rows)


def _counted(name: str) -> tuple[float, float]:
    """Weights and operations, which no values of the examples change."""
    path = packaged_root() / "checkpoints" / packaged().checkpoints[name].file
    black = np.zeros((20, *zoo.load(path).modality.shape), dtype=np.uint8)  # (N, C, H, W)
    scores = zoo.compare(path, ["weights", "flops"], dataset=black, records=False)
    weights, operations = (row[0].measured for row in scores.outcomes)
    assert weights is not None and operations is not None
    return weights.value, operations.value


def known_codes() -> str:
    """The scores of codes of which it is known what they should be."""
    records = recorded("codes")
    (count,) = {found["examples"] for found in records.values()}
    title = f"codes of {count:,} examples of the factors of `sprites`"
    titles = (title, *(SHORT.get(name, f"`{name}`") for name in codes.METRICS))
    # Adding 0 makes 0.00 of -0.00.
    rows = [
        [kind, *(f"{round(_value(records, kind, name), 2) + 0.0:.2f}" for name in codes.METRICS)]
        for kind in codes.CODES
    ]
    return joined(titles, rows)
