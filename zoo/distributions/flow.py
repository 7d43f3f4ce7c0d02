"""What an invertible map makes of noise (Rezende & Mohamed 2015, arXiv:1505.05770)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

Map: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points (..., D) to their images (..., D) and the logarithm of |det Jacobian| there, (...)."""


def composed(maps: Sequence[Map], points: Tensor) -> tuple[Tensor, Tensor]:
    """The image under several maps, the first first, and the sum of their log-determinants."""
    total = points.new_zeros(points.shape[:-1])  # (...)
    for each in maps if points.numel() else ():  # torch cannot sum over the dimensions of no point
        points, log_det = each(points)
        total = total + log_det
    return points, total


class Flow(Distribution):
    r"""The distribution of f(e), e drawn from ``base``: log p(f(e)) = log p(e) - log |det df/de|.

    ``to_codes`` is f, ``to_noise`` its inverse, each with its own log-determinant. Where one of
    them is expensive it is only run when asked for: f to draw, its inverse for a density at points
    that were not drawn here.

    >>> from torch.distributions import Independent, Normal
    >>> base = Independent(Normal(torch.zeros(5, 2), 1.0), 1)
    >>> twice = lambda e: (2 * e, 2 * e.new_tensor(2.0).log().expand(e.shape[:-1]))
    >>> half = lambda z: (z / 2, -2 * z.new_tensor(2.0).log().expand(z.shape[:-1]))
    >>> flow = Flow(base, twice, half)
    >>> z, log_density = flow.rsample_with_log_prob((3,))
    >>> z.shape, torch.allclose(flow.log_prob(z), log_density)
    (torch.Size([3, 5, 2]), True)
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, base: Distribution, to_codes: Map, to_noise: Map) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base, self.to_codes, self.to_noise = base, to_codes, to_noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Of codes (..., D), (...)."""
        noise, log_det = self.to_noise(value)
        return self._of_noise(noise) + log_det

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.to_codes(self.base.rsample(torch.Size(sample_shape)))[0]

    def rsample_with_log_prob(self, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
        """Draws and their densities, for which nothing is inverted."""
        noise = self.base.rsample(torch.Size(sample_shape))
        codes, log_det = self.to_codes(noise)
        return codes, self._of_noise(noise) - log_det

    def _of_noise(self, noise: Tensor) -> Tensor:
        if not noise.numel():
            return noise.new_zeros(noise.shape[:-1])
        density: Tensor = self.base.log_prob(noise)
        return density
