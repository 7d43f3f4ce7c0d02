"""What a prior is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.component import Component, Selected
from zoo.core.latent_space import LatentSpace
from zoo.errors import ConfigError, UnsupportedError
from zoo.posteriors import Posterior, posteriors_in
from zoo.randomness import noise_of
from zoo.settings import Settings


class Given(NamedTuple):
    """What a prior may look at."""

    like: Tensor
    """On whose device and in whose dtype it is said."""
    condition: Tensor | None = None
    """Numbers (B, C) that say what each example is told."""
    posterior: Callable[[Tensor], Distribution] | None = None
    """q(z|x, c) of examples (N, ...), as a mixture of posteriors reads: batch shape (N,).

    Where a condition is told, all of them are told each of it: (B, N). Examples (B, N, ...) are
    told that of their row: (B, N)."""


class Prior(Component, nn.Module, ABC):
    """p(z|c) over codes of a space.

    A subclass is made as ``Prior(config, space, input_shape)``.
    """

    section = "priors"
    space: ClassVar[type[LatentSpace]]
    of_posteriors: ClassVar[bool] = False
    """Whether it is made of posteriors of examples of its own, see :attr:`Given.posterior`."""

    def __init__(self, config: Settings, space: LatentSpace, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = space.dim

    def tell(self, width: int) -> None:
        """Called once, of a model that is told ``width`` numbers, before it is trained.

        A prior that depends on them makes what it needs for that; others stay p(z).
        """

    @property
    def variance(self) -> float | None:
        """Of each coordinate of a code; None where it is not one known number."""
        return None

    @abstractmethod
    def forward(self, given: Given) -> Distribution:
        """p(z|c), batch shape () or (B,)."""

    def quantiles(self, u: Tensor, given: Given) -> Tensor:
        """The codes (N, D) at quantiles u (N, K) in (0, 1), K the space's ``manifold_dim``.

        Of u drawn uniformly they are draws of the prior. Raises UnsupportedError unless the
        subclass has them in closed form.
        """
        raise UnsupportedError(
            f"the prior {type(self).__name__} has no quantiles in closed form; choose a model with "
            "'standard-normal', 'uniform-sphere' or a flow as its prior"
        )

    def sample(
        self, n: int, given: Given, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """n draws (n, D).

        Raises UnsupportedError for a temperature other than 1 unless the subclass knows what a
        standard deviation is: its own ``sample`` scales it.
        """
        if temperature != 1:
            raise UnsupportedError(
                f"the prior {type(self).__name__} has no standard deviation to scale: "
                f"temperature must be 1, got {temperature}"
            )
        p = self(given)
        if p.event_shape != (self.dim,):
            raise UnsupportedError(
                f"the prior {type(self).__name__} is one over {tuple(p.event_shape)}, and codes "
                f"are ({self.dim},); wrap it in Independent(..., 1)"
            )
        shape = torch.Size([] if p.batch_shape else [max(n, 1)])  # a mixture draws no fewer
        with noise_of(generator, given.like.device):
            drawn: Tensor = p.sample(shape)
        return drawn[:n]


def usual_prior(posterior: Selected[Posterior]) -> str:
    """The name of the prior of models that name none: that of the posterior's space."""
    return posterior.component.space.usual_prior


def check_pair(posterior: Selected[Posterior], prior: Selected[Prior]) -> None:
    """Raise ConfigError for a posterior and a prior that do not go together."""
    check_same_space(posterior, prior)
    if prior.component.of_posteriors and not posterior.component.of_x_alone:
        raise ConfigError(
            f"the prior {prior.name!r} is made of posteriors of examples of its own, and those of "
            f"{posterior.name!r} depend on the batch: the statistics would be of both; choose the "
            "posterior 'gaussian', or the prior 'mixture'"
        )


def check_same_space(posterior: Selected[Posterior], prior: Selected[Prior]) -> None:
    """Raise ConfigError for a posterior and a prior of different spaces."""
    lives, covers = posterior.component.space, prior.component.space
    if lives is not covers:
        raise ConfigError(
            f"the posterior {posterior.name!r} lives in a space {lives.__name__}, the prior "
            f"{prior.name!r} in a space {covers.__name__}; choose the prior "
            f"{usual_prior(posterior)!r}, or of the posteriors that fit {prior.name!r} one of "
            f"{', '.join(posteriors_in(covers)) or 'none'}"
        )
