"""The manifold that a decoder makes of a plane or a sphere (Kingma & Welling 2014, figure 4)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.evaluation.principal import principal_plane
from zoo.pictures.sheet import Sheet
from zoo.settings import Settings
from zoo.tasks.drawing import (
    Drawing,
    Show,
    Told,
    codes_of,
    examples_of,
    expect_shown,
    plain_show,
    shown,
    told_all,
)


class Manifold(Drawing):
    """What codes at even distances in probability look like, n x n of them (arXiv:1312.6114).

    With F the prior's distribution function, row and column are F^-1((k + 1/2) / n) of one
    coordinate each: the first grows to the right, the second upwards. On a sphere in R^3 that is
    Lambert's map, which has longitude across and height upwards. Codes of more dimensions, and
    those of priors without quantiles, have a plane: ``principal``, the first two principal axes of
    the codes of examples, with a normal distribution's quantiles along each.
    """

    class Config(Settings):
        """``n`` codes a side; ``condition`` is what all are told, where a model is."""

        n: int = Field(20, ge=1, le=200)
        principal: bool = False
        condition: Told = None

    config: Config
    small = {"n": 3}

    @property
    def examples(self) -> int:
        return 2000 if self.config.principal else 0

    def check_model(self, model: LatentVariableModel) -> None:
        told = told_all(model, self.config.condition, 1)
        if self.config.principal:
            return
        if model.quantile_dim != 2:
            raise UnsupportedError(
                f"a manifold has 2 dimensions, and the codes of this model {model.quantile_dim}; "
                "train one with latent_dim=2 (3 on a sphere), or see the plane of most variance "
                "with principal=True (--principal)"
            )
        model.quantiles(even_quantiles(1).to(next(model.parameters())), told)

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        told = told_all(model, self.config.condition, self.config.n**2)
        return Sheet(shown(model, show, self.codes(model, batch, told), told), self.config.n)

    def codes(self, model: LatentVariableModel, batch: Batch | None, told: Tensor | None) -> Tensor:
        """Those of the picture, row by row: (n^2, D)."""
        like = next(model.parameters())
        u = even_quantiles(self.config.n).to(like)
        if not self.config.principal:
            return model.quantiles(u, told)
        plane = principal_plane(codes_of(model, examples_of(batch)))
        return model.space.project(plane.points(torch.special.ndtri(u) * plane.deviations))

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """Codes are where codes may be, and as many are shown."""
        told = told_all(model, self.config.condition, self.config.n**2)
        codes = self.codes(model, batch, told)
        torch.testing.assert_close(model.space.project(codes), codes)
        sheet = self.draw(model, batch, plain_show(model))
        expect_shown(sheet, self.config.n**2)


def even_quantiles(n: int) -> Tensor:
    """Places (n^2, 2) in the unit square, row by row from the top: right, and up.

    >>> even_quantiles(2)
    tensor([[0.2500, 0.7500],
            [0.7500, 0.7500],
            [0.2500, 0.2500],
            [0.7500, 0.2500]])
    """
    middles = (torch.arange(n) + 0.5) / n
    up, right = torch.meshgrid(middles.flip(0), middles, indexing="ij")  # (n, n)
    return torch.stack([right.flatten(), up.flatten()], dim=1)
