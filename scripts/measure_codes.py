"""What the scores of a disentanglement say of codes of which it is known, for docs/metrics.md.

    python scripts/measure_codes.py

The codes are made of the five factors of 5,000 test examples of sprites: the factors themselves,
the same with noise, rotated at random, and noise alone. No data are needed. A killed call goes on:
each kind of codes is recorded in scripts/results/codes.json, and not measured again; with another
--output all are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _records import command_of, once
from torch import Tensor

import zoo
from zoo.core.component import Selected
from zoo.metrics import measure_all
from zoo.testing.codes import Coded, standard

OUTPUT = Path(__file__).with_name("results") / "codes.json"
EXAMPLES = 5000
METRICS = (
    "mig",
    "sap",
    "dci-disentanglement",
    "dci-completeness",
    "dci-informativeness",
    "factor-vae-score",
    "beta-vae-score",
    "info-modularity",
    "info-compactness",
)


def main(arguments: list[str] | None = None) -> int:
    """Measure the kinds of codes that are not recorded."""
    options = parse_arguments(arguments)
    factors = zoo.load_dataset("sprites").test.evenly(options.examples).labels
    assert factors is not None
    versions = {name: Selected.parse("metrics", name).component.version for name in METRICS}
    for name, code in CODES.items():
        once(
            options.output,
            name,
            lambda made=code: figures(made(factors), factors),
            command_of(__file__, None),
            of={"examples": len(factors), "versions": versions},
        )
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return parser.parse_args(arguments)


def figures(codes: Tensor, factors: Tensor) -> dict[str, Any]:
    """Each score with its errors."""
    chosen = [Selected.parse("metrics", name) for name in METRICS]
    found = measure_all(Coded(codes, factors), chosen, None)
    said = {
        name: {"value": one.value, "stderr": one.stderr, "monte_carlo": one.monte_carlo}
        for name, outcome in zip(METRICS, found, strict=True)
        if (one := outcome.measured) is not None
    }
    return {"figures": said}


def noise(like: Tensor) -> Tensor:
    """N(0, 1) of the shape and type of codes, the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def noisy(factors: Tensor) -> Tensor:
    """The factors with a twentieth of their deviation added."""
    return standard(factors) + 0.05 * noise(standard(factors))


def rotated(factors: Tensor) -> Tensor:
    """The factors times an orthogonal matrix, that of the QR decomposition of noise."""
    codes = standard(factors)
    return codes @ torch.linalg.qr(noise(codes[: codes.shape[1]]))[0]


CODES: dict[str, Callable[[Tensor], Tensor]] = {
    "the factors": standard,
    "with noise of 0.05 deviations": noisy,
    "rotated at random": rotated,
    "noise": lambda factors: noise(standard(factors)),
}


if __name__ == "__main__":
    raise SystemExit(main())
