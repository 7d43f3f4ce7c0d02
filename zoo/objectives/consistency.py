"""Consistency regularisation (Sinha & Dieng 2021, arXiv:2105.14859)."""

from __future__ import annotations

import torch
from pydantic import Field

from zoo.core.batch import Batch
from zoo.core.draws import Draws, LatentDraw
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import check_random
from zoo.objectives.elbo import ELBO
from zoo.objectives.motion import Motion


class Consistency(ELBO):
    r"""-ELBO(x) - ELBO(x~) + strength KL(q(z|x~) || q(z|x)), x~ a slightly moved copy of x.

    Turned, shifted and scaled at random, see :class:`Motion`; an example's condition stays its own.
    In a hierarchy both posteriors of a group are given the same draws before it, those of x~.
    What is logged as bound and terms is x's alone.
    """

    logs = ("log_likelihood", "kl", "consistency")
    needs_evidence = True
    sums_over_classes = False

    class Config(ELBO.Config, Motion):
        """``strength`` is what a nat between the posteriors costs."""

        strength: float = Field(0.1, ge=0, le=1e30)

    config: Config

    def draws(self, model: LatentVariableModel, batch: Batch) -> Draws:
        draws = super().draws(model, batch)
        moved = super().draws(model, self.config.moved(batch))
        still = moved.posteriors_of(draws)
        if still is None:
            still = model.infer(batch, given=moved.z).posteriors
        pairs = zip(moved.latents, still, strict=True)
        apart = [LatentDraw(m.z, m.posterior, q, m.shape).kl for m, q in pairs]
        draws.auxiliary["consistency"] = torch.stack(apart).sum(0)  # (B,)
        draws.auxiliary["moved_log_likelihood"] = moved.log_likelihood  # (S, B)
        draws.auxiliary["moved_kl"] = moved.kl  # (B, G)
        return draws

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound, extra = super().loss(draws, step), draws.auxiliary
        moved = self.weighted(extra["moved_kl"].mean(0), step.kl_weight)
        moved = moved - extra["moved_log_likelihood"].mean()
        apart = extra["consistency"].mean()
        value = bound.value + moved + self.config.strength * apart
        return Loss(value, {**bound.logs, "consistency": apart.detach()})

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        if model.modality.name != "images":
            raise ConfigError(
                f"the objective {name!r} turns and shifts images, and {model.variant!r} reads "
                f"{model.modality.name} here; choose the objective 'elbo'"
            )
        check_random(name, model)
