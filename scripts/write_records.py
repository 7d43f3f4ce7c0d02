"""Measure released models and keep the values of all examples beside their checkpoints.

    python scripts/write_records.py --dataset mnist --metric elbo rate distortion --data-root DIR

Whoever has the same data then compares them example by example without loading a model
(`zoo compare`). What is recorded is not measured again, so that a killed call goes on.
"""

from __future__ import annotations

import argparse
from functools import partial

import zoo
from zoo.cli.settings import parse_part
from zoo.metrics.records import PACKAGED
from zoo.registry import registry


def main(arguments: list[str] | None = None) -> int:
    """Every released model of a dataset, one after the other."""
    options = parse_arguments(arguments)
    for name, spec in registry().checkpoints.items():
        if spec.dataset == options.dataset and name not in options.but:
            scores = zoo.compare(
                name,
                options.metric,
                benchmark=options.dataset,
                data_root=options.data_root,
                records=PACKAGED,
            )
            print(scores, scores.effort, sep="\n", flush=True)
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help="a benchmark of the same name says how")
    parser.add_argument(
        "--metric",
        nargs="+",
        required=True,
        metavar="NAME",
        type=partial(parse_part, "--metric"),
        help="perhaps with settings, as '{name: knn, labels: 600}'",
    )
    parser.add_argument("--but", nargs="*", default=(), metavar="NAME", help="models to leave out")
    parser.add_argument("--data-root", metavar="DIR")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
