"""Classes as unit vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl


class OneHot(Distribution):
    """A class of K, as a unit vector (..., K), of log-probabilities ``log_p`` (..., K).

    torch's OneHotCategorical looks at values even where it is told not to, for which the host
    waits, and cannot be made for a batch of none.

    >>> log_p = torch.tensor([0.25, 0.75]).log()
    >>> OneHot(log_p).log_prob(torch.tensor([0.0, 1.0])).exp()
    tensor(0.7500)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p
        super().__init__(log_p.shape[:-1], log_p.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.log_p.exp()

    @property
    def mode(self) -> Tensor:
        """The likeliest class."""
        return self._unit_vector(self.log_p)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws (*shape, ..., K): the class whose exponential of rate p comes first."""
        log_p = self.log_p.detach().expand(*sample_shape, *self.log_p.shape)
        return self._unit_vector(log_p - torch.empty_like(log_p).exponential_().log())

    def log_prob(self, value: Tensor) -> Tensor:
        """Of unit vectors (..., K)."""
        return (value * self.log_p).where(value > 0, 0).sum(-1)

    def _unit_vector(self, scores: Tensor) -> Tensor:
        return as_one_hot(scores.argmax(-1), self.event_shape[0], self.log_p.dtype)


def as_one_hot(classes: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classes (...) as unit vectors (..., K) of a ``count`` K.

    torch's one_hot looks at the classes, for which the host waits.

    >>> as_one_hot(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    every = torch.arange(count, device=classes.device)
    return (classes.unsqueeze(-1) == every).to(dtype)


@register_kl(OneHot, OneHot)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl(p: OneHot, q: OneHot) -> Tensor:
    weights = p.log_p.exp()
    return (weights * (p.log_p - q.log_p)).where(weights > 0, 0).sum(-1)  # (...)
