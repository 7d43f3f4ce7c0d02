"""Objectives whose best model is not the one of the best ELBO."""

from __future__ import annotations

from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.objectives.base import Objective, Step


class SelectsItself(Objective):
    """The best model is picked by the objective itself, its warm-up at its end.

    A term over several examples is that of the validation's batches. Name it before the other
    bases of a class.
    """

    def validation(self, model: LatentVariableModel, batch: Batch) -> dict[str, Tensor]:
        objective = -self.loss(self.draws(model, batch), Step()).value
        return {"objective": objective.expand(len(batch.x))}

    def selects(self, model: LatentVariableModel) -> str:
        return "objective"
