"""Draws of a hierarchy, which remember their way down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.draws import Draws, LatentDraw

PosteriorsAlong: TypeAlias = Callable[[list[Tensor]], list[Distribution]]
"""q(z_g | z_<g, x) of each group on one path down, of the features of x."""


class PathDraws(Draws):
    """Draws with the ``features`` of their examples, (B, C, H, W) of each group.

    Those made in training also know the ``posteriors_along`` the path to them, so that nobody goes
    it again for other examples.
    """

    def __init__(
        self,
        latents: Sequence[LatentDraw],
        likelihood: Callable[[], Distribution],
        batch: Batch,
        code: Callable[[], Tensor],
        z: Tensor,
        features: list[Tensor],
        posteriors_along: PosteriorsAlong | None,
    ) -> None:
        super().__init__(latents, likelihood, batch, code, z)
        self.features, self.posteriors_along = features, posteriors_along

    def posteriors_of(self, other: Draws) -> list[Distribution] | None:
        if self.posteriors_along is None or not isinstance(other, PathDraws):
            return super().posteriors_of(other)
        return self.posteriors_along(other.features)
