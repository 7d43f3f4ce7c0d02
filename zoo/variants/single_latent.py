"""What models with one latent vector share, whatever makes that vector of an example."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.backbones import Backbone
from zoo.backbones.base import Encoder
from zoo.core.batch import Batch
from zoo.core.component import Selected, default
from zoo.core.condition import ConditionConfig, Conditioning, check_told, check_told_values
from zoo.core.latent_space import LatentSpace
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.core.reading import as_codes
from zoo.errors import ConfigError, DataError
from zoo.likelihoods import Likelihood
from zoo.modalities import Form
from zoo.nn.layers import Layer, layers_of

AT_ONCE, FEWEST = 2**22, 128
"""Numbers of p(x|z) that are decoded together, and examples at the least."""


class LatentVectorConfig(ModelConfig):
    """One latent vector between an encoder and a decoder."""

    latent_dim: int = Field(20, ge=1, le=4096)
    backbone: Selected[Backbone] = default("mlp")
    likelihood: Selected[Likelihood] = default("bernoulli")


class SingleLatentConfig(LatentVectorConfig):
    """A latent vector of a model that may be told a condition."""

    condition: Conditioning | None = None


class SingleLatentModel(LatentVariableModel):
    """x -> encoder -> features -> code -> decoder -> p(x|code).

    The modules between features and code are the subclass's, see :meth:`build_code`. A condition c
    stands beside the features and beside the code.
    """

    Config = SingleLatentConfig
    config: SingleLatentConfig

    def __init__(self, config: SingleLatentConfig, form: Form = None) -> None:
        super().__init__(config, form)
        told = 0 if config.condition is None else config.condition.width
        if config.condition is not None and not told:
            raise ConfigError(
                f"the model is to be told {config.condition.on!r}, of which nothing is known; say "
                "condition={'classes': K} or {'numbers': K}, or give data that have it"
            )
        backbone = config.backbone.build()
        self.likelihood = self.likelihood_of(config.likelihood)
        self.encoder = encoder_of(backbone, config.backbone.name, self.encoder_shape)
        # Here: what a seed draws depends on the order.
        self.space = self.build_code(self.encoder.out_features + told)
        output_shape = (self.likelihood.channels, *config.input_shape[1:])
        self.decoder = backbone.decoder(self.space.dim + told, output_shape)

    @abstractmethod
    def build_code(self, in_features: int) -> LatentSpace:
        """Add the modules that make a code of features (B, F); returns where codes live."""

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """Of what the encoder reads of one example."""
        return self.config.input_shape

    def encoded(self, batch: Batch) -> Tensor:
        """What the encoder makes of examples, (B, F)."""
        features: Tensor = self.encoder(batch.x)
        return features

    @property
    def conditioning(self) -> ConditionConfig | None:
        return self.config.condition

    @property
    def decode_batch(self) -> int:
        """Fewer, the more numbers p(x|z) is made of: far beyond the caches each takes longer."""
        each = self.likelihood.channels * math.prod(self.config.input_shape[1:])
        return max(FEWEST, min(super().decode_batch, AT_ONCE // each))

    def features(self, batch: Batch) -> Tensor:
        """What the code is made of, (B, F)."""
        features = self.encoded(batch)
        return beside(features, self.told(batch.condition, features))

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
        told = self.told(condition, z)
        return self.decoded_beside(z, None if told is None else for_codes(told, z))

    def decoded_beside(self, z: Tensor, told: Tensor | None) -> Distribution:
        """p(x|z, c) for codes (..., D), each beside the numbers (..., C) that it is told."""
        inputs = beside(self.space.standardized(z), told)  # (..., D + C)
        out = self.decoder(inputs.reshape(-1, inputs.shape[-1]))  # (S B, K, ...)
        likelihood: Distribution = self.likelihood(out.view(*z.shape[:-1], *out.shape[1:]))
        return likelihood

    def decoder_layers(self) -> list[Layer]:
        """See :meth:`zoo.core.export.Decode.as_layers`."""
        like = next(self.decoder.parameters())
        told = 0 if self.conditioning is None else self.conditioning.width
        # Spaces only stretch their coordinates, each by itself.
        scale = torch.cat(
            [self.space.standardized(like.new_ones(self.code_dim)), like.new_ones(told)]
        )  # (D + C,)
        return [
            Layer("scale", (scale,)),
            *layers_of(self.decoder),
            *self.likelihood.estimate_layers(),
        ]


def encoder_of(backbone: Backbone, name: str, input_shape: tuple[int, ...]) -> Encoder:
    """The encoder of a backbone. Raises ConfigError for one that does not say its width."""
    encoder = backbone.encoder(input_shape)
    if not isinstance(getattr(encoder, "out_features", None), int):
        raise ConfigError(
            f"backbones.{name}: {type(encoder).__name__} does not say 'out_features'; "
            "set how many features it makes of an example in its constructor"
        )
    return encoder


def beside(features: Tensor, told: Tensor | None) -> Tensor:
    """Features (..., F) and what is told (..., C), where anything is: (..., F + C)."""
    return features if told is None else torch.cat([features, told.to(features.dtype)], dim=-1)


def for_codes(told: Tensor, z: Tensor) -> Tensor:
    """What each of the codes (..., B, D) is told, (..., B, C), of numbers (B, C) or (1, C).

    Raises DataError for another number of them.
    """
    count = z.shape[-2] if z.ndim > 1 else 1
    if told.shape[0] not in (1, count):
        raise DataError(f"{count} codes need as many conditions, got {len(told)}")
    return told.reshape(-1) if z.ndim == 1 else told.expand(*z.shape[:-1], -1)
