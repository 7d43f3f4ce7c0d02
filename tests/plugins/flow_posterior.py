"""A posterior of any shape: a masked autoregressive flow that is told the features."""

from __future__ import annotations

import zuko
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

import zoo
from zoo.core.latent_space import Euclidean
from zoo.distributions.precision import full_precision
from zoo.nn.foreign import foreign
from zoo.posteriors.base import Posterior, Projection
from zoo.settings import Settings


@zoo.register("flow", summary="Affine autoregressive flow (zuko)")
class FlowPosterior(Posterior):
    space = Euclidean

    class Config(Settings):
        transforms: int = Field(2, ge=1, le=16)
        context: int = Field(32, ge=1, le=1024)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.project = project(config.context)
        sizes = {"transforms": config.transforms, "hidden_features": (32,), "passes": 2}
        self.flow = foreign(lambda: zuko.flows.MAF(dim, config.context, **sizes))

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        return self.flow(full_precision(self.project(features)))

    def code(self, q: Distribution) -> Tensor:
        return q.transform.inv(q.base.mean)
