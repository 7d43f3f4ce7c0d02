"""How well what is missing is filled in, beside simple ways to do so; a killed call goes on.

    python scripts/measure_imputation.py images vmf-vae-mnist --data-root DIR
    python scripts/measure_imputation.py table Wine --data-root DIR
    python scripts/measure_imputation.py picture vmf-vae-mnist --data-root DIR

Of images: test images at even distances, binarised with seed 0. Errors are on the missing pixels
alone: the squared error of the best guess, and the log-likelihood of the true pixels in nats an
image: each alone under the best guess, and all together, log p(x_m|x_o), by importance weights.

Of tables: the published masks of Nazabal et al. (2020, arXiv:1807.03653). Every model is trained on
what they leave. Errors are as there: of columns with values the share of wrong ones, of numbers the
root of the mean squared error over the range of the column.

Records go to scripts/results/imputation.json; what is recorded is not measured again.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _imputed_images as images
import _imputed_tables as tables
import _records
import torch
from _records import command_of, positive, read_json

import zoo
from zoo.files import sha256
from zoo.memory import keep_freed_memory
from zoo.pictures.grids import save_grid
from zoo.storage import checkpoint
from zoo.storage.hub import locate
from zoo.tasks.impute import Impute

OUTPUT = Path(__file__).with_name("results") / "imputation.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "imputed-mnist.png"
BASELINES_OF_IMAGES = ("mean", "knn")


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not recorded, and print what is."""
    options = parse_arguments(arguments)
    keep_freed_memory()
    {"images": measure_images, "table": measure_table, "picture": draw}[options.what](options)
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("images", "table", "picture"))
    parser.add_argument("source", help="a checkpoint; of tables Adult or Wine")
    parser.add_argument("--data-root", default=".", metavar="DIR")
    parser.add_argument("--examples", type=positive, default=500)
    parser.add_argument("--block", type=positive, default=25, metavar="IMAGES")
    parser.add_argument("--mask", choices=images.MASKS, nargs="*", default=images.MASKS)
    parser.add_argument("--share", type=int, choices=(20, 50), nargs="*", default=(20, 50))
    parser.add_argument("--masks", type=int, choices=tables.MASKS, nargs="*", default=tables.MASKS)
    parser.add_argument("--only", nargs="*", default=tables.METHODS, choices=tables.METHODS)
    parser.add_argument("--draws", type=int, default=8, help="for log p(x_m|x_o); 0 for none")
    parser.add_argument("--starts", type=positive, default=2048, help="see zoo.impute")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return parser.parse_args(arguments)


def measure_images(options: argparse.Namespace) -> None:
    """A checkpoint's blocks, then the baselines."""
    path = locate(options.source)
    model, dataset = zoo.load(path), str(checkpoint.read_metadata(path).dataset)
    x = images.test_images(model, dataset, options.data_root, options.examples)
    train = images.training_images(model, dataset, options.data_root)
    for mask in options.mask:
        observed = images.mask(mask, x)
        key = f"{dataset}/{mask}/{len(x)}"
        for name in BASELINES_OF_IMAGES:
            once(
                options,
                f"{key}/{name}",
                lambda n=name, o=observed: images.of_baseline(n, x, o, train),
            )
        parts = zip(x.split(options.block), observed.split(options.block), strict=True)
        for number, (part, seen) in enumerate(parts):
            place = f"{key}/{options.source}/{options.starts} starts/block {number}"
            once(
                options,
                place,
                lambda p=part, s=seen, n=number: {
                    "sha256": sha256(path),
                    **images.of_model(model, p, s, options.starts, options.draws, n),
                },
            )
        for name in (*BASELINES_OF_IMAGES, f"{options.source}/{options.starts} starts"):
            print(f"{key}/{name}: {summary(options, f'{key}/{name}')}", flush=True)


def measure_table(options: argparse.Namespace) -> None:
    """Every method on every mask of a table."""
    for share in options.share:
        for name in options.only:
            for number in options.masks:
                key = f"{options.source}/{share} %/{name}/mask {number}"
                once(
                    options,
                    key,
                    lambda n=name, s=share, i=number: tables.measured(
                        options.source, options.data_root, s, i, n
                    ),
                )
                print(f"{key}: {read_json(options.output)[key]['average']:.4f}", flush=True)


def once(options: argparse.Namespace, key: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Measure what is not recorded under a key."""
    _records.once(options.output, key, measure, command_of(__file__, options.data_root))


def summary(options: argparse.Namespace, start: str) -> str:
    """Means over all images of what is recorded, with their standard errors."""
    records = [each for key, each in read_json(options.output).items() if key.startswith(start)]
    said = []
    for name in ("squared_error", "log_p_alone", "log_p"):
        values = [value for record in records for value in record.get(name, [])]
        if len(values) > 1:
            error = statistics.stdev(values) / len(values) ** 0.5
            said.append(f"{name} {statistics.fmean(values):.4f} ± {error:.4f} ({len(values)})")
    return ", ".join(said)


def draw(options: argparse.Namespace) -> None:
    """Rows: what is observed, the truth, the best guess, four draws."""
    path = locate(options.source)
    model, dataset = zoo.load(path), str(checkpoint.read_metadata(path).dataset)
    x = images.test_images(model, dataset, options.data_root, 8)
    task, columns = Impute(Impute.Config()), []
    for mask in options.mask:
        observed = images.mask(mask, x)
        batch = zoo.Batch(x, observed=observed)
        guess = task.best_guess(model, batch, torch.Generator().manual_seed(0))
        draws = task.draw(model, batch, 4, torch.Generator().manual_seed(0))
        columns += [torch.where(observed, x, 0.5), x, guess, *draws]
    rows = torch.stack(columns, dim=1).flatten(0, 1)
    print(save_grid(PICTURE, rows, len(columns), scale=2))


if __name__ == "__main__":
    raise SystemExit(main())
