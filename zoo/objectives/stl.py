"""Sticking the landing (Roeder et al. 2017, arXiv:1703.09194)."""

from __future__ import annotations

from torch import Tensor

from zoo.core.draws import Draws, LatentDraw
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Loss, Objective, Step
from zoo.objectives.codes import check_random


class STL(Objective):
    r"""The ELBO's estimate by one draw, with the gradient of log q(z|x) through the draw alone.

    What is left out, the score d log q / d phi at a fixed z, has mean 0: the gradient stays
    unbiased, and its variance falls to 0 where the posterior becomes the true one, as that of a KL
    in closed form does not. In a hierarchy the score is each group's, given the draws before it:
    unbiased too, but there some variance is left at the true posterior.
    """

    logs = ("log_likelihood", "kl")
    needs_evidence = True
    sums_over_classes = False

    def loss(self, draws: Draws, step: Step) -> Loss:
        log_likelihood = draws.log_likelihood.mean()
        kl = log_likelihood - log_weights_without_score(draws).mean()
        logged = {"log_likelihood": log_likelihood.detach(), "kl": kl.detach()}
        return Loss(step.kl_weight * kl - log_likelihood, logged)

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        check_random(name, model)


def log_weights_without_score(draws: Draws) -> Tensor:
    """log p(x, z) - log q(z|x), (S, B), whose gradient reaches q's parameters through z alone."""
    score = draws.log_weights.new_zeros(())
    for each in draws.latents:
        score = score + LatentDraw(each.z.detach(), each.posterior, each.prior, each.shape).log_q
    return draws.log_weights + (score - score.detach())
