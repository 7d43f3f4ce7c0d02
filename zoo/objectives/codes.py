"""What objectives on the codes of a batch, or on their coordinates, share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.distributions import Distribution, Independent

from zoo.core.latent_space import Codebook, Euclidean
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, UnsupportedError
from zoo.objectives.elbo import ELBO
from zoo.posteriors import Posterior

if TYPE_CHECKING:
    from zoo.training.config import TrainingConfig
    from zoo.variants import Variant


class OfCodes(ELBO):
    """The ELBO and a term that compares the codes of a batch with each other."""

    def check(self, name: str, variant: Variant, train: TrainingConfig) -> None:
        super().check(name, variant, train)
        if train.batch_size < 2:
            raise ConfigError(
                f"the objective {name!r} compares the codes of a batch with each other, and "
                f"train.batch_size is {train.batch_size}; set it to at least 2"
            )


def check_one_group(name: str, model: LatentVariableModel) -> None:
    """Raise ConfigError for latents in several groups, each given those before it."""
    groups = len(model.group_widths)
    if groups > 1:
        raise ConfigError(
            f"the objective {name!r} is for one vector of latents, and {model.variant!r} has "
            f"{groups} groups of them, each given those before it; choose the objective 'beta' or "
            "'capacity', or a variant such as 'gaussian-vae'"
        )


def check_random(name: str, model: LatentVariableModel) -> None:
    """Raise ConfigError for codes that are certain given x, as those of a codebook."""
    if isinstance(model.space, Codebook):
        raise ConfigError(
            f"the objective {name!r} reads how likely codes are under q(z|x), and those of "
            f"{model.variant!r} are certain, so that no gradient passes through their density and "
            "a KL is 0 or infinite; choose the objective 'vq', or a variant such as 'gaussian-vae'"
        )


def check_coordinates(name: str, model: LatentVariableModel) -> None:
    """Raise ConfigError for codes whose coordinates cannot be independent of each other."""
    check_one_group(name, model)
    if not isinstance(model.space, Euclidean):
        raise ConfigError(
            f"the objective {name!r} is for codes whose coordinates can be independent, and those "
            f"of {model.variant!r} live on a {type(model.space).__name__.lower()}; choose the "
            "objective 'mmd', or a posterior such as 'gaussian'"
        )
    posterior = getattr(model, "posterior", None)
    if isinstance(posterior, Posterior) and not posterior.factorises:
        raise ConfigError(
            f"the objective {name!r} reads q(z|x) coordinate by coordinate, and that of "
            f"{type(posterior).__name__} does not factorise into them; choose the objective 'mmd', "
            "or the posterior 'gaussian'"
        )


def coordinates(q: Distribution) -> Distribution:
    """The distributions of the coordinates of a posterior that factorises.

    Raises UnsupportedError for one that does not.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> coordinates(Independent(Normal(torch.zeros(5, 2), 1.0), 1)).mean.shape
    torch.Size([5, 2])
    """
    if not isinstance(q, Independent):
        raise UnsupportedError(
            f"this objective reads q(z|x) coordinate by coordinate, and {type(q).__name__} does "
            "not factorise into them; choose the objective 'mmd', or the posterior 'gaussian'"
        )
    apart: Distribution = q.base_dist
    return apart
