"""What models of tables with gaps know of the values that were hidden from them.

    python scripts/measure_tables.py --data-root DIR

Wine and Adult (UCI) with 20 % of the values hidden by the masks of Nazabal et al. 2020
(arXiv:1807.03653), as tables/hi-vae/NAME in DIR has them. Each variant is trained on what is left;
of the test rows -log p(x_o) is measured of what is left, and -log p(x_m|x_o) of what was hidden, as
the difference of the importance-weighted -log p of the whole rows and of what is left. Trainings go
on where a killed call stopped, and what is recorded is not measured again. Figures go to
scripts/results/tables.json.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _records import environment, positive, read_json, write_json
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.data import load_dataset
from zoo.randomness import seeded

OUTPUT = Path(__file__).with_name("results") / "tables.json"
TABLES = ("Wine", "Adult")
VARIANTS = ("tabular-vae", "hi-vae", "miwae")
EPOCHS = {"Wine": 60, "Adult": 6}
KINDS = {"pos": "positive", "cat": "category", "count": "count", "ordinal": "ordinal"}
AT_ONCE = 100
"""Rows weighted together."""


def main(arguments: list[str] | None = None) -> int:
    """Train and measure what is not recorded yet, then print the table."""
    options = parse_arguments(arguments)
    for name in options.tables:
        for variant in options.variants:
            for mask in options.masks:
                key = f"{name} {variant} {mask}"
                if key not in read_json(options.output):
                    found = measured(options, name, variant, mask)
                    write_json(options.output, {**read_json(options.output), key: found})
    print(table(read_json(options.output)))
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--masks", nargs="+", type=positive, default=(1,), metavar="NUMBER")
    parser.add_argument("--samples", type=positive, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs", "tables"), metavar="DIR")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return parser.parse_args(arguments)


def read(folder: Path, mask: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
    """All values, the same with NaN where they are hidden, and the columns' kinds."""
    whole = np.genfromtxt(folder / "data.csv", delimiter=",")
    hidden = np.loadtxt(folder / f"Missing20_{mask}.csv", delimiter=",", dtype=int) - 1
    gaps = whole.copy()
    gaps[hidden[:, 0], hidden[:, 1]] = np.nan
    lines = (folder / "data_types.csv").read_text().split()[1:]
    kept = ~np.isnan(gaps).all(1)  # of a row without any value nothing can be told
    return whole[kept], gaps[kept], [KINDS[line.split(",")[0]] for line in lines]


def measured(options: argparse.Namespace, name: str, variant: str, mask: int) -> dict[str, Any]:
    """Train a variant on what is left of a table, and measure it on the test rows."""
    whole, gaps, kinds = read(options.data_root / "tables" / "hi-vae" / name, mask)
    columns = load_dataset(whole, columns=kinds)  # all values of categories, also the rare
    names = [f"x{place}" for place in range(len(kinds))]
    asked = dict(zip(names, kinds, strict=True)) | {
        column.name: column.kind.dump() for column in columns.table.columns  # type: ignore[union-attr]
        if column.kind.component.has_values
    }  # fmt: skip
    run = zoo.train(
        variant,
        dataset=load_dataset(gaps, columns=asked, name=name),
        directory=options.runs / f"{name}-{variant}-{mask}",
        epochs=EPOCHS[name],
    )
    test = load_dataset(whole, columns=run.model.config.table).test  # type: ignore[attr-defined]
    left = load_dataset(gaps, columns=run.model.config.table).test  # type: ignore[attr-defined]
    started = time.monotonic()
    of_whole, of_left = (nll(run.model, rows, options.samples) for rows in (test.rows, left.rows))
    hidden = int((left.rows.isnan() & ~test.rows.isnan()).sum())
    print(f"{name} {variant} {mask}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return {
        "nll_observed": figure(of_left),
        "nll_hidden": figure(of_whole - of_left),
        "nll_hidden_per_value": round((of_whole - of_left).sum().item() / hidden, 4),
        "validation_elbo": run.metrics["validation_elbo"],
        "epoch": run.metrics["epoch"],
        "rows": len(test),
        "hidden": hidden,
        "samples": options.samples,
        "seed": 0,
        "command": "python scripts/measure_tables.py --data-root DIR",
        **environment(),
    }


def nll(model: zoo.LatentVariableModel, rows: Tensor, samples: int) -> Tensor:
    """-log p of what rows have, (N,)."""
    with torch.no_grad(), seeded(0, torch.device("cpu")):
        parts = [-model.log_prob(Batch(part), samples) for part in torch.split(rows, AT_ONCE)]
    return torch.cat(parts).double()


def figure(values: Tensor) -> dict[str, float]:
    """The mean over rows with its standard error."""
    error = values.std() / math.sqrt(len(values))
    return {"value": round(values.mean().item(), 4), "stderr": round(error.item(), 4)}


def table(records: dict[str, Any]) -> str:
    """All that is recorded, one line each."""
    lines = ["table variant mask: -log p(x_o), -log p(x_m|x_o) a row, a hidden value"]
    for key, found in records.items():
        left, hidden = (found[name]["value"] for name in ("nll_observed", "nll_hidden"))
        lines.append(f"{key}: {left:.2f}, {hidden:.2f}, {found['nll_hidden_per_value']:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
