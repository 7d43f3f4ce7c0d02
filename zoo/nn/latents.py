"""Posterior and prior of a latent vector, by the name of their family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from torch import nn

from zoo.distributions import VonMisesFisher
from zoo.nn.backbones import by_name
from zoo.nn.heads import GaussianHead, StandardNormal
from zoo.nn.spherical import DirectionalHead, FixedVonMisesFisherHead, UniformSphere
from zoo.settings import Settings


class FixedVMFConfig(Settings):
    """Von Mises-Fisher with one concentration for all: its KL is a constant, so no collapse."""

    name: Literal["vmf-fixed"] = "vmf-fixed"
    concentration: float = Field(32.0, ge=0, le=1e7)


class VMFConfig(Settings):
    """Von Mises-Fisher with a concentration for each example."""

    name: Literal["vmf"] = "vmf"


class GaussianPosteriorConfig(Settings):
    """A diagonal Gaussian, under a standard normal prior."""

    name: Literal["gaussian"] = "gaussian"


AnyPosteriorConfig = FixedVMFConfig | VMFConfig | GaussianPosteriorConfig
PosteriorChoice = Annotated[
    AnyPosteriorConfig, Field(discriminator="name"), BeforeValidator(by_name)
]


def build_head(config: AnyPosteriorConfig, in_features: int, latent_dim: int) -> nn.Module:
    """The module from features (..., F) to a distribution over (..., d)."""
    if isinstance(config, FixedVMFConfig):
        return FixedVonMisesFisherHead(in_features, latent_dim, config.concentration)
    if isinstance(config, VMFConfig):
        return DirectionalHead(VonMisesFisher, in_features, latent_dim)
    return GaussianHead(in_features, latent_dim)


def build_prior(config: AnyPosteriorConfig, latent_dim: int) -> UniformSphere | StandardNormal:
    """The prior of the same family."""
    if isinstance(config, GaussianPosteriorConfig):
        return StandardNormal(latent_dim)
    return UniformSphere(latent_dim)
