"""The Gaussian VAE of Davidson et al. 2018 (arXiv:1804.00891, table 1, rows "N-VAE") on MNIST.

Their protocol: 784-256-128 and 128-256-784 with ReLU, Bernoulli pixels drawn anew for every batch,
batches of 64, Adam at 1e-3, a linear KL warm-up over 100 epochs, early stopping after 50 epochs
without a better validation ELBO, at most 500 epochs; log-likelihoods are importance-weighted with
500 samples on the 10,000 test images. Their figures are means and deviations over ten runs.

Their dimension d stands for the sphere S^d, whose codes have d + 1 numbers; the Gaussian rows
beside it are reproduced here with d latent dimensions.

Every run has a directory of its own. A call that was killed goes on where it was, and a finished
run is measured without being trained again. The results are added to those in the output file.

    python scripts/reproduce_nvae.py --data-root DIR [--dims 2 5 10 20 40] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from _timing import environment, positive, training_seconds, write_json

import zoo
from zoo.data import load_dataset
from zoo.evaluation import Estimate, Evaluation

BATCH_SIZE = 64


class Figures(NamedTuple):
    """Nats per example, in the paper's signs; ``deviation`` is that of the log-likelihood."""

    log_likelihood: float
    deviation: float
    elbo: float
    reconstruction: float
    kl: float


PAPER = {
    2: Figures(-135.73, 0.83, -137.08, -129.84, 7.24),
    5: Figures(-110.21, 0.21, -112.98, -100.16, 12.82),
    10: Figures(-93.84, 0.30, -98.36, -78.93, 19.44),
    20: Figures(-88.90, 0.26, -94.79, -71.29, 23.50),
    40: Figures(-88.93, 0.30, -94.91, -71.14, 23.77),
}


def train(dim: int, seed: int, steps_per_epoch: int, options: argparse.Namespace) -> zoo.Run:
    """The run of one dimension and seed, gone on with or taken as it is where it exists."""
    return zoo.train(
        "gaussian-vae",
        dataset="mnist",
        directory=options.directory.format(d=dim, seed=seed),
        data_root=options.data_root,
        epochs=options.epochs,
        batch_size=BATCH_SIZE,
        lr=1e-3,
        kl_warmup_steps=options.warmup_epochs * steps_per_epoch,
        patience=options.patience,
        seed=seed,
        latent_dim=dim,
        backbone={"name": "mlp", "hidden": [256, 128]},
    )


def reproduce(
    dim: int, seed: int, steps_per_epoch: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Train and measure; one record of the output file."""
    run = train(dim, seed, steps_per_epoch, options)
    score = zoo.evaluate(
        run.directory, dataset="mnist", samples=options.samples, data_root=options.data_root
    )
    return {
        "d": dim,
        "seed": seed,
        **figures_of(score),
        "samples": score.samples,
        "test_set": score.test_set,
        "epochs": len(run.history),
        "best_epoch": run.metrics["epoch"],
        "validation_elbo": run.metrics["validation_elbo"],
        "seconds": training_seconds(run.directory, len(run.history)),
        "settings": {"epochs": options.epochs, "patience": options.patience,
                     "kl_warmup_steps": options.warmup_epochs * steps_per_epoch},
        "command": shlex.join(["python", "scripts/reproduce_nvae.py", *options.given]),
        **environment(),
    }  # fmt: skip


def figures_of(score: Evaluation) -> dict[str, dict[str, float]]:
    """The table's figures with standard errors over test examples."""
    named: dict[str, Estimate | None] = {
        "nll": score.nll,
        "elbo": score.elbo,
        "re": score.log_likelihood,
        "kl": score.kl,
    }
    return {name: found.model_dump() for name, found in named.items() if found is not None}


def add_record(path: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Put a record into the file, in place of an older one of the same run; returns all."""
    records = json.loads(path.read_text(encoding="utf-8"))["records"] if path.exists() else []
    records = [old for old in records if (old["d"], old["seed"]) != (record["d"], record["seed"])]
    records = sorted([*records, record], key=lambda each: (each["d"], each["seed"]))
    write_json(path, {"paper": "arXiv:1804.00891, table 1, N-VAE", "records": records})
    return records


def print_table(records: list[dict[str, Any]]) -> None:
    """Ours beside the paper's, a line for each run and one for the mean of several seeds."""
    print(
        "nats per example. ours: +- one standard error over test examples (mean: deviation over "
        "seeds); paper: +- deviation over ten runs\n"
    )
    print(f"{'d':>3} {'seed':>5}{'log p(x), ours':>20}{'paper':>18}{'difference':>20}", end="")
    print("".join(f"{name:>20}" for name in ("ELBO (paper)", "RE (paper)", "KL (paper)")))
    for dim in sorted({record["d"] for record in records}):
        runs = [record for record in records if record["d"] == dim]
        for run in runs:
            print_row(dim, str(run["seed"]), our_figures(run))
        if len(runs) > 1:
            print_row(dim, "mean", mean_figures(runs))


def our_figures(record: dict[str, Any]) -> Figures:
    """A record in the paper's signs; the standard error stands for the deviation."""
    nll, elbo, re, kl = (record[name] for name in ("nll", "elbo", "re", "kl"))
    return Figures(-nll["value"], nll["stderr"], elbo["value"], re["value"], kl["value"])


def mean_figures(records: list[dict[str, Any]]) -> Figures:
    """The mean over seeds, with the deviation of the log-likelihood between them."""
    runs = [our_figures(record) for record in records]
    log_likelihood, _, elbo, re, kl = (
        statistics.mean(column) for column in zip(*runs, strict=True)
    )
    deviation = statistics.stdev(run.log_likelihood for run in runs)
    return Figures(log_likelihood, deviation, elbo, re, kl)


def print_row(dim: int, seed: str, ours: Figures) -> None:
    """One line; better than the paper is a positive difference."""
    line = f"{dim:3} {seed:>5}{plus_minus(ours.log_likelihood, ours.deviation):>20}"
    paper = PAPER.get(dim)
    if paper is None:
        print(
            line + f"{'-':>18}{'-':>20}{ours.elbo:20.2f}{ours.reconstruction:20.2f}{ours.kl:20.2f}"
        )
        return
    difference = ours.log_likelihood - paper.log_likelihood
    error = (ours.deviation**2 + paper.deviation**2) ** 0.5
    line += f"{plus_minus(paper.log_likelihood, paper.deviation):>18}"
    line += f"{difference:+12.2f} +- {error:.2f}"
    for own, theirs in zip(ours[2:], paper[2:], strict=True):
        line += f"{f'{own:.2f} ({theirs:.2f})':>20}"
    print(line)


def plus_minus(value: float, error: float) -> str:
    """A figure and its error."""
    return f"{value:.2f} +- {error:.2f}"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--dims", type=positive, nargs="+", default=[10, 20], metavar="D")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    parser.add_argument(
        "--directory",
        default="runs/nvae/d{d}-s{seed}",
        help="a run's folder; {d} and {seed} are filled in (default: %(default)s)",
    )
    output = Path(__file__).resolve().parent / "results" / "nvae.json"
    parser.add_argument("--output", type=Path, default=output, metavar="FILE")
    parser.add_argument("--epochs", type=positive, default=500, help="at most (%(default)s)")
    parser.add_argument("--warmup-epochs", type=positive, default=100, help="(%(default)s)")
    parser.add_argument("--patience", type=positive, default=50, help="epochs (%(default)s)")
    parser.add_argument("--samples", type=positive, default=500, help="(%(default)s)")
    options = parser.parse_args(arguments)
    options.given = sys.argv[1:] if arguments is None else arguments
    check_directory(parser, options)
    return options


def check_directory(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a pattern that gives two runs one folder."""
    runs = [(dim, seed) for dim in set(options.dims) for seed in set(options.seeds)]
    try:
        folders = {options.directory.format(d=dim, seed=seed) for dim, seed in runs}
    except (KeyError, IndexError, ValueError) as error:
        parser.error(
            f"--directory {options.directory!r}: only {{d}} and {{seed}} are known: {error}"
        )
    if len(folders) < len(runs):
        parser.error(
            f"--directory {options.directory!r} gives several runs one folder; "
            "use {d} and {seed} in it"
        )


def main(arguments: list[str] | None = None) -> int:
    """Train and measure every dimension and seed, then print the table."""
    options = parse_arguments(arguments)
    records: list[dict[str, Any]] = []
    try:
        training = load_dataset("mnist", root=options.data_root).train
        for dim in options.dims:
            for seed in options.seeds:
                record = reproduce(dim, seed, len(training) // BATCH_SIZE, options)
                records = add_record(options.output, record)
    except zoo.ZooError as error:
        raise SystemExit(f"error: {error}") from error
    print_table(records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
