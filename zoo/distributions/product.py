"""Independent vectors side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl

from zoo.distributions.directional import as_size, broadcast_shape


class ProductDistribution(Distribution):
    """The product of distributions over vectors: p(z) = prod_i p_i(z_i), z = (z_1, ..., z_n).

    ``parts`` have events (d_i,) and batch shapes that broadcast; an event is (sum d_i,). KL
    divergences of products of equal widths are the sums of their parts', where all of these are
    known. Raises ValueError for no parts, and for parts that are not over vectors.

    >>> from zoo.distributions import HypersphericalUniform
    >>> torus = ProductDistribution([HypersphericalUniform(1), HypersphericalUniform(1)])
    >>> torus.sample().shape, round(torus.entropy().exp().item() / torch.pi**2, 4)
    (torch.Size([4]), 4.0)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, parts: Sequence[Distribution]) -> None:
        if not parts or any(len(part.event_shape) != 1 for part in parts):
            shapes = ", ".join(str(tuple(part.event_shape)) for part in parts) or "none"
            raise ValueError(
                f"a product has parts over vectors, with events of one axis, got {shapes}; wrap "
                "those over numbers in Independent(..., 1)"
            )
        batch = reduce(broadcast_shape, [part.batch_shape for part in parts])
        self.parts = [part if part.batch_shape == batch else part.expand(batch) for part in parts]
        self.widths = [part.event_shape[0] for part in parts]
        self.has_rsample = all(part.has_rsample for part in parts)
        # Each part validates what it is asked, if it is to.
        super().__init__(batch, torch.Size([sum(self.widths)]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ProductDistribution:
        """The same distribution over a larger batch shape."""
        shape = torch.Size(batch_shape)
        return ProductDistribution([part.expand(shape) for part in self.parts])

    @property
    def mean(self) -> Tensor:
        """The parts' means."""
        return self._joined(lambda part: part.mean)

    @property
    def mode(self) -> Tensor:
        """The parts' modes."""
        return self._joined(lambda part: part.mode)

    @property
    def variance(self) -> Tensor:
        """The parts' variances."""
        return self._joined(lambda part: part.variance)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws (*sample_shape, *batch_shape, sum d_i), reparameterised."""
        return self._joined(lambda part: part.rsample(as_size(sample_shape)))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws (*sample_shape, *batch_shape, sum d_i)."""
        return self._joined(lambda part: part.sample(as_size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over parts, (...)."""
        apart = torch.split(value, self.widths, dim=-1)  # (..., d_i) each
        densities = [part.log_prob(each) for part, each in zip(self.parts, apart, strict=True)]
        return reduce(add, densities)

    def entropy(self) -> Tensor:
        """The sum over parts, (...)."""
        return reduce(add, [part.entropy() for part in self.parts])

    def _joined(self, of: Callable[[Distribution], Tensor]) -> Tensor:
        return torch.cat([of(part) for part in self.parts], dim=-1)  # (..., sum d_i)


@register_kl(ProductDistribution, ProductDistribution)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_of_products(q: ProductDistribution, p: ProductDistribution) -> Tensor:
    """The sum over parts."""
    if q.widths != p.widths:
        raise ValueError(
            f"the products are of other parts, of widths {q.widths} and {p.widths}; their KL is a "
            "sum over parts of the same"
        )
    return reduce(add, [kl_divergence(*pair) for pair in zip(q.parts, p.parts, strict=True)])
