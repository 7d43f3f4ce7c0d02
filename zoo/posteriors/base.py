"""What a posterior is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.component import Component
from zoo.core.latent_space import Euclidean, Sphere
from zoo.errors import UnsupportedError

Projection: TypeAlias = Callable[[int], nn.Module]
"""Makes the layer from a network's features (..., F) to so many numbers (..., n)."""


class Posterior(Component, nn.Module, ABC):
    """Features (..., F) to q(z|x), batch shape (...), over codes of ``dim`` numbers.

    A subclass is made as ``Posterior(config, project, dim)``; ``project`` comes of the network it
    stands in, so that one posterior serves vectors, maps and sequences.
    """

    section = "posteriors"
    space: ClassVar[type[Euclidean] | type[Sphere]]
    """Where codes live."""

    @abstractmethod
    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        """q(z|x), which may be said relative to the prior where there is one."""

    def code(self, q: Distribution) -> Tensor:
        """The deterministic code: the mode, or the mean where there is none.

        Raises UnsupportedError where a distribution has neither; override this method then.
        """
        for name in ("mode", "mean"):
            try:
                found: Tensor = getattr(q, name)
                return found
            except (AttributeError, NotImplementedError):
                continue
        raise UnsupportedError(
            f"{type(self).__name__} has neither mode nor mean, so it must say itself what the "
            "code of an example is: override its method code(q)"
        )
