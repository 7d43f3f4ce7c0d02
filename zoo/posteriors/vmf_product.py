"""Von Mises-Fisher on a product of spheres (Davidson et al. 2019, arXiv:1910.02912)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.latent_space import Spheres
from zoo.distributions.precision import full_precision
from zoo.distributions.product import ProductDistribution
from zoo.distributions.von_mises_fisher import VonMisesFisher
from zoo.errors import UnsupportedError
from zoo.posteriors.base import Posterior, Projection
from zoo.posteriors.directional import direction_and_concentration
from zoo.settings import Settings


class VMFProduct(Posterior):
    r"""q(z|x) = prod_i vMF(z_i; mu_i(x), k_i(x)) over unit vectors z_i in R^(m_i), side by side.

    One sphere has one concentration for all of its directions, and in many dimensions little
    surface; several have a concentration each, exp(.) + 1. The KL to the uniform prior is the sum
    of theirs.

    >>> config = VMFProduct.Config(spheres=3)
    >>> posterior = VMFProduct(config, lambda n: torch.nn.Linear(128, n), 8)
    >>> posterior.widths, posterior(torch.ones(5, 128), None).rsample().shape
    ([3, 3, 2], torch.Size([5, 8]))
    """

    space = Spheres
    small = {"spheres": 1}

    class Config(Settings):
        """``spheres`` is how many, as equal as may be, or how many numbers each has."""

        spheres: (
            Annotated[int, Field(ge=1, le=2048)]
            | Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)]
        ) = 4

    def __init__(self, config: Config, project: Projection, dim: int) -> None:
        super().__init__()
        self.widths = _widths(config.spheres, dim)
        self.projection = project(dim + len(self.widths))

    @classmethod
    def space_of(cls, config: Config, dim: int) -> Spheres:
        return Spheres(*_widths(config.spheres, dim))

    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        projected = full_precision(self.projection(features))
        numbers = torch.split(projected, [m + 1 for m in self.widths], dim=-1)  # (..., m_i + 1)
        parameters = map(direction_and_concentration, numbers)
        return ProductDistribution(
            [VonMisesFisher(loc, scale, validate_args=False) for loc, scale in parameters]
        )


def _widths(spheres: int | tuple[int, ...], dim: int) -> list[int]:
    """Of the spheres that codes of ``dim`` numbers are on; the first ones are the wider."""
    if isinstance(spheres, int):
        if dim < 2 * spheres:
            raise UnsupportedError(
                f"{spheres} spheres need codes of at least {2 * spheres} numbers, got {dim}; "
                "choose fewer 'spheres' or a larger 'latent_dim'"
            )
        share, rest = divmod(dim, spheres)
        return [share + 1] * rest + [share] * (spheres - rest)
    if sum(spheres) != dim:
        raise UnsupportedError(
            f"spheres of {', '.join(map(str, spheres))} numbers make codes of {sum(spheres)}, and "
            f"'latent_dim' is {dim}; let them be equal"
        )
    return list(spheres)
