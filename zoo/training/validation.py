"""What is measured of the validation split after every epoch, with the same noise each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.core.moments import LatentMoments, Moments
from zoo.data import Examples
from zoo.objectives import Objective
from zoo.randomness import seeded

NOISE_SEED = 0
"""Seeds the validation set's binarisation and the draws z ~ q(z|x): the same for every run."""
EVALUATION_BATCH = 500


class Validation:
    """The validation split, drawn once as the model reads it, and how it is measured."""

    def __init__(
        self,
        split: Examples,
        objective: Objective,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.split, self.objective, self.autocast = split, objective, autocast

    @torch.no_grad()
    def measure(self, model: LatentVariableModel) -> dict[str, float]:
        """The unweighted ELBO and its terms, of an autoencoder log p(x|z) alone.

        And what the objective asks for besides. The model is left with the moments of its codes.
        """
        codes = Moments()
        found = self._means(model, partial(_terms, codes=codes))
        deviation = codes.variance.sqrt().float()
        model.latent_moments = LatentMoments(codes.mean.float(), deviation)
        if model.has_evidence:
            elbo = found["log_likelihood"] - found["kl"]
            found = {"elbo": elbo, **found}
        if type(self.objective).validation is not Objective.validation:
            found |= self._means(model, self.objective.validation)
        return {f"validation_{name}": value for name, value in found.items()}

    def _means(
        self,
        model: LatentVariableModel,
        measure: Callable[[LatentVariableModel, Batch], dict[str, Tensor]],
    ) -> dict[str, float]:
        totals: dict[str, Tensor] = {}
        with seeded(NOISE_SEED, self.split.rows.device):
            for batch in in_batches(model, self.split):
                with self.autocast():
                    values = measure(model, batch)
                for name, value in values.items():
                    totals[name] = totals.get(name, 0) + value.sum()
        sums = torch.stack(list(totals.values())).tolist()
        return {name: value / len(self.split) for name, value in zip(totals, sums, strict=True)}


def in_batches(model: LatentVariableModel, split: Examples) -> Iterator[Batch]:
    """All of a fixed split, as many at a time as the model has room for."""
    return split.batches(min(EVALUATION_BATCH, model.decode_batch), kind="real")


def _terms(model: LatentVariableModel, batch: Batch, codes: Moments) -> dict[str, Tensor]:
    draws = model.infer(batch)
    codes.update(draws.z[0])  # (B, D)
    terms = {"log_likelihood": draws.expected_log_likelihood}
    return {**terms, "kl": draws.kl.sum(-1)} if model.has_evidence else terms  # (B,) each
