"""VAEs whose codes lie on the unit sphere, with a uniform prior there."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.distributions import PowerSpherical, VonMisesFisher
from zoo.geometry import geodesic_path, great_circle
from zoo.nn.spherical import (
    DirectionalHead,
    FixedVonMisesFisherHead,
    UniformSphere,
)
from zoo.variants.vae import VAE, VAEConfig


class SphericalConfig(VAEConfig):
    """``latent_dim`` m is the width of a code: it lies on the sphere S^(m-1) in R^m."""

    latent_dim: int = Field(11, ge=2, le=4096)


class VMFVAE(VAE):
    r"""The hyperspherical VAE (Davidson et al. 2018, arXiv:1804.00891).

    q(z|x) is von Mises-Fisher around a mean direction mu(x) with a concentration for each x,
    p(z) uniform on the sphere, so KL depends on the concentration alone and no code is pulled to
    a centre. Unlike theirs, the concentration is exp(.) + 1, and the decoder reads sqrt(m) z, whose
    coordinates have unit variance under the prior.

    >>> import torch
    >>> model = VMFVAE(SphericalConfig(input_shape=(1, 28, 28), latent_dim=11))
    >>> model.sample_codes(3).norm(dim=-1).allclose(torch.ones(3))
    True
    """

    Config = SphericalConfig
    config: SphericalConfig

    def build_posterior(self, in_features: int) -> nn.Module:
        return DirectionalHead(VonMisesFisher, in_features, self.config.latent_dim)

    def build_prior(self) -> UniformSphere:
        return UniformSphere(self.config.latent_dim)

    @property
    def code_variance(self) -> float:
        """1 / m on the sphere."""
        return 1 / self.config.latent_dim

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for unit vectors (..., m), batch shape (...)."""
        return super().decode(self.config.latent_dim**0.5 * z)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """``steps`` codes from ``start`` to ``end`` along the great circle: (steps, ..., m)."""
        return geodesic_path(start, end, steps)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """Codes at the angles ``amounts`` from ``code`` towards ``direction``: (A, ..., m)."""
        return great_circle(code, direction, amounts)


class PowerSphericalVAE(VMFVAE):
    """The hyperspherical VAE with a power spherical posterior (De Cao & Aziz, arXiv:2006.04437)."""

    def build_posterior(self, in_features: int) -> nn.Module:
        return DirectionalHead(PowerSpherical, in_features, self.config.latent_dim)


class FixedVMFConfig(SphericalConfig):
    """The KL grows with ``concentration`` and is the same for every x."""

    concentration: float = Field(20.0, ge=0, le=1e7)


class FixedVMFVAE(VMFVAE):
    """The vMF-VAE of one concentration (Xu & Durrett 2018, arXiv:1808.10805).

    Its KL is a constant above 0: the posterior cannot collapse.
    """

    Config = FixedVMFConfig
    config: FixedVMFConfig

    def build_posterior(self, in_features: int) -> nn.Module:
        config = self.config
        return FixedVonMisesFisherHead(in_features, config.latent_dim, config.concentration)
