"""Time variants' training steps and importance weights against the machine's matrix products.

``train``: whole steps of zoo's trainer (batch, forward, backward, guard, optimiser, average) on the
dataset's training images; of each variant as registered, or with --set, at every batch size.
``weights``: log-weights of --samples draws for each of as many test images as fill 1,024 rows, the
inner loop of importance-weighted likelihoods; counted are decoded examples.

Beside the images per second stands the fraction of the measured peak: the operations of products
and convolutions as PyTorch counts them (a multiplication and an addition are two; a step has three
times its forward pass's), by the seconds, by the rate of square matrix products in that precision.
That is the fastest of three sizes, each as ``torch.mm`` and as a 1 x 1 convolution over maps of
4 x 4: on some processors these go through libraries of different speed. All else, normalisation,
activation, likelihood, optimiser, counts as nothing done.

In each round every case does a block of at least --block seconds just after the products of its
precision. Foreign processor time is measured all the while: what was disturbed is left out where
something undisturbed remains, and shown with a "!" where not; shown are median and extremes.

    python scripts/benchmark_throughput.py nvae-lite-s --dataset mnist --data-root DIR [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from _timing import (
    Load,
    add_timing_arguments,
    duration,
    environment,
    measured_load,
    positive,
    quiet,
    spread,
    wait_until_quiet,
    write_json,
)
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.cli.settings import parse_settings
from zoo.core.condition import conditioned_on
from zoo.data import Dataset, Examples, load_dataset
from zoo.memory import keep_freed_memory
from zoo.training.device import autocast, choose_device
from zoo.training.launch import complete
from zoo.training.loop import Trainer
from zoo.training.run import RunDirectory

SIZES = {"cpu": (512, 1024, 2048), "cuda": (1024, 2048, 8192)}
PEAK_SECONDS = 0.2
ROWS = 1024
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """What is timed."""

    variant: str
    work: str
    batch: int
    precision: str

    def __str__(self) -> str:
        return f"{self.variant}, {self.work}, batch {self.batch}, {self.precision}"


@dataclass(frozen=True)
class Task:
    """One repetition of a case: a call, the images in it, and its operations."""

    call: Callable[[], object]
    images: int
    operations: int


@dataclass(frozen=True)
class Visit:
    """One block: images and operations per second, and the peak measured just before."""

    images: float
    operations: float
    peak: float
    load: Load

    @property
    def fraction(self) -> float:
        """Of the peak."""
        return self.operations / self.peak


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--set", action="append", default=[], metavar="model.KEY=VALUE")
    parser.add_argument("--batch", type=positive, nargs="+", default=[64, 128, 256])
    parser.add_argument("--precision", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    parser.add_argument("--samples", type=positive, default=64)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--block", type=duration, default=2.0, metavar="SECONDS")
    parser.add_argument("--device", default="auto")
    add_timing_arguments(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    data = load_dataset(options.dataset, root=options.data_root)
    with tempfile.TemporaryDirectory() as folder:
        tasks = prepare(options, data, Path(folder))
        rows = [summarise(case, visits) for case, visits in measure(tasks, options).items()]
    show(rows)
    if options.json:
        content = {"environment": environment(), "threads": options.threads, "cases": rows}
        write_json(options.json, content)
    return 0


def prepare(options: argparse.Namespace, data: Dataset, folder: Path) -> dict[Case, Task]:
    """Every case, ready to be timed."""
    tasks = {}
    images = max(1, ROWS // options.samples)
    for variant, precision in product(options.variants, options.precision):
        for batch in options.batch:
            trainer = build_trainer(variant, batch, precision, options, data, folder)
            tasks[Case(variant, "train", trainer.batch_size, precision)] = training(trainer)
        trainer = build_trainer(variant, 1, precision, options, data, folder)
        test = data.test.take(images)
        case = Case(variant, "weights", len(test), precision)
        tasks[case] = weighing(trainer, test, options.samples)
    return tasks


def build_trainer(
    variant: str,
    batch: int,
    precision: str,
    options: argparse.Namespace,
    data: Dataset,
    folder: Path,
) -> Trainer:
    """The trainer as ``zoo.train`` builds it, with a moving average."""
    experiment = zoo.Experiment.build(
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
    device = choose_device(options.device)
    run = RunDirectory(folder)
    experiment = complete(experiment, data)
    data = data.conditioned(conditioned_on(experiment.model))
    return Trainer(experiment, data, run, device, visible=False)


def training(trainer: Trainer) -> Task:
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
    return Task(step, trainer.batch_size, 3 * counted(lambda: trainer.model.infer(batch).elbo))


def weighing(trainer: Trainer, examples: Examples, samples: int) -> Task:
    """The log-weights of a chunk of examples, of a model that no step changes."""
    model = trainer.model.eval()
    fixed = examples.fixed(model.input_kind, seed=0).to(trainer.device)
    everything = torch.arange(len(fixed), device=trainer.device)
    batch = fixed.batch(everything, kind=model.input_kind)

    @torch.no_grad()
    def weigh() -> Tensor:
        with autocast(trainer.config, trainer.device):
            return model.infer(batch, samples).log_weights

    return Task(weigh, len(fixed) * samples, counted(weigh))


def counted(call: Callable[[], object]) -> int:
    """Operations of the products and convolutions in a call."""
    # Of attention PyTorch counts the products only where they are written out.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    total: int = counter.get_total_flops()
    return total


def measure(tasks: dict[Case, Task], options: argparse.Namespace) -> dict[Case, list[Visit]]:
    """All rounds."""
    device = choose_device(options.device)
    visits: dict[Case, list[Visit]] = {case: [] for case in tasks}
    for number in range(1, options.rounds + 1):
        for case, task in tasks.items():
            wait_until_quiet(options.wait)
            with measured_load() as load:
                peak = peak_rate(TYPES[case.precision], device)
                rate = 1 / seconds_of(task.call, options.block, device)
            visit = Visit(task.images * rate, task.operations * rate, peak, load)
            visits[case].append(visit)
            print(f"round {number}: {describe(case, visit)}", file=sys.stderr, flush=True)
    return visits


def describe(case: Case, visit: Visit) -> str:
    """One line while the benchmark runs."""
    return f"{case}: {visit.images:.0f} images/s; {visit.load}"


def peak_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of the fastest square product."""
    rates = []
    for size in SIZES[device.type]:
        a, b = (torch.rand(size, size, dtype=dtype, device=device) for _ in range(2))
        maps = a.view(-1, 4, 4, size).permute(0, 3, 1, 2)  # the channels innermost
        for multiply in (partial(torch.mm, a, b), partial(conv2d, maps, b[:, :, None, None])):
            rates.append(2 * size**3 / seconds_of(multiply, PEAK_SECONDS, device))
    return max(rates)


def seconds_of(call: Callable[[], object], block: float, device: torch.device) -> float:
    """Seconds for one call, of a block of at least so many seconds; waits for the device."""
    call()
    count, elapsed, repetitions = 0, 0.0, 1
    while elapsed < block:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(repetitions):
            call()
        synchronise(device)
        elapsed += time.perf_counter() - start
        count += repetitions
        repetitions *= 2
    return elapsed / count


def synchronise(device: torch.device) -> None:
    """Wait for an accelerator."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summarise(case: Case, visits: list[Visit]) -> dict[str, Any]:
    """One row: images per second and fraction of the peak over rounds."""
    images, mark = quiet([(visit.images, visit.load.disturbed) for visit in visits])
    fractions, _ = quiet([(visit.fraction, visit.load.disturbed) for visit in visits])
    return {
        **asdict(case),
        "images_per_second": spread(images),
        "fraction_of_peak": spread(fractions),
        "peak_gigaflops": spread([visit.peak / 1e9 for visit in visits]),
        "gigaflop_per_image": visits[0].operations / visits[0].images / 1e9,
        "mark": mark,
        "rounds": [asdict(visit) for visit in visits],
    }


def show(rows: list[dict[str, Any]]) -> None:
    """The table: medians, and the extremes over rounds in brackets."""
    print(f"{'':44}{'images/s':>26}{'of peak':>22}{'MFLOP each':>12}")
    for row in rows:
        case = Case(row["variant"], row["work"], row["batch"], row["precision"])
        median, low, high = row["images_per_second"]
        speed = f"{median:.0f} ({low:.0f} to {high:.0f}){row['mark']}"
        share = "{:.2f} ({:.2f} to {:.2f})".format(*row["fraction_of_peak"])
        print(f"{case!s:44}{speed:>26}{share:>22}{1e3 * row['gigaflop_per_image']:>12.1f}")


if __name__ == "__main__":
    sys.exit(main())
