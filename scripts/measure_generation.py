"""What samples of released models are worth beside the data, and what the models cost in time.

    python scripts/measure_generation.py --data-root DIR

Of each model 5,000 samples stand beside 5,000 test images, as `zoo compare` has it; so do half of
the test images (`halves`) and training images (`training`). Times are those of one thread of the
machine, measured last. A killed call goes on: what is recorded of a checkpoint's file in
scripts/results/generation.json is not measured again; with another --output all is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _records import command_of, once

import zoo
from zoo.files import sha256
from zoo.memory import keep_freed_memory
from zoo.storage.hub import locate

OUTPUT = Path(__file__).with_name("results") / "generation.json"
MODELS = ("nvae-lite-s-mnist", "gaussian-vae-mnist", "vmf-vae-mnist")
REFERENCES = ("halves", "training")
METRICS = (
    "frechet-distance",
    "kernel-distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorisation",
)
TIMES = ("encode-time", "decode-time")


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not recorded."""
    options = parse_arguments(arguments)
    keep_freed_memory()
    first = options.models[0]
    for name in REFERENCES:
        record(options, f"samples/{name}", METRICS, first, name)
    for name in options.models:
        record(options, f"samples/{name}", METRICS, name, name)
    torch.set_num_threads(1)
    for name in options.models:
        record(options, f"times/{name}", TIMES, name, name)
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME")
    parser.add_argument("--data-root", metavar="DIR")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return parser.parse_args(arguments)


def record(
    options: argparse.Namespace, key: str, metrics: Sequence[str], model: str, column: str
) -> None:
    """A column of a comparison, of a model or of what it is held against."""
    of = {"sha256": sha256(locate(model))} if column == model else None
    once(
        options.output,
        key,
        lambda: figures(model, metrics, column, options.data_root),
        command_of(__file__, options.data_root),
        of,
    )


def figures(
    model: str, metrics: Sequence[str], column: str, data_root: str | None
) -> dict[str, Any]:
    """Of each metric what it says of a column."""
    scores = zoo.compare(model, metrics, data_root=data_root)
    print(scores, flush=True)
    place = scores.columns.index(column)
    found = [row[place].measured for row in scores.outcomes]
    said = {
        name: {"value": each.value, "stderr": each.stderr}
        for name, each in zip(metrics, found, strict=True)
        if each is not None
    }
    return {"measured_on": scores.title, "figures": said}


if __name__ == "__main__":
    raise SystemExit(main())
