"""What a beam search keeps: the likeliest beginnings of each example's sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.modalities.tokenizer import PAD


class Beams:
    """``width`` beginnings of a sequence for each of ``count`` examples, and their likelihoods.

    They are rows in a batch of ``count`` times ``width``, an example's side by side.
    """

    def __init__(self, count: int, width: int, device: torch.device) -> None:
        self.count, self.width = count, width
        self.scores = torch.full((count, width), -torch.inf, device=device)
        self.scores[:, 0] = 0.0  # all beginnings are the same empty one
        self.classes = torch.zeros(count * width, 0, dtype=torch.int64, device=device)

    def extend(self, log_probs: Tensor, ended: Tensor | None) -> Tensor:
        """Go on with the best of all beginnings' continuations, (count * width, V).

        Those that have ``ended`` (count * width,) are only padded, at no cost. Returns the rows
        (count * width,) of the beginnings that were gone on with.
        """
        classes = log_probs.shape[-1]
        if ended is not None:
            padding = torch.full_like(log_probs[:1], -torch.inf)
            padding[:, PAD] = 0.0
            log_probs = torch.where(ended[:, None], padding, log_probs)
        scores = self.scores[..., None] + log_probs.view(self.count, self.width, classes)
        self.scores, best = scores.flatten(1).topk(self.width)  # (count, width)
        first = self.width * torch.arange(self.count, device=best.device)[:, None]  # (count, 1)
        parents = (first + best // classes).flatten()  # (count * width,)
        self.classes = torch.cat([self.classes[parents], (best % classes).view(-1, 1)], dim=1)
        return parents

    @property
    def best(self) -> Tensor:
        """The likeliest sequence of every example, (count, T): the first, as they are ranked."""
        return self.classes[:: self.width]
