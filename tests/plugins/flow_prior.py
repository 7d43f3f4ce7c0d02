"""A prior of any shape: a masked autoregressive flow."""

from __future__ import annotations

import zuko
from pydantic import Field
from torch.distributions import Distribution

import zoo
from zoo.core.latent_space import Euclidean, LatentSpace
from zoo.nn.foreign import foreign
from zoo.priors import Given, Prior
from zoo.settings import Settings


@zoo.register("flow", summary="Affine autoregressive flow (zuko)")
class FlowPrior(Prior):
    space = Euclidean

    class Config(Settings):
        transforms: int = Field(2, ge=1, le=16)

    def __init__(self, config: Config, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__(config, space, input_shape)
        sizes = {"transforms": config.transforms, "hidden_features": (32,), "passes": 2}
        self.flow = foreign(lambda: zuko.flows.MAF(space.dim, **sizes))

    def forward(self, given: Given) -> Distribution:
        return self.flow()
