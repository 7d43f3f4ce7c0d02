"""What the settings of all variants with a posterior and a prior share."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from zoo.core.component import Selected, default
from zoo.core.model import ModelConfig
from zoo.posteriors import Posterior, space_of
from zoo.priors import Prior, check_pair, usual_prior


class VariationalConfig(ModelConfig):
    """A posterior, and a prior of the same space: its usual one unless said."""

    latent_dim: int
    posterior: Selected[Posterior] = default("gaussian")
    prior: Selected[Prior] = Field(default=None, validate_default=True)

    @field_validator("prior", mode="before")
    @classmethod
    def _usual(cls, prior: object, info: ValidationInfo) -> object:
        posterior = info.data.get("posterior")
        return usual_prior(posterior) if prior is None and posterior is not None else prior

    @model_validator(mode="after")
    def _check_space(self) -> Self:
        check_pair(self.posterior, self.prior)
        space_of(self.posterior, self.latent_dim)
        return self
