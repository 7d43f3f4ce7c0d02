"""Doubly reparameterised gradients of the importance-weighted bound (Tucker et al. 2019)."""

from __future__ import annotations

from torch import Tensor

from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import check_one_group
from zoo.objectives.iwae import IWAE
from zoo.objectives.stl import log_weights_without_score


class DReG(IWAE):
    r"""The importance-weighted bound, with another gradient of the encoder (arXiv:1810.04152).

    sum_s (w_s / sum_t w_t)^2 (d log w_s / dz_s) (dz_s / d phi): as unbiased as that of ``iwae``,
    without its score terms, so that what it tells the encoder grows clearer with S, not fainter.
    The decoder's and the prior's gradient is the plain one.
    """

    def loss(self, draws: Draws, step: Step) -> Loss:
        weights = log_weights_without_score(draws)
        share, z = weights.detach().softmax(0), draws.latents[0].z

        def by_share(gradient: Tensor) -> Tensor:  # the bound's holds the share once
            rows = gradient.reshape(share.numel(), -1)  # (S B, ...)
            return (share.reshape(-1, 1) * rows).view_as(gradient)

        if z.requires_grad:
            z.register_hook(by_share)  # type: ignore[no-untyped-call]
        draws.log_weights = weights
        return super().loss(draws, step)

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        check_one_group(name, model)
