"""Draws of a hierarchy, which remember their way down."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from zoo.core.draws import Draws


class PathDraws(Draws):
    """Draws with the features of their examples, (B, C, H, W) of each group.

    Those made in training also know ``along``: what the posteriors say on the path to these draws
    of examples of other features, so that nobody goes that path again.
    """

    features: list[Tensor]
    along: Callable[[list[Tensor]], list[Distribution]] | None = None

    def posteriors_of(self, other: Draws) -> list[Distribution] | None:
        if self.along is None or not isinstance(other, PathDraws):
            return super().posteriors_of(other)
        return self.along(other.features)
