"""Trainers of one VAE, each in a process of its own that trains it again and again."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from benchmarks._figures import Contender
from benchmarks._workers import Worker, answering
from torch import Tensor, nn
from torch.nn import functional as F

LEARNING_RATE = 1e-3
VALIDATION = 500
TEST = 1000
Segment = Callable[[], list[float]]
"""Trains once from scratch; returns when it began and when each epoch ended, in seconds."""


@dataclass(frozen=True)
class Job:
    """What a trainer's process is told: to train multilayer perceptrons on a file of images."""

    trainer: Literal["bare", "zoo", "pythae"]
    hidden: tuple[int, ...] = (400,)
    latent: int = 20
    batch: int = 128
    variant: str = "gaussian-vae"
    precision: str = "float32"
    compile: bool = False
    device: str = "cpu"
    data: str = ""
    epochs: int = 3
    threads: int = 1


class Training:
    """A job and its process. Measured is a step, from the end of the first epoch to the last's."""

    def __init__(self, job: Job, images: int, python: str) -> None:
        self.job = job
        command = [python, str(Path(__file__).parent), "training", "--worker"]
        self.worker = Worker([*command, json.dumps(asdict(job))], job.threads)
        self.starts: list[float] = []
        steps = images // job.batch
        if job.trainer == "pythae":  # it trains on the last, partial batch too
            steps = -(-images // job.batch)
        used = min(images, steps * job.batch)
        self.contender = Contender(lambda: self.epoch_seconds() / steps, used / steps)

    def epoch_seconds(self) -> float:
        """Of a training from scratch; what came before the first epoch is kept in ``starts``."""
        stamps: list[float] = json.loads(self.worker.ask())
        seconds = (stamps[-1] - stamps[1]) / (len(stamps) - 2)
        self.starts.append(max(0.0, stamps[1] - stamps[0] - seconds))
        return seconds

    @property
    def start_seconds(self) -> float:
        """What precedes the first epoch's end, less one epoch."""
        return statistics.median(self.starts)


@contextmanager
def on_mnist(jobs: Mapping[str, Job], options: argparse.Namespace) -> Iterator[dict[str, Training]]:
    """Each job in a process of its own until the block is left, at the size of the options."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = Path(folder) / "mnist.npz"
        images = write_data(data, options.data_root)
        trainings = {}
        for name, job in jobs.items():
            python = options.pythae_python if job.trainer == "pythae" else sys.executable
            epochs, threads = options.epochs + 1, options.threads
            job = replace(job, data=str(data), epochs=epochs, threads=threads)
            trainings[name] = Training(job, images, python)
            stack.callback(trainings[name].worker.stop)
        yield trainings


def work(text: str) -> int:
    """The life of a trainer's process: at every line that comes in, a segment."""
    content = json.loads(text)
    job = Job(**{**content, "hidden": tuple(content["hidden"])})
    torch.set_num_threads(job.threads)
    with answering() as answer:
        segment = TRAINERS[job.trainer](job)
        answer("ready")
        for _ in sys.stdin:
            answer(json.dumps(segment()))
    return 0


def write_data(path: Path, root: str | None) -> int:
    """MNIST with a small validation split, as a .npz file; returns the training set's size."""
    from zoo.data import load_dataset  # here: pythae's process has no zoo

    data = load_dataset("mnist", root=root)
    parts = {
        "train": data.train,
        "validation": data.validation.take(VALIDATION),
        "test": data.test.take(TEST),
    }
    arrays: dict[str, Any] = {key: split.rows.numpy() for key, split in parts.items()}
    np.savez(path, **arrays)
    return len(data.train)


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
    (hidden,) = job.hidden

    def segment() -> list[float]:
        stamps = [time.time()]
        model = PlainVAE(images.shape[1], hidden, job.latent)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
        for _ in range(job.epochs):
            order = torch.randperm(len(images))
            for index in order[: len(order) // job.batch * job.batch].view(-1, job.batch):
                # The fastest of the plain ways to binarise: torch.bernoulli costs six times this.
                x = torch.rand(len(index), images.shape[1]).mul_(255).lt_(images[index])
                loss = model(x)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            stamps.append(time.time())
        return stamps

    return segment


def zoo_train(job: Job) -> Segment:
    """The public verb with its defaults, apart from what defines the task."""
    import zoo

    def segment() -> list[float]:
        torch.compiler.reset()  # else the ninth model compiled in one process is run eagerly
        with tempfile.TemporaryDirectory() as folder:
            began = time.time()
            zoo.train(
                job.variant,
                dataset=job.data,
                directory=folder,
                epochs=job.epochs,
                batch_size=job.batch,
                lr=LEARNING_RATE,
                device=job.device,
                precision=job.precision,
                compile=job.compile,
                latent_dim=job.latent,
                backbone={"name": "mlp", "hidden": list(job.hidden)},
                likelihood="bernoulli",
            )
            return [began, *epoch_stamps(Path(folder))]

    return segment


def epoch_stamps(directory: Path) -> list[float]:
    """When each epoch of a run ended, in seconds since 1970, from its TensorBoard events."""
    from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]
        event_accumulator,
    )

    events = event_accumulator.EventAccumulator(str(directory / "tensorboard")).Reload()
    return [event.wall_time for event in events.Scalars("train/loss")]


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
        config = VAEConfig(input_dim=shape, latent_dim=job.latent, reconstruction_loss="bce")
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=job.epochs,
                per_device_train_batch_size=job.batch,
                per_device_eval_batch_size=VALIDATION,
                learning_rate=LEARNING_RATE,
                no_cuda=True,
            )
            BaseTrainer(VAE(config), train, validation, settings, callbacks=[Stamp()]).train()
        return list(stamps)

    return segment


TRAINERS = {"bare": bare_loop, "zoo": zoo_train, "pythae": pythae_train}
