"""What the coarse latents of a hierarchy leave unsaid of an example."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch, Checked
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.settings import Settings
from zoo.tasks.anomaly.score import Score, check_evidence


class LikelihoodRatio(Score):
    r"""LLR>k = L - L>k, of two bounds on log p(x) (Havtorn et al. 2021, arXiv:2102.08248).

    In L>k the k finest groups of latents are drawn from the prior, given the coarse ones:

        L>k = E[log p(x|z) + log p(z_c) - log q(z_c|x)],    z ~ p(z_f|z_c) q(z_c|x)

    and L is the importance-weighted bound with all groups from q(z|x). With more samples LLR>k
    tends to KL(p(z_f|z_c) q(z_c|x) || p(z|x)): the nats that the fine groups have to say of x.
    Strokes and edges are alike in images of other kinds; what they show as a whole, which the
    coarse groups say, is not. An example that only the fine ones can explain has a large ratio.

    >>> import torch, zoo
    >>> model = zoo.load("nvae-lite-digits")
    >>> score = LikelihoodRatio(LikelihoodRatio.Config(samples=4))
    >>> score(model, Batch(torch.zeros(3, 1, 8, 8))).shape
    torch.Size([3])
    """

    class Config(Settings):
        """``fine`` is k, by default half of the groups; ``samples`` are those of either bound.

        The coarse groups are best those that carry about half of the KL, as a model's card says.
        """

        fine: int | None = Field(None, ge=1)
        samples: int = Field(32, ge=1, le=100_000)

    config: Config

    @property
    def draws(self) -> int:
        return self.config.samples

    def check_model(self, model: LatentVariableModel) -> None:
        check_evidence(model)
        groups = len(model.group_widths)
        if groups < 2:
            raise UnsupportedError(
                f"{type(model).__name__} has one group of latents, and the ratio is that of "
                "several; choose a hierarchy such as 'nvae-lite', or the score 'complexity' for "
                "images and 'likelihood' for all else"
            )
        if (self.config.fine or 1) >= groups:
            raise UnsupportedError(
                f"fine must be from 1 to {groups - 1}, so that of the {groups} groups of latents "
                f"at least one is coarse, got {self.config.fine}"
            )

    @torch.no_grad()
    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        batch = Checked(*model.prepared(batch))
        coarse = len(model.group_widths) - self._fine(model)
        draws = model.infer(batch, self.config.samples)
        codes = _with_fine_groups_drawn(model, batch, draws.z, coarse)
        log_likelihood = model.infer(batch, given=codes).log_likelihood  # (S, B)
        of_coarse = (draws.log_p - draws.log_q)[..., :coarse].sum(-1)  # (S, B)
        return draws.log_evidence - (log_likelihood + of_coarse).mean(0)

    def _fine(self, model: LatentVariableModel) -> int:
        return self.config.fine or len(model.group_widths) // 2


def _with_fine_groups_drawn(
    model: LatentVariableModel, batch: Batch, codes: Tensor, coarse: int
) -> Tensor:
    """Codes (S, B, D) with the groups from ``coarse`` on drawn from the prior given the others."""
    told = batch.condition
    if told is not None:
        told = told.repeat(len(codes), *[1] * (told.ndim - 1))  # of (S B,) codes
    fine = range(coarse, len(model.group_widths))
    drawn = model.resample_groups(codes.flatten(0, 1), fine, condition=told)  # (S B, D)
    return drawn.view(codes.shape)
