"""What accelerator_check.py asks of a variant: each check returns what it found, by name."""

from __future__ import annotations

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from benchmarks._blocks import TYPES, peak_rate, seconds_of, synchronise, waiting_is_an_error
from benchmarks._trainers import PlainVAE
from benchmarks.throughput import build_trainer, training
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.condition import ConditionConfig
from zoo.core.model import LatentVariableModel
from zoo.data import load_dataset, load_for_model
from zoo.randomness import seeded

ERRORS = 4.0
"""So many standard errors of the noise may two figures differ by, and the next fraction besides."""
ROUNDING = 1e-3
"""Of a figure: an accelerator sums in another order, and its convolutions may be TF32."""

Record = dict[str, Any]
Measure = Callable[[LatentVariableModel, Batch], Tensor]


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    device: str
    batch: int = 128
    steps: int = 10
    like: str = "mnist"
    """A dataset: digits are enlarged to the size of its images, which need not be here."""
    examples: int = 32
    repetitions: int = 4
    samples: int = 100
    many_samples: int = 5000
    block: float = 0.5
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    compile: bool = True

    @property
    def image_size(self) -> int:
        """The height and width of images where speed is measured."""
        return int(zoo.info(self.like).shape[-1])


def quick(device: str) -> Sizes:
    """Sizes for finding mistakes in the checks."""
    return Sizes(device, batch=16, steps=1, like="digits", examples=4, repetitions=2, samples=10,
                 many_samples=50, block=0.01, precisions=("float32",), compile=False)  # fmt: skip


def resumes(variant: str, sizes: Sizes) -> Record:
    """Whether a run that was stopped and resumed ends as one that was not."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"batch_size": sizes.batch, "device": sizes.device, "schedule": "constant"}
        whole, halves = Path(folder, "whole"), Path(folder, "halves")
        dataset = training_set(Path(folder), sizes.steps * sizes.batch)

        def train(directory: Path, epochs: int) -> zoo.Run:
            return zoo.train(variant, dataset=dataset, directory=directory, epochs=epochs,
                             progress=False, **settings)  # fmt: skip

        expected = train(whole, 2)
        train(halves, 1)
        resumed = zoo.resume(halves, progress=False, epochs=2)
        weights, again = expected.model.state_dict(), resumed.model.state_dict()
        same = [torch.equal(value, again[name]) for name, value in weights.items()]
        history = resumed.history == expected.history
        return {"passed": all(same) and history, "tensors": len(same), "history": history}


def training_set(folder: Path, count: int) -> str:
    """At most ``count`` of the digits and their labels, as a file: its path."""
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).astype(np.uint8)
    places = {
        "train": slice(200, 200 + count),
        "validation": slice(0, 100),
        "test": slice(100, 200),
    }
    parts = {part: pixels[place] for part, place in places.items()}
    parts |= {f"{part}_labels": digits.target[place] for part, place in places.items()}
    np.savez(folder / "digits.npz", **parts)
    return str(folder / "digits.npz")


def figures_agree(variant: str, sizes: Sizes) -> Record:
    """Whether a released checkpoint has the CPU's figures on the device."""
    name = released(variant)
    if name is None:
        return {"passed": None, "reason": "no released checkpoint"}
    on_cpu, on_device = (zoo.load(name, device=place) for place in ("cpu", sizes.device))
    measures: dict[str, Measure] = {"elbo": bound}
    if on_cpu.has_evidence:
        measures[f"iw-{sizes.samples}"] = lambda model, batch: model.log_prob(batch, sizes.samples)
    rows = {}
    for measure, call in measures.items():
        ours, our_error = repeated(call, on_cpu, sizes, seed=0)
        theirs, their_error = repeated(call, on_device, sizes, seed=1)
        allowed = ERRORS * math.hypot(our_error, their_error) + ROUNDING * abs(ours)
        passed = abs(ours - theirs) <= allowed
        rows[measure] = {"cpu": ours, "device": theirs, "allowed": allowed, "passed": passed}
    passed = all(row["passed"] for row in rows.values())
    return {"passed": passed, "checkpoint": name, "examples": sizes.examples, "measures": rows}


def released(variant: str) -> str | None:
    """A checkpoint of the variant that reads images, of digits where there is one."""
    specs = {name: zoo.info(name) for name in zoo.list_checkpoints()}
    found = [name for name, spec in specs.items() if spec.variant == variant]
    images = [name for name in found if zoo.info(specs[name].dataset).shape is not None]
    return min(images, key=lambda name: specs[name].dataset != "digits", default=None)


def repeated(
    call: Measure, model: LatentVariableModel, sizes: Sizes, seed: int
) -> tuple[float, float]:
    """The mean over examples and repetitions, and the standard error that its noise leaves.

    The noise is that of ``seed``: few repetitions tell their error badly, and a check that fails by
    chance fails again, or never.
    """
    batch = examples(model, sizes.examples)
    with torch.no_grad(), seeded(seed, batch.x.device):
        values = torch.stack([call(model, batch) for _ in range(sizes.repetitions)]).double()
    return values.mean().item(), (values.var(0).mean() / values.numel()).sqrt().item()


def bound(model: LatentVariableModel, batch: Batch) -> Tensor:
    """The evidence lower bound of B examples, in nats: (B,)."""
    return model.infer(batch).elbo


def examples(model: LatentVariableModel, count: int) -> Batch:
    """Test images of digits as the model reads them, where the model is: x (count, C, H, W)."""
    device = next(model.parameters()).device
    split = load_for_model(model.config, "digits").test.take(count)
    fixed = split.fixed(model.input_kind, seed=0).to(device)
    return fixed.batch(torch.arange(count, device=device), kind=model.input_kind)


def stays_on_device(variant: str, sizes: Sizes) -> Record:
    """Which computations wait for the device, what they take, and in how much memory."""
    model = fresh(variant, sizes)
    # That a model looks at the values it is given makes the host wait, and is meant to.
    model.modality.check_values = lambda x, kind: None  # type: ignore[method-assign]
    batch, few = (examples(model, count) for count in (sizes.examples, 4))
    told = load_for_model(model.config, "digits").test.to(sizes.device).conditions(64)
    calls: dict[str, Callable[[], object]] = {
        "bound": lambda: bound(model, batch),
        "sample": lambda: model.sample(64, condition=told),
    }
    if model.has_evidence:
        calls[f"iw-{sizes.many_samples}"] = lambda: model.log_prob(few, sizes.many_samples)
    with patch.object(ConditionConfig, "check_values"):
        rows = {name: attempted(without_waiting, call, sizes) for name, call in calls.items()}
    return {"passed": all(row["passed"] for row in rows.values()), "calls": rows}


def fresh(variant: str, sizes: Sizes) -> LatentVariableModel:
    """A model with new weights that reads digits: a speed does not depend on them."""
    model = zoo.create(variant, dataset=sizes.like)
    return model.to(sizes.device).eval()


def without_waiting(call: Callable[[], object], sizes: Sizes) -> Record:
    """Call once to prepare what is made once, then again while waiting is an error."""
    device = torch.device(sizes.device)
    with torch.no_grad(), peak_memory(device) as memory:
        call()
        synchronise(device)
        start = time.perf_counter()
        with waiting_is_an_error(device):
            call()
        synchronise(device)
    return {"passed": True, "seconds": time.perf_counter() - start, **memory}


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Record]:
    """Yields what holds the most memory that tensors took, once the block is left."""
    memory: Record = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield memory
    if device.type == "cuda":
        memory["megabytes"] = torch.cuda.max_memory_allocated(device) / 2**20
    else:  # of the whole process, and since it began
        memory["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def eager(variant: str, sizes: Sizes) -> Record:
    """The trainer's step as it is."""
    return {"passed": True, **{p: trainer_speed(variant, p, sizes) for p in sizes.precisions}}


def compiled(variant: str, sizes: Sizes) -> Record:
    """The trainer's step under torch.compile."""
    if not sizes.compile:
        return {"passed": None, "reason": "not in a quick run"}
    precision = sizes.precisions[-1]
    return {"passed": True, precision: trainer_speed(variant, precision, sizes, compile=True)}


def trainer_speed(variant: str, precision: str, sizes: Sizes, compile: bool = False) -> Record:
    """Examples per second beside the bare loop, measured just before, and the matrix products."""
    device = torch.device(sizes.device)
    data = load_dataset("digits", image_size=sizes.image_size)
    options = argparse.Namespace(
        dataset="digits", set=[], device=sizes.device, compile=compile, block=sizes.block
    )
    with tempfile.TemporaryDirectory() as folder, peak_memory(device) as memory:
        peak = measured_peak(precision, device)
        bare = sizes.batch / seconds_of(bare_step(sizes, precision), sizes.block, device)
        trainer = build_trainer(variant, sizes.batch, precision, options, data, Path(folder))
        task = training(trainer, options)
        rate = 1 / task.seconds()
    return {
        "examples_per_second": trainer.batch_size * rate,
        "bare_examples_per_second": bare,
        "of_bare": trainer.batch_size * rate / bare,
        "of_peak": (task.operations or 0) * rate / peak,
        "peak_gigaflops": peak / 1e9,
        **memory,
    }


@cache
def measured_peak(precision: str, device: torch.device) -> float:
    """Operations per second of matrix products, once in a process."""
    return peak_rate(TYPES[precision], device)


def bare_step(sizes: Sizes, precision: str) -> Callable[[], None]:
    """The bare loop's step of a plain VAE on random images of the same size."""
    pixels = sizes.image_size**2
    model = PlainVAE(pixels, hidden=400, latent=20).to(sizes.device)
    images = torch.randint(256, (sizes.batch, pixels), dtype=torch.uint8, device=sizes.device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        x = torch.rand(images.shape, device=sizes.device).mul_(255).lt_(images)
        with mixed(sizes.device, precision):
            loss = model(x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def mixed(device: str, precision: str) -> torch.autocast:
    """Products in that precision; the cache of cast weights would not survive a CUDA graph."""
    half = precision == "bfloat16"
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False)


def graphed(variant: str, sizes: Sizes) -> Record:
    """Bound, backward and Adam captured once and replayed."""
    device, precision = torch.device(sizes.device), sizes.precisions[-1]
    if device.type != "cuda":
        return {"passed": None, "reason": "CUDA only"}
    model = fresh(variant, sizes).train()
    batch = examples(model, sizes.batch)
    optimizer = torch.optim.Adam(model.parameters(), capturable=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with mixed(sizes.device, precision):
            loss = -bound(model, batch).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    plain = seconds_of(step, sizes.block, device)
    replayed = seconds_of(captured(step), sizes.block, device)
    rates = {"examples_per_second": sizes.batch / replayed, "uncaptured": sizes.batch / plain}
    return {"passed": True, precision: rates}


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step as one CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Callable[[], None] = graph.replay
    return replay


CHECKS: dict[str, Callable[[str, Sizes], Record]] = {
    "resume": resumes,
    "figures": figures_agree,
    "no copies": stays_on_device,
    "eager": eager,
    "compiled": compiled,
    "graph": graphed,  # the last: a capture that fails may leave the device unusable
}
NEED_NOT_WORK = {"graph"}
"""Where it works, it is measured; a model may draw until it accepts."""


def attempted(check: Callable[..., Record], *arguments: Any) -> Record:
    """What the check says, or why it could not: the checks after it have their turn anyway."""
    try:
        return check(*arguments)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return {"passed": False, "reason": f"{type(error).__name__}: {lines[0]}"}
