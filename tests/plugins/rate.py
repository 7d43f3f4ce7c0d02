"""How many nats the code of an example costs: a strange one is far from the prior."""

from __future__ import annotations

from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.tasks.anomaly.score import Score, check_evidence


@zoo.register("rate", summary="KL(q(z|x) || p(z)), nats")
class Rate(Score):
    """KL(q(z|x) || p(z)), summed over the groups of latents."""

    def check_model(self, model: LatentVariableModel) -> None:
        check_evidence(model)

    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        return model.infer(batch).kl.sum(-1)  # (B, G) -> (B,)
