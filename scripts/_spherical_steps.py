"""The steps that benchmark_spherical.py times: who does what to which numbers, and for how long."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence
from torch.nn.functional import normalize

from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.power_spherical import PowerSpherical
from zoo.distributions.von_mises_fisher import VonMisesFisher

WIDTHS = (6, 11, 41, 129)
BATCHES = (128, 4096)
SPREAD = 0.3
"""Standard deviation of the logarithm of the concentrations."""
VMF, GAUSSIAN, OTHERS = "vmf", "gaussian", "hyperspherical_vae"
Step = Callable[[], tuple[Tensor, ...]]
"""Does it once; returns the value and the gradients."""


@dataclass(frozen=True)
class Case:
    """What is done, and to what."""

    operation: str
    width: int
    concentration: float
    batch: int

    def __str__(self) -> str:
        setting = f"m {self.width:3}, k {self.concentration:3g}, batch {self.batch:4}"
        return f"{self.operation:6} {setting}"


CASES = tuple(Case(*each) for each in product(("sample", "kl"), WIDTHS, (2.0, 100.0), BATCHES))


@dataclass(frozen=True)
class Contender:
    """A posterior from location and scale, and its prior for a location's width and device."""

    posterior: Callable[[Tensor, Tensor], Distribution]
    prior: Callable[[Tensor], Distribution]
    scales: Callable[[int], int] = lambda width: 1
    """How many scales a row of so many locations has."""


def contenders(folder: Path | None) -> dict[str, Contender]:
    """All that can run here, by name; ``folder`` holds hyperspherical_vae."""

    def uniform(loc: Tensor) -> Distribution:
        return HypersphericalUniform(loc.shape[-1] - 1, validate_args=False, device=loc.device)

    def normal(loc: Tensor, scale: Tensor) -> Distribution:
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    def standard(loc: Tensor) -> Distribution:
        zero = loc.new_zeros(()).expand(loc.shape[-1])
        return normal(zero, zero + 1)

    rows = {
        VMF: Contender(lambda loc, scale: VonMisesFisher(loc, scale, validate_args=False), uniform),
        "power-spherical": Contender(
            lambda loc, scale: PowerSpherical(loc, scale, validate_args=False), uniform
        ),
        GAUSSIAN: Contender(normal, standard, scales=lambda width: width),
    }
    return rows if folder is None else {**rows, OTHERS: hyperspherical(folder)}


def hyperspherical(folder: Path) -> Contender:
    """The other package's distribution; SystemExit where it cannot be imported."""
    sys.path.insert(0, str(folder))
    try:
        others = importlib.import_module("hyperspherical_vae.distributions")
    except ImportError as error:
        raise SystemExit(f"error: hyperspherical_vae from {folder}: {error}") from error

    def uniform(loc: Tensor) -> Any:
        dim = loc.shape[-1] - 1
        return others.HypersphericalUniform(dim, validate_args=False, device=loc.device)

    return Contender(
        lambda loc, scale: others.VonMisesFisher(loc, scale, validate_args=False), uniform
    )


def step_of(case: Case, contender: Contender, device: str) -> Step:
    """What is repeated for a case; every contender of one case gets the same numbers."""
    random = torch.Generator().manual_seed(0)
    shape = (case.batch, case.width)
    loc = normalize(torch.randn(shape, generator=random), dim=-1).to(device).requires_grad_()
    weights = torch.randn(shape, generator=random).to(device)
    noise = torch.randn(case.batch, contender.scales(case.width), generator=random)
    scale = (case.concentration * (SPREAD * noise).exp()).to(device).requires_grad_()

    def step() -> tuple[Tensor, ...]:
        posterior = contender.posterior(loc, scale)
        if case.operation == "sample":
            value = (posterior.rsample() * weights).sum()
        else:
            value = kl_divergence(posterior, contender.prior(loc)).sum()
        # The KL of a spherical posterior does not depend on where it points.
        gradients = torch.autograd.grad(value, (loc, scale), allow_unused=True)
        return value, *(each for each in gradients if each is not None)

    return step


@dataclass(frozen=True)
class Runner:
    """A step with the repetitions of a block; ``finite`` is whether its results were numbers."""

    step: Step
    repetitions: int
    finite: bool
    device: str

    def seconds(self) -> float:
        """Of one repetition, from a block of them."""
        return time_block(self.step, self.repetitions, self.device) / self.repetitions


def time_block(step: Step, repetitions: int, device: str) -> float:
    """Seconds for so many repetitions, until the device has done them."""
    wait = torch.cuda.synchronize if device == "cuda" else _nothing
    wait()
    start = time.perf_counter()
    for _ in range(repetitions):
        step()
    wait()
    return time.perf_counter() - start


def _nothing() -> None:
    """A processor has done what it was asked when the call returns."""


def prepare(step: Step, block: float, device: str) -> Runner:
    """Warm up, look at the results, and find how many repetitions take a block's time."""
    finite = all(bool(each.isfinite().all()) for _ in range(3) for each in step())
    repetitions = 1
    while time_block(step, repetitions, device) < block:
        repetitions *= 2
    return Runner(step, repetitions, finite, device)


def host_waits(steps: Sequence[Step]) -> str | None:
    """What made the host wait for the CUDA device in steps that ran before; None for nothing."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in steps:
            step()
    except RuntimeError as error:
        return str(error)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return None
