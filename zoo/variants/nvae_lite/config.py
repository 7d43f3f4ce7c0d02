"""How large an NVAE-lite is, and which parts it is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import Self

from zoo.core.component import Selected, default
from zoo.core.latent_space import Euclidean
from zoo.core.model import ModelConfig
from zoo.errors import ConfigError
from zoo.likelihoods import Likelihood
from zoo.posteriors import Posterior
from zoo.posteriors.base import check_space
from zoo.settings import Settings

MAX_LEVELS = 8
"""Of scales, and of levels in the stem: each halves the maps."""
MAX_GROUPS = 128
MAX_CELLS = 256
"""In each direction, flows among them; with the groups, what bounds the time to build."""


class LevelConfig(Settings):
    """One resolution: the width of its maps, and how many residual cells work on them."""

    channels: Annotated[int, Field(ge=1, le=2048)] = 32
    cells: int = Field(1, ge=0, le=32)
    """On the way up and on the way down; where there are latents, for each group of them."""

    @property
    def stages(self) -> int:
        """How many times the level's cells stand one after the other."""
        return 1


class ScaleConfig(LevelConfig):
    """A resolution with ``groups`` of latents, each of ``latents`` maps."""

    channels: Annotated[int, Field(ge=1, le=2048)] = 48
    groups: int = Field(4, ge=1, le=64)
    latents: int = Field(8, ge=1, le=256)

    @property
    def stages(self) -> int:
        return self.groups


class NVAELiteConfig(ModelConfig):
    """Resolutions from the coarsest, the top, to the finest; each halves the next, rounding up.

    ``scales`` hold the latents. The ``stem`` holds none; it stands between the finest scale and
    the pixels. With two scales and one level in the stem, 28 x 28 pixels become maps of 14 x 14 in
    the stem and of 7 x 7 and 4 x 4 in the scales.
    """

    input_shape: tuple[int, int, int]
    scales: tuple[ScaleConfig, ...] = Field(
        (ScaleConfig(), ScaleConfig()), min_length=1, max_length=MAX_LEVELS
    )
    stem: tuple[LevelConfig, ...] = Field((LevelConfig(),), max_length=MAX_LEVELS)
    expansion: int = Field(4, ge=1, le=16)
    """How many times wider a decoder's cell is inside than outside."""
    flows: int = Field(0, ge=0, le=8)
    """Steps of inverse autoregressive flow after each group's posterior."""
    spectral: float = Field(0.0, ge=0)
    """Weight of the convolutions' summed spectral norms in the training loss."""
    posterior: Selected[Posterior] = default("residual-normal")
    """Of each place of a map; it lives in Euclidean space."""
    likelihood: Selected[Likelihood] = default("bernoulli")

    @property
    def levels(self) -> tuple[LevelConfig, ...]:
        """Scales and stem, from the coarsest on."""
        return self.scales + self.stem

    @model_validator(mode="after")
    def _check_posterior(self) -> Self:
        check_space(self.posterior, Euclidean)
        return self

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        groups = sum(scale.groups for scale in self.scales)
        cells = sum(level.stages * level.cells for level in self.levels) + groups * self.flows
        if groups > MAX_GROUPS or cells > MAX_CELLS:
            raise ConfigError(
                f"{groups} groups of latents and {cells} cells and flows; at most {MAX_GROUPS} and "
                f"{MAX_CELLS} are built: lower 'groups', 'cells' or 'flows'"
            )
        return self
