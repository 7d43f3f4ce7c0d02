"""What posteriors that transform a Gaussian share (Rezende & Mohamed 2015, arXiv:1505.05770)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from zoo.core.draws import LatentDraw, draws_of_each
from zoo.core.latent_space import Euclidean
from zoo.distributions.flow import Flow
from zoo.posteriors.base import Posterior


class FlowPosterior(Posterior):
    """q(z|x) of z = f(e; x) for normal noise e, f invertible.

    The density of a draw is known without inverting f. That of other codes inverts it.
    """

    space = Euclidean
    factorises = False

    def draw(self, q: Distribution, prior: Distribution, shape: tuple[int, int]) -> LatentDraw:
        if not isinstance(q, Flow):
            return super().draw(q, prior, shape)
        z, log_q = q.rsample_with_log_prob(draws_of_each(q, shape))
        return LatentDraw(z, q, prior, shape, log_q)

    def code(self, q: Distribution) -> Tensor:
        """The image of the noise's mean."""
        return q.to_codes(q.base.mean)[0] if isinstance(q, Flow) else super().code(q)
