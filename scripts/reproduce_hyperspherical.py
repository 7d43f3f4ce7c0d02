"""The N-VAE and S-VAE of Davidson et al. 2018 (arXiv:1804.00891, table 1) on MNIST.

Their protocol: 784-256-128 and 128-256-784 with ReLU, Bernoulli pixels drawn anew for every batch,
batches of 64, Adam at 1e-3, a linear KL warm-up over 100 epochs, early stopping after 50 epochs
without a better validation ELBO, at most 500 epochs; log-likelihoods are importance-weighted with
500 samples on the 10,000 test images. Their figures are means and deviations over ten runs.

zoo's S-VAE departs from theirs in two points (see zoo/posteriors/directional.py): the concentration
is exp(.) + 1 instead of softplus(.) + 1, and the decoder reads sqrt(d + 1) z.

Their dimension d stands for the sphere S^d: the codes of the S-VAE ("vmf") have d + 1 numbers,
those of the N-VAE ("gaussian") beside it d. Beside log p(x) every run records the decoupled figure,
with which the paper's log-likelihoods are consistent (see _decoupled.py), and the accuracy of 5
nearest neighbours among 100, 600 and 1000 labelled codes.

Without --train nothing is trained: what stands and what is missing is shown, and how long it would
take. Every run has a directory of its own. A call that was killed goes on where it was, and a
finished run is measured without being trained again. A recorded one is left as it is, also where it
lacks what is measured since, unless its directory stands. The results are added to those in the
output file; several processes may do so at once.

    python scripts/reproduce_hyperspherical.py --data-root DIR [--dims 2 5] [--seeds 0 1 2]
    python scripts/reproduce_hyperspherical.py --data-root DIR --train
    python scripts/reproduce_hyperspherical.py --table        # trains nothing
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from _decoupled import measure_decoupled
from _hyperspherical_tables import (
    LABELS,
    NAMES,
    Record,
    knn_table,
    likelihood_table,
    markdown_table,
    run_of,
)
from _timing import environment, positive, training_seconds, write_json
from filelock import FileLock

import zoo
from zoo.data import Dataset, load_dataset
from zoo.errors import DataError
from zoo.evaluation import Estimate, Evaluation, encode_split, knn_accuracy

BATCH_SIZE = 64
VARIANTS = {"gaussian": "gaussian-vae", "vmf": "vmf-vae"}
DEFAULTS = {"epochs": 500, "warmup_epochs": 100, "patience": 50, "samples": 500}
NEIGHBOURS = 5
DRAWS = 20
"""Of the labelled codes, for each number of labels."""


class Run(NamedTuple):
    """One training of the table."""

    posterior: str
    dim: int
    seed: int

    def directory(self, pattern: str) -> str:
        """Its folder; raises KeyError, IndexError or ValueError for a pattern that is none."""
        return pattern.format(posterior=self.posterior, d=self.dim, seed=self.seed)

    @property
    def latent_dim(self) -> int:
        """How many numbers a code has: one more than its dimension on a sphere."""
        return self.dim + 1 if self.posterior == "vmf" else self.dim

    def command(self, options: argparse.Namespace) -> str:
        """The command line that repeats this run alone."""
        parts = ["python", "scripts/reproduce_hyperspherical.py", "--train"]
        parts += ["--posteriors", self.posterior]
        parts += ["--dims", str(self.dim), "--seeds", str(self.seed)]
        for name, default in DEFAULTS.items():
            if getattr(options, name) != default:
                parts += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        return shlex.join(parts)


def train(run: Run, steps_per_epoch: int, options: argparse.Namespace) -> zoo.Run:
    """The run, gone on with or taken as it is where it exists."""
    return zoo.train(
        VARIANTS[run.posterior],
        dataset="mnist",
        directory=run.directory(options.directory),
        data_root=options.data_root,
        epochs=options.epochs,
        batch_size=BATCH_SIZE,
        lr=1e-3,
        kl_warmup_steps=options.warmup_epochs * steps_per_epoch,
        patience=options.patience,
        seed=run.seed,
        latent_dim=run.latent_dim,
        backbone={"name": "mlp", "hidden": [256, 128]},
    )


def settings(dataset: Dataset, options: argparse.Namespace) -> dict[str, int]:
    """What of a record says how it was trained."""
    steps_per_epoch = len(dataset.train) // BATCH_SIZE
    return {
        "epochs": options.epochs,
        "patience": options.patience,
        "kl_warmup_steps": options.warmup_epochs * steps_per_epoch,
    }


def reproduce(run: Run, dataset: Dataset, options: argparse.Namespace) -> Record:
    """Train and measure; one record of the output file."""
    trained = train(run, len(dataset.train) // BATCH_SIZE, options)
    score = zoo.evaluate(
        trained.directory, dataset="mnist", samples=options.samples, data_root=options.data_root
    )
    return {
        "posterior": run.posterior,
        "d": run.dim,
        "seed": run.seed,
        **likelihoods(score),
        "decoupled": decoupled(trained.directory, dataset),
        "knn": accuracies(trained.directory, dataset),
        "samples": score.samples,
        "test_set": score.test_set,
        "epochs": len(trained.history),
        "best_epoch": trained.metrics["epoch"],
        "validation_elbo": trained.metrics["validation_elbo"],
        "seconds": training_seconds(trained.directory, len(trained.history)),
        "settings": settings(dataset, options),
        "command": run.command(options),
        **environment(),
    }


def likelihoods(score: Evaluation) -> dict[str, dict[str, float]]:
    """The table's figures with standard errors over test examples."""
    named: dict[str, Estimate | None] = {
        "nll": score.nll,
        "elbo": score.elbo,
        "re": score.log_likelihood,
        "kl": score.kl,
    }
    return {name: found.model_dump() for name, found in named.items() if found is not None}


def decoupled(directory: Path, dataset: Dataset) -> dict[str, float]:
    """What the authors' example computes for log p(x), on the test images of the other figures."""
    return measure_decoupled(zoo.load(directory), dataset.test).model_dump(exclude_none=True)


def accuracies(directory: Path, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Fractions of test codes classified rightly, with standard errors over draws of labels.

    On the sphere the nearest code by distance is the nearest by angle.
    """
    model = zoo.load(directory)
    train, test = dataset.train, dataset.test
    if train.labels is None or test.labels is None:
        raise DataError(f"{dataset.name} has no labels, which nearest neighbours need")
    examples = encode_split(model, train), train.labels, encode_split(model, test), test.labels
    return {
        str(count): knn_accuracy(
            *examples, labels=count, neighbours=NEIGHBOURS, repeats=DRAWS
        ).model_dump()
        for count in LABELS
    }


def read_records(path: Path) -> list[Record]:
    """The records of the output file, none where there is no file yet."""
    if not path.exists():
        return []
    records: list[Record] = json.loads(path.read_text(encoding="utf-8"))["records"]
    return records


def add_record(path: Path, record: Record) -> None:
    """Put a record into the file, in place of an older one of the same run.

    Another process that adds one at the same time waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        records = [old for old in read_records(path) if run_of(old) != run_of(record)]
        records = sorted([*records, record], key=run_of)
        write_json(path, {"paper": "arXiv:1804.00891, table 1", "records": records})


class State(NamedTuple):
    """What stands of a run, in words, and what is to be done: nothing, measure it, or train it."""

    words: str
    measure: bool = False
    train: bool = False


def state_of(
    run: Run, records: list[Record], wanted: dict[str, int], options: argparse.Namespace
) -> State:
    """What stands of a run that is so trained and measured."""
    directory = Path(run.directory(options.directory))
    recorded = [
        record
        for record in records
        if run_of(record) == (run.dim, run.posterior, run.seed)
        and record["settings"] == wanted
        and record["samples"] == options.samples
    ]
    lacking = [name for record in recorded for name in lacking_in(record)]
    if recorded and not lacking:
        return State(f"recorded in {options.output}")
    if directory.exists():
        return State(f"goes on in {directory}, or is measured if it is finished", measure=True)
    if recorded:
        return State(
            f"recorded in {options.output} without {', '.join(lacking)}, which only a new training "
            "would tell; give another --output to train it again"
        )
    return State(f"missing, about {expected_seconds(run, records) / 60:.0f} min", True, True)


def lacking_in(record: Record) -> list[str]:
    """What a record lacks that a new one has."""
    knn = set(map(str, LABELS)) <= set(record.get("knn", {}))
    return [*["decoupled"] * ("decoupled" not in record), *["knn"] * (not knn)]


def expected_seconds(run: Run, records: list[Record]) -> float:
    """What a run took of that posterior and dimension, or else the longest of all; 0 of none."""
    alike = [r for r in records if (r["posterior"], r["d"]) == (run.posterior, run.dim)]
    return max((record.get("seconds", 0.0) for record in alike or records), default=0.0)


def runs_of(options: argparse.Namespace) -> list[Run]:
    """All that were asked for: the whole table with the first seed, then with the next."""
    asked = itertools.product(options.seeds, options.dims, options.posteriors)
    return list(dict.fromkeys(Run(posterior, dim, seed) for seed, dim, posterior in asked))


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--posteriors", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    dims = [2, 5, 10, 20, 40]
    parser.add_argument("--dims", type=positive, nargs="+", default=dims, metavar="D")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    parser.add_argument(
        "--directory",
        default="runs/hyperspherical/{posterior}-d{d}-s{seed}",
        help="a run's folder; {posterior}, {d} and {seed} are filled in (default: %(default)s)",
    )
    output = Path(__file__).resolve().parent / "results" / "hyperspherical.json"
    parser.add_argument("--output", type=Path, default=output, metavar="FILE")
    for name, default in DEFAULTS.items():
        text = "at most (%(default)s)" if name == "epochs" else "(%(default)s)"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=positive, default=default, metavar="N", help=text)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--train", action="store_true", help="train and measure what is missing")
    shown.add_argument("--table", action="store_true", help="only print the recorded figures")
    shown.add_argument(
        "--markdown", action="store_true", help="only print the table of docs/numbers.md"
    )
    options = parser.parse_args(arguments)
    check_directory(parser, options)
    return options


def check_directory(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a pattern that gives two runs one folder."""
    runs = runs_of(options)
    try:
        folders = {run.directory(options.directory) for run in runs}
    except (KeyError, IndexError, ValueError) as error:
        parser.error(
            f"--directory {options.directory!r}: only {{posterior}}, {{d}} and {{seed}} are "
            f"known: {error}"
        )
    if len(folders) < len(runs):
        parser.error(
            f"--directory {options.directory!r} gives several runs one folder; "
            "use {posterior}, {d} and {seed} in it"
        )


def go_through(options: argparse.Namespace) -> None:
    """Say of every run that is asked for what stands of it; with --train, do what is missing."""
    dataset = load_dataset("mnist", root=options.data_root)
    wanted, seconds, waiting = settings(dataset, options), 0.0, 0
    for run in runs_of(options):
        records = read_records(options.output)  # others may have added some
        state = state_of(run, records, wanted, options)
        name = f"{NAMES[run.posterior]}, d = {run.dim}, seed {run.seed}"
        print(f"{name}: {state.words}", file=sys.stderr, flush=True)
        waiting += state.measure
        seconds += state.train * expected_seconds(run, records)
        if state.measure and options.train:
            add_record(options.output, reproduce(run, dataset, options))
    if waiting and not options.train:
        print(
            f"nothing was trained; with --train {waiting} runs are, or go on, in about "
            f"{seconds / 3600:.1f} h as the recorded ones took",
            file=sys.stderr,
        )


def main(arguments: list[str] | None = None) -> int:
    """Say what stands, train and measure what is missing if that is asked for; print the tables."""
    options = parse_arguments(arguments)
    if not (options.table or options.markdown):
        try:
            go_through(options)
        except zoo.ZooError as error:
            raise SystemExit(f"error: {error}") from error
    records = read_records(options.output)
    if not records:
        raise SystemExit(f"error: {options.output} holds no records; run with --train first")
    if options.markdown:
        print(markdown_table(records))
    else:
        print(f"{likelihood_table(records)}\n\n{knn_table(records)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
