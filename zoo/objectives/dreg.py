"""Doubly reparameterised gradients of the importance-weighted bound (Tucker et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import check_one_group
from zoo.objectives.iwae import IWAE
from zoo.objectives.stl import log_weights_without_score
from zoo.posteriors import Posterior

if TYPE_CHECKING:
    from zoo.training.config import TrainingConfig
    from zoo.variants import Variant


class DReG(IWAE):
    r"""The importance-weighted bound, with another gradient of the encoder (arXiv:1810.04152).

    sum_s (w_s / sum_t w_t)^2 (d log w_s / dz_s) (dz_s / d phi): as unbiased as that of ``iwae``,
    without its score terms, so that what it tells the encoder grows clearer with S, not fainter.
    The decoder's and the prior's gradient is the plain one. Refused are posteriors that draw in a
    way of their own, as flows and mixtures do: their density does not come by z alone, or their
    draws depend on each other.
    """

    def loss(self, draws: Draws, step: Step) -> Loss:
        weights = log_weights_without_score(draws)  # (S, B)
        share, z = weights.detach().softmax(0), draws.latents[0].z

        def by_share(gradient: Tensor) -> Tensor:  # the bound's holds the share once
            rows = gradient.reshape(share.numel(), -1)  # (S B, ...)
            return (share.reshape(-1, 1) * rows).view_as(gradient)

        if z.requires_grad:
            z.register_hook(by_share)  # type: ignore[no-untyped-call]
        draws.log_weights = weights
        return super().loss(draws, step)

    def check(self, name: str, variant: Variant, train: TrainingConfig) -> None:
        super().check(name, variant, train)
        if train.compile:
            raise ConfigError(
                f"the objective {name!r} changes gradients on their way back, which a compiled "
                "step would leave as they are; leave out train.compile, or choose 'iwae'"
            )

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        super().check_model(name, model)
        check_one_group(name, model)
        posterior = getattr(model, "posterior", None)
        if isinstance(posterior, Posterior) and type(posterior).draw is not Posterior.draw:
            raise ConfigError(
                f"the objective {name!r} asks for independent draws whose density is computed of "
                f"them, and {type(posterior).__name__} draws in a way of its own; choose the "
                "objective 'iwae' or 'stl', or a posterior such as 'gaussian'"
            )
