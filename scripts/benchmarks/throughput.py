"""Time variants' training steps and importance weights against the machine's matrix products.

``train``: whole steps of zoo's trainer (batch, forward, backward, guard, optimiser, average) on the
dataset's training images; of each variant as registered, or with --set, at every batch size.
``weights``: log-weights of --samples draws for each of as many test images as fill 1,024 rows, the
inner loop of importance-weighted likelihoods; counted are decoded examples.

Beside the images per second stands the fraction of the measured peak: the operations of products
and convolutions as PyTorch counts them (a multiplication and an addition are two; a step has three
times its forward pass's), by the seconds, by the rate of the fastest square matrix products in that
precision, measured in the same round. All else, normalisation, activation, likelihood, optimiser,
counts as nothing done.

    python scripts/benchmarks throughput nvae-lite-s --dataset mnist --data-root DIR [--json FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import product
from pathlib import Path

import torch
from _records import positive
from benchmarks._blocks import TYPES, counted, in_blocks, products
from benchmarks._figures import PRODUCTS, Case, Contender
from benchmarks._harness import build_parser, measure, report, start
from torch import Tensor

import zoo
from zoo.cli.settings import parse_settings
from zoo.data import Dataset, Examples, load_dataset
from zoo.training.device import autocast, choose_device
from zoo.training.launch import with_data
from zoo.training.loop import Trainer
from zoo.training.run import RunDirectory

ROWS = 1024


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = build_parser(__name__, __doc__, block=2.0)
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--set", action="append", default=[], metavar="model.KEY=VALUE")
    parser.add_argument("--batch", type=positive, nargs="+", default=[64, 128, 256])
    parser.add_argument("--precision", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    parser.add_argument("--samples", type=positive, default=64)
    parser.add_argument("--device", default="auto")
    options = start(parser, arguments)
    data = load_dataset(options.dataset, root=options.data_root)
    with tempfile.TemporaryDirectory() as folder:
        cases = build_cases(options, data, Path(folder))
        report(options, cases, measure(cases, options))
    return 0


def build_cases(options: argparse.Namespace, data: Dataset, folder: Path) -> list[Case]:
    """Every precision, work and batch, with all variants in it."""
    test = data.test.take(max(1, ROWS // options.samples))
    work = [*product(["train"], options.batch), ("weights", len(test))]

    def contender(variant: str, kind: str, batch: int, precision: str) -> Contender:
        trainer = build_trainer(variant, batch, precision, options, data, folder)
        if kind == "train":
            return training(trainer, options)
        return weighing(trainer, test, options)

    def case(kind: str, batch: int, precision: str) -> Case:
        contenders = {PRODUCTS: products(precision, choose_device(options.device))}
        contenders |= {v: contender(v, kind, batch, precision) for v in options.variants}
        about = {"work": kind, "batch": batch, "precision": precision}
        return Case(about, contenders, "images")

    return [case(*each, precision) for precision in options.precision for each in work]


def build_trainer(
    variant: str,
    batch: int,
    precision: str,
    options: argparse.Namespace,
    data: Dataset,
    folder: Path,
) -> Trainer:
    """The trainer as ``zoo.train`` builds it, with a moving average."""
    asked = zoo.Experiment.build(
        variant,
        options.dataset,
        model=parse_settings(options.set)["model"],
        train={
            "batch_size": batch,
            "precision": precision,
            "device": options.device,
            "compile": options.compile,
            "ema_decay": 0.999,
        },
    )
    data, experiment = with_data(asked, data)
    device = choose_device(options.device)
    return Trainer(experiment, data, RunDirectory(folder), device, visible=False)


def training(trainer: Trainer, options: argparse.Namespace) -> Contender:
    """A step of the trainer, each on the next batch of an epoch that never ends."""
    order, kind = trainer.order_of(0), trainer.model.input_kind
    loss_of = trainer.compiled() if trainer.config.compile else trainer.loss_of

    def step() -> None:
        trainer.position.step %= trainer.steps_per_epoch
        start = trainer.position.step * trainer.batch_size
        index = order[start : start + trainer.batch_size]
        trainer.take_step(loss_of, trainer.train_split.batch(index, kind=kind))

    trainer.model.train()
    batch = trainer.train_split.batch(order[: trainer.batch_size], kind=kind)
    operations = 3 * counted(lambda: trainer.model.infer(batch).elbo)
    return in_blocks(options, step, trainer.batch_size, operations)


def weighing(trainer: Trainer, examples: Examples, options: argparse.Namespace) -> Contender:
    """The log-weights of a chunk of examples, of a model that no step changes."""
    model = trainer.model.eval()
    fixed = examples.fixed(model.input_kind, seed=0).to(trainer.device)
    everything = torch.arange(len(fixed), device=trainer.device)
    batch = fixed.batch(everything, kind=model.input_kind)

    @torch.no_grad()
    def weigh() -> Tensor:
        with autocast(trainer.config, trainer.device):
            return model.infer(batch, options.samples).log_weights

    return in_blocks(options, weigh, len(fixed) * options.samples, counted(weigh))
