"""What a published example computes for log p(x), and calls so."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.metrics.base import Measured, Metric, need_evidence
from zoo.metrics.likelihood import NATS
from zoo.metrics.subject import Subject
from zoo.settings import Settings

ROWS = 100
"""Examples at a time."""


class DecoupledLikelihood(Metric):
    r"""log p(x|z_0) + log 1/n sum_i p(z_i) / q(z_i|x), all of z_0, ..., z_n ~ q(z|x) independent.

    `log_likelihood` of examples/mnist.py in github.com/nicola-decao/s-vae-tf weighs draws of its
    own by p / q, not the one that is decoded. The second part then depends on the posterior alone.
    Its mean is -KL for one draw and rises to 0 with n, as E_q[p / q] = 1: what is left is the
    reconstruction. So this neither estimates log p(x) nor bounds it; it is here to be compared with
    figures that were computed so (Davidson et al. 2018, arXiv:1804.00891).
    """

    version = 1
    unit = NATS
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"

    class Config(Settings):
        """``draws`` n of each example."""

        draws: int = Field(1000, ge=1, le=100_000)

    config: Config

    def check(self, subject: Subject) -> None:
        need_evidence(subject)

    def measure(self, subject: Subject) -> Measured:
        model = subject.model
        batches = subject.examples.batches(ROWS, model.input_kind)
        each = [decoupled(model, batch, self.config.draws) for batch in batches]
        return Measured.of_each("decoupled likelihood", torch.cat(each), None, subject.basis)


def decoupled(model: LatentVariableModel, batch: Batch, draws: int) -> Tensor:
    """Of each example, (B,)."""
    others = model.infer(batch, draws)
    ratios = (others.log_p - others.log_q).sum(-1)  # (n, B)
    return model.infer(batch).log_likelihood[0] + log_mean_ratio(ratios)


def log_mean_ratio(log_ratios: Tensor) -> Tensor:
    """log 1/n sum_i p(z_i) / q(z_i|x) of log p - log q, (n, B): (B,)."""
    return log_ratios.logsumexp(0) - math.log(len(log_ratios))
