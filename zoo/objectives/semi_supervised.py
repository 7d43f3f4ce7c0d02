"""Semi-supervised learning with a generative model (Kingma et al. 2014, arXiv:1406.5298)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.classes import ClassDraws
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.data import Examples
from zoo.data.labels import labelled_of
from zoo.objectives.base import Loss, Objective, Step
from zoo.settings import Settings


class SemiSupervised(Objective):
    r"""-1/N [sum_labelled L(x, y) + sum_unlabelled U(x)] - alpha E_labelled[log q(y|x)].

    Equation (9), divided by the number N of examples: the paper's alpha is 0.1 N, ours 0.1. L and U
    are the bounds of :class:`zoo.core.classes.ClassDraws`. A label of -1 says that a class is not
    known. Where few are, each batch holds a ``share`` of labelled examples, in turn, so that some
    of the others wait for a later epoch; the sums above are weighed as if it did not.

    The best model is picked by U(x) on the validation split: its labels are counted, in the
    ``classification_error``, and choose nothing.

    >>> bounds, log_q = torch.tensor([[-3.0, -5.0]]), torch.tensor([[0.5, 0.5]]).log()
    >>> ((log_q.exp() * (bounds - log_q)).sum(-1)).item()  # U = mean of L, and the entropy log 2
    -3.306...
    """

    logs = ("bound", "cross_entropy")
    needs_evidence = True
    needs_classes = True
    weighs_kl = False

    class Config(Settings):
        """``alpha`` is what a nat of the labels' cross-entropy costs."""

        alpha: float = Field(0.1, ge=0, le=1e30)
        share: float = Field(0.25, gt=0, lt=1)

    config: Config

    def loss(self, draws: Draws, step: Step) -> Loss:
        labels = draws.batch.labels
        assert isinstance(draws, ClassDraws) and labels is not None  # as the checks have found
        known, y = labels >= 0, labels.clamp(min=0).unsqueeze(1)  # (B,), (B, 1)
        told = _mean(draws.bounds.gather(1, y).squeeze(1), known)
        not_told = _mean(draws.elbo, ~known)
        weight = step.labelled / max(step.examples, 1)
        bound = weight * told + (1 - weight) * not_told
        cross_entropy = -_mean(draws.log_class.gather(1, y).squeeze(1), known)
        logged = bound.detach(), cross_entropy.detach()
        value = self.config.alpha * cross_entropy - bound
        return Loss(value, dict(zip(self.logs, logged, strict=True)))

    def arranged(
        self, order: Tensor, examples: Examples, batch_size: int, generator: torch.Generator
    ) -> Tensor:
        known, batches = labelled_of(examples), len(order) // batch_size
        count = min(max(1, round(self.config.share * batch_size)), batch_size - 1)
        if known is None or not count or len(known) * batch_size >= count * len(order):
            return order
        others = order[~torch.isin(order, known)]
        others = others[: batches * (batch_size - count)].view(batches, -1)
        turns = -(-batches * count // len(known))
        in_turn = [torch.randperm(len(known), generator=generator) for _ in range(turns)]
        labelled = known[torch.cat(in_turn)[: batches * count]].view(batches, -1)
        return torch.cat([labelled, others], dim=1).flatten()  # (batches * batch_size,)

    def validation(self, model: LatentVariableModel, batch: Batch) -> dict[str, Tensor]:
        assert model.has_classes and batch.labels is not None
        wrong = model.classify(batch).argmax(-1) != batch.labels  # type: ignore[operator]
        return {"classification_error": wrong.float()}


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Of the chosen of values (B,); 0 where none is."""
    return values.where(chosen, 0).sum() / chosen.sum().clamp(min=1)
