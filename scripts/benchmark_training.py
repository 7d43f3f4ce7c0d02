"""Time zoo's trainer against the barest loop that trains the same VAE, and against pythae.

The task is one epoch of a 784-400-20-400-784 VAE on MNIST at batch 128. What is timed:

- ``bare``: images as uint8 in memory, indexed and binarised anew for each batch, eager float32,
  fused Adam. It logs nothing, saves nothing, validates nothing.
- ``zoo``, with ``-bf16`` (precision="bfloat16"), ``-compile`` (compile=True) or both: ``zoo.train``
  as a user calls it, with progress bar, metrics.jsonl, TensorBoard, checkpoints and validation
  (on 500 images: the split is made small, not left out).
- ``pythae`` (with --pythae-python): its VAE and BaseTrainer with its own 784-512-16 network, from
  memory, on images that are not binarised at all; beside it the same network in the bare loop
  (``bare-512``: how much there is to win) and in zoo (``zoo-512``).

Each contender is a process of its own that lives as long as the benchmark, its standard error a
terminal, so that progress bars are drawn. In each round every contender trains once from scratch,
in turn, while the others sleep. Counted is the wall-clock time from the end of the first epoch to
the end of the last, and all that happens between: so neither imports, reading the data nor
compiling count, but an epoch's validation, logging and saving do. What precedes the first epoch's
end, less one epoch, stands in the column "start".

Processor time of foreign processes is measured during every segment. A disturbed one is left out
where an undisturbed one remains, and shown with a "!" where not. Ratios are of images per second
within one round, never across rounds; shown are the median and the extremes over rounds.

    python scripts/benchmark_training.py --data-root DIR [--pythae-python PATH] [--json FILE]

pythae wants an environment of its own (torch, numpy, pydantic, scipy and scikit-learn in it):
``pip install --no-deps pythae==0.1.2 cloudpickle imageio tqdm``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from _timing import (
    Result,
    Worker,
    add_timing_arguments,
    answering,
    environment,
    epoch_stamps,
    note,
    positive,
    quiet,
    spread,
    train_once,
    wait_until_quiet,
    write_json,
)
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
VALIDATION = 500
TEST = 1000
BARS = (("bare", "zoo", 0.95, 1.25), ("pythae", "zoo-512", 1.45, 1.9))
"""Reference, the plain contender, what it must reach, what the fastest one should reach."""
Segment = Callable[[], list[float]]
"""Trains once from scratch; returns when it began and when each epoch ended, in seconds."""


@dataclass(frozen=True)
class Contender:
    """One row of the table. ``reference`` names the row it is compared with."""

    name: str
    kind: Literal["bare", "zoo", "pythae"]
    reference: str | None
    hidden: int = 400
    latent: int = 20
    precision: str = "float32"
    compile: bool = False


@dataclass(frozen=True)
class Job:
    """What a contender's process is told."""

    contender: Contender
    data: str
    epochs: int
    threads: int


# Each contender prepares in its own process what is then repeated.


class PlainVAE(nn.Module):
    """The network and the loss zoo trains by default, without any of its parts."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(pixels, hidden)
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.hidden = nn.Linear(latent, hidden)
        self.logits = nn.Linear(hidden, pixels)

    def forward(self, x: Tensor) -> Tensor:
        """Minus the ELBO of pixels (B, D) in {0, 1}, averaged over the batch."""
        mean, raw_scale = self.posterior(self.encoder(x).relu()).chunk(2, dim=-1)
        scale = F.softplus(raw_scale) + 1e-4
        z = mean + scale * torch.randn_like(mean)
        logits = self.logits(self.hidden(z).relu())
        misfit = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum()
        loss: Tensor = (misfit + kl) / len(x)
        return loss


def bare_loop(job: Job) -> Segment:
    """What one writes in an afternoon with care for speed."""
    with np.load(job.data) as arrays:
        images = torch.from_numpy(arrays["train"]).flatten(1)

    def segment() -> list[float]:
        stamps = [time.time()]
        model = PlainVAE(images.shape[1], job.contender.hidden, job.contender.latent)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
        for _ in range(job.epochs):
            for index in whole_batches(torch.randperm(len(images))):
                # The fastest of the plain ways to binarise: torch.bernoulli costs six times this.
                x = torch.rand(len(index), images.shape[1]).mul_(255).lt_(images[index])
                loss = model(x)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            stamps.append(time.time())
        return stamps

    return segment


def whole_batches(order: Tensor) -> tuple[Tensor, ...]:
    """The batches of an epoch, the last left out where it is not full."""
    batches = torch.split(order, BATCH_SIZE)
    return batches if len(batches[-1]) == BATCH_SIZE else batches[:-1]


def zoo_train(job: Job) -> Segment:
    """The public verb with its defaults, apart from what defines the task."""
    import zoo

    def segment() -> list[float]:
        torch.compiler.reset()  # else the ninth model compiled in one process is run eagerly
        with tempfile.TemporaryDirectory() as folder:
            began = time.time()
            zoo.train(
                "gaussian-vae",
                dataset=job.data,
                directory=folder,
                epochs=job.epochs,
                batch_size=BATCH_SIZE,
                lr=LEARNING_RATE,
                device="cpu",
                precision=job.contender.precision,
                compile=job.contender.compile,
                latent_dim=job.contender.latent,
                backbone={"name": "mlp", "hidden": [job.contender.hidden]},
                likelihood="bernoulli",
            )
            return [began, *epoch_stamps(Path(folder))]

    return segment


def pythae_train(job: Job) -> Segment:
    """pythae's own trainer and network (its MLP has always 512 hidden units)."""
    from pythae.data.datasets import BaseDataset  # type: ignore[import-not-found]
    from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found]
    from pythae.trainers import BaseTrainer, BaseTrainerConfig  # type: ignore[import-not-found]
    from pythae.trainers.training_callbacks import (  # type: ignore[import-not-found]
        TrainingCallback,
    )

    with np.load(job.data) as arrays:
        splits = [torch.from_numpy(arrays[key]) / 255 for key in ("train", "validation")]
    train, validation = (BaseDataset(x, torch.zeros(len(x))) for x in splits)
    stamps: list[float] = []

    class Stamp(TrainingCallback):  # type: ignore[misc]
        def on_log(self, training_config: Any, logs: Any, **others: Any) -> None:
            stamps.append(time.time())  # the last thing done for an epoch

    def segment() -> list[float]:
        stamps[:] = [time.time()]
        shape = tuple(splits[0].shape[1:])
        config = VAEConfig(
            input_dim=shape, latent_dim=job.contender.latent, reconstruction_loss="bce"
        )
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=job.epochs,
                per_device_train_batch_size=BATCH_SIZE,
                per_device_eval_batch_size=VALIDATION,
                learning_rate=LEARNING_RATE,
                no_cuda=True,
            )
            BaseTrainer(VAE(config), train, validation, settings, callbacks=[Stamp()]).train()
        return list(stamps)

    return segment


PREPARE = {"bare": bare_loop, "zoo": zoo_train, "pythae": pythae_train}


def work(text: str) -> None:
    """The life of a contender's process: at every line that comes in, a segment."""
    content = json.loads(text)
    job = Job(**{**content, "contender": Contender(**content["contender"])})
    torch.set_num_threads(job.threads)
    with answering() as answer:
        segment = PREPARE[job.contender.kind](job)
        answer("ready")
        for _ in sys.stdin:
            answer(json.dumps(segment()))


# The benchmark: rounds and the table.


def contenders(pythae: bool) -> dict[str, Contender]:
    """All that can run here: compilation needs a C++ compiler."""
    zoo = Contender("zoo", "zoo", "bare")
    rows = [Contender("bare", "bare", None), *_variations(zoo)]
    if pythae:
        rows.append(Contender("pythae", "pythae", None, hidden=512, latent=16))
        rows.append(Contender("bare-512", "bare", "pythae", hidden=512, latent=16))
        rows += _variations(replace(zoo, name="zoo-512", reference="pythae", hidden=512, latent=16))
    return {row.name: row for row in rows}


def _variations(plain: Contender) -> list[Contender]:
    fast = replace(plain, name=f"{plain.name}-bf16", precision="bfloat16")
    rows = [plain, fast]
    if any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        rows += [replace(row, name=f"{row.name}-compile", compile=True) for row in (plain, fast)]
    return rows


def write_data(path: Path, root: str | None) -> int:
    """MNIST with a small validation split, as a .npz file; returns the training set's size."""
    from zoo.data import load_dataset

    data = load_dataset("mnist", root=root)
    parts = {
        "train": data.train,
        "validation": data.validation.take(VALIDATION),
        "test": data.test.take(TEST),
    }
    arrays: dict[str, Any] = {key: split.rows.numpy() for key, split in parts.items()}
    np.savez(path, **arrays)
    return len(data.train)


def measure(jobs: list[Job], options: argparse.Namespace) -> dict[str, list[Result]]:
    """All rounds."""
    workers: dict[str, Worker] = {}
    results: dict[str, list[Result]] = {job.contender.name: [] for job in jobs}
    try:
        for job in jobs:
            other = job.contender.kind == "pythae"
            python = options.pythae_python if other else sys.executable
            command = [python, __file__, "--worker", json.dumps(asdict(job))]
            workers[job.contender.name] = Worker(command, job.threads)
        for number in range(1, options.rounds + 1):
            for name, worker in workers.items():
                wait_until_quiet(options.wait)
                results[name].append(train_once(worker))
                note(f"round {number} of {options.rounds}", name, results[name][-1])
    finally:
        for worker in workers.values():
            worker.stop()
    return results


def summarise(
    contender: Contender, results: dict[str, list[Result]], images: int
) -> dict[str, Any]:
    """One row of the table, figures over rounds as median, least and most."""
    own = results[contender.name]
    steps = images // BATCH_SIZE
    if contender.kind == "pythae":  # it trains on the last, partial batch too
        steps = -(-images // BATCH_SIZE)
    seen = min(images, steps * BATCH_SIZE)
    seconds, mark = quiet([(r.seconds, r.load.disturbed) for r in own])
    row: dict[str, Any] = {
        "name": contender.name,
        "mark": mark,
        "ms_per_step": spread([1e3 * second / steps for second in seconds]),
        "images_per_second": seen / statistics.median(seconds),
        "start_seconds": statistics.median(r.start for r in own),
        "left_out": len(own) - len(seconds),
        "reference": contender.reference,
        "ratio": None,
        "rounds": [asdict(r) for r in own],
    }
    base = results.get(contender.reference or "")
    if base:
        # pythae's partial batch: not the epochs are compared but the images in a second.
        share = seen / images if contender.reference == "pythae" else 1.0
        rounds = zip(own, base, strict=True)
        ratios = [
            (share * b.seconds / r.seconds, r.load.disturbed or b.load.disturbed) for r, b in rounds
        ]
        kept, row["mark"] = quiet(ratios)
        row["ratio"] = spread(kept)
    return row


def print_table(rows: list[dict[str, Any]]) -> None:
    """Median, and the extremes over rounds in brackets."""
    print(f"\n{'':22}{'ms/step':>24}{'images/s':>10}{'start':>9}   images/s over the reference's")
    for row in rows:
        median, low, high = row["ms_per_step"]
        times = f"{median:.2f} ({low:.2f} to {high:.2f})"
        line = f"{row['name'] + row['mark']:22}{times:>24}{row['images_per_second']:10,.0f}"
        line += f"{row['start_seconds']:8.2f}s"
        if row["ratio"]:
            median, low, high = row["ratio"]
            line += f"   {median:.3f} x {row['reference']} ({low:.3f} to {high:.3f})"
        print(line)
    left_out = sum(row["left_out"] for row in rows)
    print(f"\n{left_out} disturbed segments left out; ! marks rows where all were disturbed")


def print_bars(rows: list[dict[str, Any]]) -> None:
    """What was asked for beside what was reached: plain against the bar, the best at the goal."""
    for reference, plain, bar, goal in BARS:
        compared = [row for row in rows if row["ratio"] and row["reference"] == reference]
        own = {row["name"]: row["ratio"][0] for row in compared if row["name"].startswith("zoo")}
        best = max(own, key=lambda name: own[name], default="")
        for label, name, wanted in (("bar", plain, bar), ("goal", best, goal)):
            if name in own:
                met = "met" if own[name] >= wanted else "missed"
                print(f"{label} {wanted} x {reference}: {name} reaches {own[name]:.3f}, {met}")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; refuses contenders that cannot run here."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--epochs", type=positive, default=2, help="timed epochs in a segment")
    parser.add_argument("--pythae-python", metavar="PATH", help="a Python that has pythae")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="rows of the table; all")
    add_timing_arguments(parser)
    options = parser.parse_args(arguments)
    known = contenders(options.pythae_python is not None)
    options.contenders = options.contenders or list(known)
    if unknown := sorted(set(options.contenders) - set(known)):
        parser.error(f"unknown contenders {', '.join(unknown)}; here run {', '.join(known)}")
    options.chosen = [row for name, row in known.items() if name in options.contenders]
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, or one of its processes."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--worker"]:
        work(arguments[1])
        return 0
    options = parse_arguments(arguments)
    about = {**environment(), "threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist.npz"
        images = write_data(path, options.data_root)
        jobs = [Job(row, str(path), options.epochs + 1, options.threads) for row in options.chosen]
        results = measure(jobs, options)
    rows = [summarise(row, results, images) for row in options.chosen]
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print_table(rows)
    print_bars(rows)
    if options.json:
        write_json(options.json, {"environment": about, "rows": rows})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
