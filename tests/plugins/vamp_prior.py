"""VampPrior: a mixture of the posteriors of learned pseudo-inputs (arXiv:1705.07120)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.distributions import Distribution

import zoo
from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.distributions import EqualMixture
from zoo.errors import UnsupportedError
from zoo.priors import Given, Prior
from zoo.settings import Settings


@zoo.register("my-vamp", summary="Mixture of the posteriors of learned pseudo-inputs")
class VampPrior(Prior):
    space = Euclidean

    class Config(Settings):
        components: int = Field(50, ge=1, le=10_000)

    def __init__(self, config: Config, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        self.pseudo = nn.Parameter(torch.randn(config.components, *input_shape))

    def forward(self, given: Given) -> Distribution:
        if given.posterior is None:
            raise UnsupportedError("'my-vamp' is made of posteriors of x, which this model has not")
        is_image = self.pseudo.ndim == 4
        q = given.posterior(self.pseudo.sigmoid() if is_image else self.pseudo)  # (K,), or (B, K)
        return EqualMixture(q, given.like)
