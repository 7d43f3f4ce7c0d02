"""One latent vector of a layer: its posterior, and how its draws enter the stack."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.component import Selected
from zoo.posteriors import Posterior, space_of
from zoo.variants.univae.transformer import RMSNorm


class Latent(nn.Module):
    """The prefix's state (N, W) to a posterior, and its draws to what stands in its place."""

    def __init__(self, width: int, dim: int, posterior: Selected[Posterior]) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.posterior = posterior.build(partial(nn.Linear, width), dim)
        self.space = space_of(posterior, dim)
        self.expand = nn.Linear(dim, width)

    def forward(self, state: Tensor, prior: Distribution) -> Distribution:
        """q(z_l | z_<l, x) of states (N, W)."""
        q: Distribution = self.posterior(self.norm(state), prior)
        return q

    def prefix(self, z: Tensor) -> Tensor:
        """What overwrites the state, (N, 1, W), of latents (N, d) scaled to unit variance."""
        prefix: Tensor = self.expand(self.space.standardized(z))[:, None]
        return prefix
