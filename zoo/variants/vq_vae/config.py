"""How large a VQ-VAE is, and which likelihood it has."""

from __future__ import annotations

from pydantic import Field, field_validator

from zoo.backbones.conv import Blocks, Channels
from zoo.core.component import Selected, default
from zoo.core.model import ModelConfig
from zoo.likelihoods import Likelihood
from zoo.likelihoods.pixelcnn import Radius
from zoo.nn.maps import map_sizes


class VQVAEConfig(ModelConfig):
    """One entry of ``channels`` per halving of the image, from the finest map to the coarsest.

    The coarsest map passes through ``blocks`` gated blocks on the way up and on the way down. Each
    of its places has one of ``codebook_size`` vectors of ``latent_dim`` numbers. How many nats a
    code carries, at most T log K, these sizes decide: no gradient pulls codes to the prior.
    """

    input_shape: tuple[int, int, int]
    channels: tuple[Channels, ...] = Field((32, 64), min_length=1, max_length=8)
    blocks: Blocks = 2
    codebook_size: int = Field(128, ge=2, le=2**16)
    latent_dim: int = Field(16, ge=1, le=4096)
    codebook_decay: float = Field(0.99, ge=0, lt=1)
    """Of the moving averages that the vectors are."""
    prior_width: int = Field(64, ge=1, le=1024)
    prior_radii: tuple[Radius, ...] = Field((3, 3, 3), min_length=1, max_length=16)
    """How far each layer of the prior sees on the grid; the first sees the codes themselves."""
    likelihood: Selected[Likelihood] = default("bernoulli")

    @field_validator("prior_radii")
    @classmethod
    def _sees_codes(cls, radii: tuple[int, ...]) -> tuple[int, ...]:
        if radii[0] == 0:
            raise ValueError("the first is how far codes see each other, at least 1")
        return radii

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid of a code."""
        return map_sizes(self.input_shape, len(self.channels))[-1]
