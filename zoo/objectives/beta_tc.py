"""beta-TCVAE (Chen et al. 2018, arXiv:1802.04942)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.draws import Draws, LatentDraw
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Loss, Step
from zoo.objectives.codes import OfCodes, check_coordinates, coordinates


class BetaTC(OfCodes):
    r"""The ELBO with a total correlation KL(q(z) || prod_d q(z_d)) that counts ``beta`` times.

    The mean KL falls into the information of x and z, the total correlation of q(z) = 1/N sum_n
    q(z|x_n), and each dimension's divergence from its prior. The first and the last count once.
    """

    logs = ("log_likelihood", "kl", "total_correlation")
    needs_evidence = True

    class Config(OfCodes.Config):
        """At a ``beta`` of 1 this is the ELBO."""

        beta: float = Field(6.0, ge=0, le=1e30)

    config: Config

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound = super().loss(draws, step)
        correlation = total_correlation(draws.latents[0], step.examples)
        value = bound.value + step.kl_weight * (self.config.beta - 1) * correlation
        return Loss(value, {**bound.logs, "total_correlation": correlation.detach()})

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        check_coordinates(name, model)


def total_correlation(latent: LatentDraw, examples: int) -> Tensor:
    r"""E[log q(z) - sum_d log q(z_d)] at the first draws z_i ~ q(z|x_i) of a batch, a scalar.

    q(z) over all ``examples`` is estimated by stratified sampling, see :func:`log_weights`: without
    bias, its logarithm with some, and exactly where the batch is the whole set.
    """
    z, q = latent.apart(latent.z)[0], coordinates(latent.posterior)  # (B, ..., d)
    log_q = q.log_prob(z[:, None]).flatten(2)  # log q(z_id|x_j), (B, B, D)
    weights = log_weights(len(z), examples, log_q)  # (B, B)
    joint = (log_q.sum(-1) + weights).logsumexp(1)  # (B,)
    product = (log_q + weights.unsqueeze(-1)).logsumexp(1).sum(-1)  # (B,)
    return (joint - product).mean()


def log_weights(batch: int, examples: int, like: Tensor) -> Tensor:
    """How much q(z|x_j) counts in q(z_i), (B, B): of N examples, x_i itself counts 1/N.

    The B - 1 others of the batch stand for all N - 1 others, (N - 1) / (N (B - 1)) each.

    >>> log_weights(3, 9, torch.zeros(())).exp()[0]
    tensor([0.1111, 0.4444, 0.4444])
    """
    examples = max(examples, batch)
    others = max(examples - 1, 1) / (examples * max(batch - 1, 1))
    own = torch.eye(batch, device=like.device, dtype=torch.bool)
    return like.new_full((), -math.log(examples)).where(own, math.log(others))
