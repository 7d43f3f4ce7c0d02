"""A mixture whose components share one encoder (MISVAE: Hotti et al. 2024, arXiv:2406.07083)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from zoo.core.draws import LatentDraw, draws_of_each
from zoo.core.latent_space import Euclidean
from zoo.distributions.finite_mixture import normal_log_probs
from zoo.distributions.precision import full_precision
from zoo.posteriors.base import Posterior, Projection
from zoo.posteriors.gaussian import MIN_SCALE
from zoo.settings import Settings


class MixturePosterior(Posterior):
    r"""q(z|x) = 1/A sum_a N(z; mu_a(x), diag sigma_a(x)^2).

    mu_a and sigma_a are one head's, of the features and of a as a one-hot vector: the encoder, and
    of the head all but the A columns that read the one-hot, are shared by the components.

    The S draws of an example come from S components, drawn without replacement (from all of them
    again after A draws), and the density is that of all A. So the mean over draws of
    log p(x, z) - log q(z|x) estimates the ELBO without bias, whatever S, and with S = A it is the
    sum over all components; its gradient is the plain one through the draws, as the weights are
    constants.

    >>> posterior = MixturePosterior(MixturePosterior.Config(), lambda n: nn.Linear(128, n), 10)
    >>> posterior(torch.zeros(5, 128), None).rsample().shape
    torch.Size([5, 10])
    """

    space = Euclidean
    factorises = False
    small = {"components": 3, "width": 16}

    class Config(Settings):
        """``components`` A; the head has a hidden layer of ``width`` units."""

        components: int = Field(50, ge=1, le=10_000)
        width: int = Field(256, ge=1, le=16_384)

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        # Together one linear layer, of the features beside the one-hot vector.
        self.of_features = project(config.width)
        self.of_one_hot = nn.Linear(config.components, config.width, bias=False)
        self.to_parameters = nn.Linear(config.width, 2 * dim)

    def forward(self, features: Tensor, prior: Distribution | None) -> UniformMixture:
        hidden = self.of_features(features)[..., None, :] + self.of_one_hot.weight.T  # (..., A, W)
        mean, raw_scale = full_precision(self.to_parameters(hidden.relu())).chunk(2, dim=-1)
        return UniformMixture(mean, softplus(raw_scale) + MIN_SCALE)

    def draw(self, q: Distribution, prior: Distribution, shape: tuple[int, int]) -> LatentDraw:
        if not isinstance(q, UniformMixture) or not (each := draws_of_each(q, shape)):
            return super().draw(q, prior, shape)
        chosen = without_replacement(each[0], q)  # (S, *batch)
        return LatentDraw(q.of_components(chosen), q, prior, shape)


class UniformMixture(Distribution):
    """1/A sum_a N(means_a, diag scales_a^2), parameters (..., A, D): batch (...), event (D,).

    >>> UniformMixture(torch.zeros(5, 3, 2), torch.ones(5, 3, 2)).rsample((4,)).shape
    torch.Size([4, 5, 2])
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, means: Tensor, scales: Tensor) -> None:
        super().__init__(means.shape[:-2], means.shape[-1:], validate_args=False)
        self.means, self.scales = means, scales

    @property
    def mean(self) -> Tensor:
        return self.means.mean(-2)  # (..., D)

    def log_prob(self, value: Tensor) -> Tensor:
        each = normal_log_probs(value, self.means, self.scales)  # (..., A)
        return each.logsumexp(-1) - math.log(each.shape[-1])  # (...)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Independent draws, each from a component of its own."""
        shape, device = (*sample_shape, *self.batch_shape), self.means.device
        return self.of_components(torch.randint(self.means.shape[-2], shape, device=device))

    def of_components(self, chosen: Tensor) -> Tensor:
        """A draw (*S, *batch, D) of each component ``chosen`` (*S, *batch)."""
        index = chosen[..., None, None].expand(*chosen.shape, 1, self.event_shape[0])
        mean, scale = (
            each.expand(*chosen.shape, *each.shape[-2:]).gather(-2, index).squeeze(-2)
            for each in (self.means, self.scales)
        )  # (*S, *batch, D) each
        return torch.addcmul(mean, scale, torch.randn_like(mean))


def without_replacement(count: int, q: UniformMixture) -> Tensor:
    """Components (count, *batch): all of them in a random order, before any comes again."""
    components = q.means.shape[-2]
    rounds = -(-count // components)
    noise = torch.rand(rounds, *q.batch_shape, components, device=q.means.device)
    return noise.argsort(-1).movedim(-1, 1).flatten(0, 1)[:count]
