"""Posterior and prior of a latent vector, by the name of their family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.distributions import VonMisesFisher
from zoo.nn.backbones import by_name
from zoo.nn.heads import BatchNormGaussianHead, GaussianHead, StandardNormal
from zoo.nn.spherical import DirectionalHead, FixedVonMisesFisherHead, UniformSphere
from zoo.nn.transformer import RMSNorm
from zoo.settings import Settings


class FixedVMFPosterior(Settings):
    """Von Mises-Fisher with one concentration for all: its KL is a constant and cannot vanish."""

    name: Literal["vmf-fixed"] = "vmf-fixed"
    concentration: float = Field(32.0, ge=0, le=1e7)


class VMFPosterior(Settings):
    """Von Mises-Fisher with a concentration for each example."""

    name: Literal["vmf"] = "vmf"


class GaussianPosterior(Settings):
    """A diagonal Gaussian, under a standard normal prior."""

    name: Literal["gaussian"] = "gaussian"


class BatchNormPosterior(Settings):
    """A diagonal Gaussian whose means are batch-normalised: KL >= d gamma^2 / 2."""

    name: Literal["batch-norm"] = "batch-norm"
    gamma: float = Field(0.6, gt=0, le=100)


AnyPosterior = FixedVMFPosterior | VMFPosterior | GaussianPosterior | BatchNormPosterior
PosteriorChoice = Annotated[AnyPosterior, Field(discriminator="name"), BeforeValidator(by_name)]


class Latent(nn.Module):
    """Features (B, W) to a posterior, and its draws to what a layer reads instead of them."""

    def __init__(self, width: int, latent_dim: int, posterior: AnyPosterior) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.head = build_head(posterior, width, latent_dim)
        self.spread = 1.0 if is_flat(posterior) else latent_dim**0.5
        self.expand = nn.Linear(latent_dim, width)

    def posterior(self, state: Tensor) -> Distribution:
        """q(z_l | z_<l, x) of states (B, W)."""
        q: Distribution = self.head(self.norm(state))
        return q

    def seen(self, z: Tensor) -> Tensor:
        """What overwrites the state, (B, 1, W), of latents scaled to unit variance."""
        memory: Tensor = self.expand(self.spread * z)[:, None]
        return memory


def is_flat(config: AnyPosterior) -> bool:
    """Whether latents are vectors of any length, not directions."""
    return isinstance(config, GaussianPosterior | BatchNormPosterior)


def build_head(config: AnyPosterior, in_features: int, latent_dim: int) -> nn.Module:
    """The module from features (..., F) to a distribution over (..., d)."""
    if isinstance(config, FixedVMFPosterior):
        return FixedVonMisesFisherHead(in_features, latent_dim, config.concentration)
    if isinstance(config, VMFPosterior):
        return DirectionalHead(VonMisesFisher, in_features, latent_dim)
    if isinstance(config, BatchNormPosterior):
        return BatchNormGaussianHead(in_features, latent_dim, config.gamma)
    return GaussianHead(in_features, latent_dim)


def build_prior(config: AnyPosterior, latent_dim: int) -> UniformSphere | StandardNormal:
    """The prior of the same family."""
    return StandardNormal(latent_dim) if is_flat(config) else UniformSphere(latent_dim)
