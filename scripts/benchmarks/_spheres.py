"""The steps that the benchmark of spherical latents times: who does what to which numbers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from benchmarks._blocks import waiting_is_an_error
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
class Setting:
    """What is done, and to what."""

    operation: str
    width: int
    concentration: int
    batch: int


SETTINGS = tuple(Setting(*each) for each in product(("sample", "kl"), WIDTHS, (2, 100), BATCHES))


@dataclass(frozen=True)
class Family:
    """A posterior from location and scale, and its prior for a location's width and device."""

    posterior: Callable[[Tensor, Tensor], Distribution]
    prior: Callable[[Tensor], Distribution]
    scales: Callable[[int], int] = lambda width: 1
    """How many scales a row of so many locations has."""


def families(folder: str | None) -> dict[str, Family]:
    """All that can run here, by name; ``folder`` holds hyperspherical_vae."""

    def uniform(loc: Tensor) -> Distribution:
        return HypersphericalUniform(loc.shape[-1] - 1, validate_args=False, device=loc.device)

    def normal(loc: Tensor, scale: Tensor) -> Distribution:
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    def standard(loc: Tensor) -> Distribution:
        zero = loc.new_zeros(()).expand(loc.shape[-1])
        return normal(zero, zero + 1)

    rows = {
        VMF: Family(lambda loc, scale: VonMisesFisher(loc, scale, validate_args=False), uniform),
        "power-spherical": Family(
            lambda loc, scale: PowerSpherical(loc, scale, validate_args=False), uniform
        ),
        GAUSSIAN: Family(normal, standard, scales=lambda width: width),
    }
    return rows if folder is None else {**rows, OTHERS: hyperspherical(folder)}


def hyperspherical(folder: str) -> Family:
    """The other package's distribution; SystemExit where it cannot be imported."""
    sys.path.insert(0, folder)
    try:
        others = importlib.import_module("hyperspherical_vae.distributions")
    except ImportError as error:
        raise SystemExit(f"error: hyperspherical_vae from {folder}: {error}") from error

    def uniform(loc: Tensor) -> Any:
        dim = loc.shape[-1] - 1
        return others.HypersphericalUniform(dim, validate_args=False, device=loc.device)

    return Family(
        lambda loc, scale: others.VonMisesFisher(loc, scale, validate_args=False), uniform
    )


def step_of(setting: Setting, family: Family, device: torch.device) -> Step:
    """What is repeated in a setting; everyone gets the same numbers."""
    random = torch.Generator().manual_seed(0)
    shape = (setting.batch, setting.width)
    loc = normalize(torch.randn(shape, generator=random), dim=-1).to(device).requires_grad_()
    weights = torch.randn(shape, generator=random).to(device)
    noise = torch.randn(setting.batch, family.scales(setting.width), generator=random)
    scale = (setting.concentration * (SPREAD * noise).exp()).to(device).requires_grad_()

    def step() -> tuple[Tensor, ...]:
        posterior = family.posterior(loc, scale)
        if setting.operation == "sample":
            value = (posterior.rsample() * weights).sum()
        else:
            value = kl_divergence(posterior, family.prior(loc)).sum()
        # The KL of a spherical posterior does not depend on where it points.
        gradients = torch.autograd.grad(value, (loc, scale), allow_unused=True)
        return value, *(each for each in gradients if each is not None)

    return step


def is_finite(step: Step) -> bool:
    """Whether its results are numbers, three times over."""
    return all(bool(each.isfinite().all()) for _ in range(3) for each in step())


def host_waits(steps: Sequence[Step], device: torch.device) -> str | None:
    """What made the host wait for a device in steps that ran before; None for nothing."""
    try:
        with waiting_is_an_error(device):
            for step in steps:
                step()
    except RuntimeError as error:
        return str(error)
    return None
