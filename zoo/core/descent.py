"""Models whose latents are decided from outside, one group after the other, from the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch

Choice: TypeAlias = Callable[[Distribution, Distribution | None], Tensor]
"""Of p(z_g|z_<g), and of q(z_g|x, z_<g) where x is known: the latents (n, ...), as q has them.

A prior that is the same for all codes may have no batch shape."""


@runtime_checkable
class Descending(Protocol):
    """A model that asks of each group of latents what it is to be, and goes on with the answer."""

    def descend(self, n: int, choose: Choice, batch: Batch | None = None) -> Distribution:
        """p(x|z), batch shape (n,), of n codes that ``choose`` decides group by group.

        Of a ``batch`` of n examples the posteriors are said beside the priors. Priors and p(x|z)
        are the same floats, bit by bit, whether or not there is a batch: who codes examples knows
        them, and who decodes does not yet.
        """
