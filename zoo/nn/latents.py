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


class FixedVMFPosterior(Settings):
    """Von Mises-Fisher with one concentration for all: its KL is a constant, so no collapse."""

    name: Literal["vmf-fixed"] = "vmf-fixed"
    concentration: float = Field(32.0, ge=0, le=1e7)


class VMFPosterior(Settings):
    """Von Mises-Fisher with a concentration for each example."""

    name: Literal["vmf"] = "vmf"


class GaussianPosterior(Settings):
    """A diagonal Gaussian, under a standard normal prior."""

    name: Literal["gaussian"] = "gaussian"


AnyPosterior = FixedVMFPosterior | VMFPosterior | GaussianPosterior
PosteriorChoice = Annotated[AnyPosterior, Field(discriminator="name"), BeforeValidator(by_name)]


def build_head(config: AnyPosterior, in_features: int, latent_dim: int) -> nn.Module:
    """The module from features (..., F) to a distribution over (..., d)."""
    if isinstance(config, FixedVMFPosterior):
        return FixedVonMisesFisherHead(in_features, latent_dim, config.concentration)
    if isinstance(config, VMFPosterior):
        return DirectionalHead(VonMisesFisher, in_features, latent_dim)
    return GaussianHead(in_features, latent_dim)


def build_prior(config: AnyPosterior, latent_dim: int) -> UniformSphere | StandardNormal:
    """The prior of the same family."""
    if isinstance(config, GaussianPosterior):
        return StandardNormal(latent_dim)
    return UniformSphere(latent_dim)
