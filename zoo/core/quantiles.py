"""Where a prior has quantiles, and so codes at even distances in probability."""

from __future__ import annotations

from torch import Tensor

from zoo.core.latent_space import LatentSpace
from zoo.errors import UnsupportedError


class Quantiles:
    """What a model says of the quantiles of its prior: that it has none, unless it knows better."""

    space: LatentSpace

    @property
    def quantile_dim(self) -> int:
        """How many numbers u a quantile has, see :meth:`quantiles`."""
        return self.space.manifold_dim

    def quantiles(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """The prior's codes (N, D) at quantiles u (N, ``quantile_dim``), each in (0, 1).

        Of uniform u they are draws. Raises UnsupportedError where there is no closed form.
        """
        raise UnsupportedError(
            f"the prior of a {type(self).__name__} has no quantiles in closed form; models with "
            "one latent vector and a normal prior, one on the sphere, or a flow have them, such as "
            "'gaussian-vae'"
        )
