"""beta-TCVAE: the bound with a total correlation that counts beta times (arXiv:1802.04942)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field

import zoo
from zoo.core.draws import Draws
from zoo.objectives import Loss, Objective, Step
from zoo.settings import Settings


@zoo.register("my-beta-tc", summary="The bound with a total correlation that counts beta times")
class BetaTC(Objective):
    logs = ("log_likelihood", "kl", "total_correlation")
    needs_evidence = True

    class Config(Settings):
        beta: float = Field(6.0, ge=0, le=1e30)

    def loss(self, draws: Draws, step: Step) -> Loss:
        z, q = draws.z[0], draws.posteriors[0]  # (B, D)
        log_q = q.base_dist.log_prob(z[:, None])  # log q(z_i|x_j), (B, B, D)
        weight = math.log(len(z) * max(step.examples, 1))  # of a minibatch
        joint = log_q.sum(-1).logsumexp(1) - weight  # log q(z), (B,)
        product = (log_q.logsumexp(1) - weight).sum(-1)
        correlation = (joint - product).mean()
        log_likelihood, kl = draws.log_likelihood.mean(), draws.kl.sum(-1).mean()
        extra = (self.config.beta - 1) * correlation
        logged = [each.detach() for each in (log_likelihood, kl, correlation)]
        value = step.kl_weight * (kl + extra) - log_likelihood
        return Loss(value, dict(zip(self.logs, logged, strict=True)))

    def figures(self, means: Mapping[str, float]) -> dict[str, float]:
        return {**means, "elbo": means["log_likelihood"] - means["kl"]}
