"""What models with one latent vector share, whatever makes that vector of an example."""

from __future__ import annotations

from abc import abstractmethod

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.backbones import Backbone
from zoo.core.batch import Batch
from zoo.core.component import Selected, default
from zoo.core.condition import ConditionConfig, Conditioning, check_told, check_told_values
from zoo.core.latent_space import LatentSpace
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.core.reading import as_codes
from zoo.errors import ConfigError, DataError
from zoo.likelihoods import Likelihood


class SingleLatentConfig(ModelConfig):
    """One latent vector between an encoder and a decoder, which may be told a condition."""

    latent_dim: int = Field(20, ge=1, le=4096)
    backbone: Selected[Backbone] = default("mlp")
    likelihood: Selected[Likelihood] = default("bernoulli")
    condition: Conditioning | None = None


class SingleLatentModel(LatentVariableModel):
    """x -> encoder -> features -> code -> decoder -> p(x|code).

    The modules between features and code are the subclass's, see :meth:`build_code`. A condition c
    stands beside the features and beside the code.
    """

    Config = SingleLatentConfig
    config: SingleLatentConfig

    def __init__(self, config: SingleLatentConfig) -> None:
        super().__init__(config)
        told = 0 if config.condition is None else config.condition.width
        if config.condition is not None and not told:
            raise ConfigError(
                f"the model is to be told {config.condition.on!r}, of which nothing is known; say "
                "condition={'classes': K} or {'numbers': K}, or give data that have it"
            )
        backbone = config.backbone.build()
        self.likelihood = self.likelihood_of(config.likelihood)
        self.encoder = backbone.encoder(config.input_shape)
        if not isinstance(getattr(self.encoder, "out_features", None), int):
            raise ConfigError(
                f"backbones.{config.backbone.name}: {type(self.encoder).__name__} does not say "
                "'out_features'; set how many features it makes of an example in its constructor"
            )
        # Here: what a seed draws depends on the order.
        self.space = self.build_code(self.encoder.out_features + told)
        output_shape = (self.likelihood.channels, *config.input_shape[1:])
        self.decoder = backbone.decoder(self.space.dim + told, output_shape)

    @abstractmethod
    def build_code(self, in_features: int) -> LatentSpace:
        """Add the modules that make a code of features (B, F); returns where codes live."""

    @property
    def conditioning(self) -> ConditionConfig | None:
        return self.config.condition

    def features(self, batch: Batch) -> Tensor:
        """What the code is made of, (B, F)."""
        features: Tensor = self.encoder(batch.x)
        told = self.told(batch.condition, features)
        return features if told is None else torch.cat([features, told], dim=-1)

    def told(self, condition: Tensor | None, like: Tensor) -> Tensor | None:
        """The condition in numbers (B, C), or None for a model that is told nothing."""
        check_told(self, condition)
        return None if self.conditioning is None else self.conditioning.numeric(condition, like)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z, c) for codes (..., D), batch shape (...), and conditions (B,) of the last axis."""
        if not (self.training or torch.compiler.is_compiling()):
            check_told(self, condition)
            check_told_values(self, condition)
        return self.decoded(z, condition)

    def decoded(self, z: Tensor, condition: Tensor | None) -> Distribution:
        """:meth:`decode` of conditions whose values have been checked."""
        z = as_codes(self, z, self.code_dim)
        inputs = self.space.standardized(z)
        told = self.told(condition, z)
        if told is not None:
            count = z.shape[-2] if z.ndim > 1 else 1
            if told.shape[0] not in (1, count):
                raise DataError(f"{count} codes need as many conditions, got {len(told)}")
            told = told.reshape(-1) if z.ndim == 1 else told.expand(*z.shape[:-1], -1)
            inputs = torch.cat([inputs, told], dim=-1)  # (..., D + C)
        out = self.decoder(inputs.reshape(-1, inputs.shape[-1]))  # (S B, K, ...)
        likelihood: Distribution = self.likelihood(out.view(*z.shape[:-1], *out.shape[1:]))
        return likelihood
