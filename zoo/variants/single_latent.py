"""What models with one latent vector share, whatever makes that vector of an image."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.model import InputKind, ModelConfig, VariationalAutoencoder
from zoo.nn.backbones import Backbone, build_decoder, build_encoder
from zoo.nn.likelihoods import BernoulliConfig, Likelihood, build_likelihood
from zoo.nn.mlp import MLPConfig


class SingleLatentConfig(ModelConfig):
    """One latent vector between an encoder and a decoder."""

    input_shape: tuple[int, int, int]
    latent_dim: int = Field(20, ge=1, le=4096)
    backbone: Backbone = MLPConfig()
    likelihood: Likelihood = BernoulliConfig()


class SingleLatentModel(VariationalAutoencoder):
    """x -> encoder -> features -> code -> decoder -> p(x|code).

    The modules between features and code are the subclass's, see :meth:`build_code`.
    """

    Config = SingleLatentConfig
    config: SingleLatentConfig

    def __init__(self, config: SingleLatentConfig) -> None:
        super().__init__(config)
        channels, height, width = config.input_shape
        self.likelihood = build_likelihood(config.likelihood)
        maps = (self.likelihood.parameter_maps(channels), height, width)
        self.encoder = build_encoder(config.backbone, config.input_shape)
        self.build_code(self.encoder.out_features)  # here: what a seed draws depends on the order
        self.decoder = build_decoder(config.backbone, self.code_dim, maps)

    @abstractmethod
    def build_code(self, in_features: int) -> None:
        """Add the modules that make a code of features (B, F)."""

    @property
    def input_kind(self) -> InputKind:
        return self.likelihood.input_kind

    @property
    def code_dim(self) -> int:
        return self.config.latent_dim

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for codes (..., D), batch shape (...)."""
        maps = self.decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        likelihood: Distribution = self.likelihood(maps)
        return likelihood
