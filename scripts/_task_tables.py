"""Tables of what was measured of each task, of scripts/results alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from _records import read_json

from zoo.metrics import Measured, Records
from zoo.metrics.records import PACKAGED
from zoo.registry import packaged_root, read_registry
from zoo.registry.specs import Registry
from zoo.studies import find_paper

RESULTS = Path(__file__).with_name("results")
FILLERS = ("mean", "knn", "mice", "miss-forest", "tabular-vae", "miwae")
SHARES = ("20 %", "50 %")
MASKS = {"random": "60 % at random", "half": "the lower half"}
SCORES = {
    "likelihood": "`likelihood`",
    "reconstruction": "`reconstruction`",
    "complexity": "`complexity`",
    "likelihood-ratio": "`likelihood-ratio`, 5 of 8 groups from the prior, 64 samples",
}
DETECTORS = {
    "vae": "VAE, `likelihood`",
    "isolation-forest": "`isolation-forest`",
    "lof": "`lof`",
    "pca": "`pca`",
    "ecod": "`ecod`",
}
WAYS = {"knn": "neighbours", "linear-probe": "linear probe"}
SETTINGS = {"knn": {"neighbours": 5}, "linear-probe": {}}
LABELS = (100, 600, 1000)
DRAWS = 20
"""Of the labels."""


@cache
def packaged() -> Registry:
    """What is released here: plug-ins are others'."""
    return read_registry([packaged_root() / "registry.yaml"])


def joined(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is of names."""
    head, *lines = map(_line, (titles, *rows))
    return "\n".join([head, "|---" * len(titles) + "|", *lines])


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def recorded(name: str) -> dict[str, Any]:
    """All of a file of records."""
    found: dict[str, Any] = read_json(RESULTS / f"{name}.json")
    return found


def of_mean(values: Sequence[float], digits: int, between: bool = False) -> str:
    """Their mean, and its standard error or the deviation ``between`` them."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    error = statistics.stdev(values) / (1 if between else math.sqrt(len(values)))
    return f"{mean} ± {error:.{digits}f}"


def hidden_values() -> str:
    """Nats of what is left of a row, and of each value hidden from it."""
    titles = ("", "-log p(what is left), a row", "-log p(hidden \\| left), a value")
    rows = []
    for key, found in sorted(recorded("tables").items(), key=_table_of):
        table, variant, _ = key.split()
        left = found["nll_observed"]
        error = f"{left['value']:.2f} ± {left['stderr']:.2f}"
        rows.append([f"`{variant}`, {table}", error, f"{found['nll_hidden_per_value']:.2f}"])
    return joined(titles, rows)


def _table_of(item: tuple[str, Any]) -> bool:
    return not item[0].startswith("Wine")


def filled_tables() -> str:
    """Errors of each way to fill in a table; over masks."""
    records = recorded("imputation")
    titles = ["", ""]
    for share in SHARES:
        titles += [f"{share}: all columns", "numbers", "values"]
    rows = [
        [table, f"`{name}`", *_errors(records, table, name)]
        for table in ("Wine", "Adult")
        for name in FILLERS
        if any(
            key.startswith((f"{table}/20 %/{name}/", f"{table}/50 %/{name}/")) for key in records
        )
    ]
    return joined(titles, rows)


def _errors(records: Mapping[str, Any], table: str, name: str) -> Iterator[str]:
    for share in SHARES:
        start = f"{table}/{share}/{name}/mask "
        masks = [found for key, found in records.items() if key.startswith(start)]
        for figure in ("average", "numbers", "values"):
            values = [found[figure] for found in masks]
            fewer = f" ({len(values)} of 3)" if figure == "average" and len(values) < 3 else ""
            yield of_mean(values, 4, between=True) + fewer if values else "-"


def filled_images() -> str:
    """Errors of the missing pixels of 500 test images of MNIST."""
    records = recorded("imputation")
    titles = ("missing", "", "squared error", "each alone", "log p(x_m\\|x_o)")
    rows = []
    for mask, said in MASKS.items():
        for name in ("mean", "knn", "gaussian-vae-mnist"):
            start = f"mnist/{mask}/500/{name}"
            found = [each for key, each in records.items() if key.startswith(start)]
            row = [said, f"`{name}`", *_of_pixels(found)]
            rows.append(row)
            said = ""
    return joined(titles, rows)


def _of_pixels(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for figure, digits in (("squared_error", 4), ("log_p_alone", 1), ("log_p", 1)):
        values = [value for each in records for value in each.get(figure, [])]
        yield of_mean(values, digits) if values else ""


def anomaly_of_fashion() -> str:
    """How each score tells MNIST from Fashion-MNIST."""
    records = recorded("anomaly")["fashion"]
    titles = ("score", "AUROC", "average precision", "MNIST flagged at 5 %")
    return joined(titles, ([said, *_told_apart(records[name])] for name, said in SCORES.items()))


def _told_apart(found: Mapping[str, float]) -> list[str]:
    return [
        f"{found['auroc']:.3f}",
        f"{found['ap']:.3f}",
        f"{100 * found['flagged at 0.05']:.0f} %",
    ]


def anomaly_of_digits() -> str:
    """AUROC with each digit as the normal one."""
    records = recorded("anomaly")["digits"]
    digits = sorted(records)
    areas = [records[digit]["auroc"] for digit in digits]
    said = [f"{area:.3f}" for area in (*areas, statistics.fmean(areas))]
    return joined(("digit", *digits, "mean"), [["AUROC", *said]])


def anomaly_of_vectors() -> str:
    """AUROC and average precision of each detector, mean over divisions, and its mean rank."""
    records = recorded("anomaly")["vectors"]
    sets = sorted({key.partition("/")[0] for key in records})
    found = {name: {each: _divided(records, name, each) for each in DETECTORS} for name in sets}
    rows = [
        [name, *(f"{area:.3f} / {precision:.3f}" for area, precision in found[name].values())]
        for name in sets
    ]
    ranks = [_ranks({each: pair[0] for each, pair in found[name].items()}) for name in sets]
    mean = [f"{statistics.fmean(rank[each] for rank in ranks):.2f}" for each in DETECTORS]
    return joined(("set", *DETECTORS.values()), [*rows, ["mean rank by AUROC", *mean]])


def _divided(records: Mapping[str, Any], name: str, detector: str) -> tuple[float, float]:
    of_set = [each[detector] for key, each in records.items() if key.startswith(f"{name}/")]
    means = [statistics.fmean(each[figure] for each in of_set) for figure in ("auroc", "ap")]
    return means[0], means[1]


def _ranks(areas: Mapping[str, float]) -> dict[str, int]:
    return {name: 1 + sum(other > area for other in areas.values()) for name, area in areas.items()}


def few_labels() -> str:
    """Accuracy by few labels of every released model of MNIST, beside a paper's."""
    titles = ("model", *(f"{way}, {count}" for way in WAYS.values() for count in LABELS))
    rows = {}
    for name, spec in packaged().checkpoints.items():
        found = accuracies(spec.sha256) if spec.dataset == "mnist" else {}
        if len(found) == len(WAYS) * len(LABELS):
            rows[name] = [found[way, count] for way in WAYS for count in LABELS]
    best = sorted(rows, key=lambda name: rows[name][0].value, reverse=True)
    ours = [[f"`{name}`", *map(_with_deviation, rows[name])] for name in best]
    return joined(titles, [*ours, *_of_davidson()])


def accuracies(sha256: str) -> dict[tuple[str, int], Measured]:
    """By classifier and labels, those that are recorded of a model."""
    released = [
        (key.metric, measured)
        for key, measured in Records(PACKAGED, read_too=()).of(sha256)
        if key.protocol == {"split": "test", "examples": None, "seed": 0}
    ]
    asked = {
        (way, count): {"name": way, **SETTINGS[way], "labels": count, "draws": DRAWS}
        for way in WAYS
        for count in LABELS
    }
    return {of: found for of, metric in asked.items() for its, found in released if its == metric}


def _with_deviation(accuracy: Measured) -> str:
    """In per cent; the error that draws make is their deviation over the root of their number."""
    assert accuracy.monte_carlo is not None
    deviation = accuracy.monte_carlo * math.sqrt(DRAWS)
    return f"{100 * accuracy.value:.1f} ± {100 * deviation:.1f}"


def _of_davidson() -> Iterator[list[str]]:
    study, _ = find_paper("davidson2018")
    for name, point in study.points.items():
        claims = [point.claims.get(f"{count} labels, %") for count in LABELS]
        if all(claim is not None for claim in claims):
            yield [f"{name} (paper)", *map(str, claims), *"-" * len(LABELS)]


def classifiers() -> str:
    """Accuracy of the classifiers in whose features samples are compared."""
    rows = []
    for name, found in recorded("classifiers").items():
        pair = [found["accuracy"], found["accuracy_binary"]]
        said = [f"{each['value']:.4f} ± {each['stderr']:.4f}" for each in pair]
        size = packaged().classifiers[name].bytes
        rows.append([f"`{name}`", *said, f"{size / 1e6:.2f} MB"])
    return joined(("classifier", "grey", "binarised", "size"), rows)
