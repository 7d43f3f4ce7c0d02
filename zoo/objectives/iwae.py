"""The importance-weighted autoencoder (Burda et al. 2016, arXiv:1509.00519)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Loss, Objective, Step
from zoo.objectives.codes import check_random
from zoo.settings import Settings


class IWAE(Objective):
    r"""Minus the batch's mean of log 1/S sum_s w_s, w_s = p(x, z_s) / q(z_s|x).

    Its gradient is the plain one through the reparameterised draws, sum_s (w_s / sum_t w_t)
    d log w_s. That is unbiased, but what it tells the encoder drowns in noise as S grows (Rainforth
    et al. 2018, arXiv:1802.04537). The mean log-weight, which is logged, is the ELBO; it does not
    fall into terms.
    """

    logs = ("elbo", "bound")
    needs_evidence = True
    weighs_kl = False
    sums_over_classes = False  # the weights do not depend on q(y|x), which would learn nothing

    class Config(Settings):
        """``samples`` S for each example."""

        samples: int = Field(5, ge=1, le=2**20)

    config: Config

    @property
    def samples(self) -> int:
        return self.config.samples

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound = draws.log_evidence.mean()
        logged = draws.log_weights.detach().mean(), bound.detach()
        return Loss(-bound, dict(zip(self.logs, logged, strict=True)))

    def validation(self, model: LatentVariableModel, batch: Batch) -> dict[str, Tensor]:
        return {"bound": model.log_prob(batch, self.samples)}

    def selects(self, model: LatentVariableModel) -> str:
        return "bound"

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        check_random(name, model)
