"""How badly an example is rebuilt."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.tasks.anomaly.score import Score


class Reconstruction(Score):
    """-log p(x|z) at the deterministic code z of x: of any model, autoencoders among them.

    Of a Gaussian likelihood it is the squared error, but for scale and constant. Nothing is drawn.

    >>> import zoo
    >>> model = zoo.load("autoencoder-digits")
    >>> score = Reconstruction(Reconstruction.Config())
    >>> score(model, Batch(torch.zeros(3, 1, 8, 8))).shape
    torch.Size([3])
    """

    @torch.no_grad()
    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        codes = model.encode(batch)  # (B, D)
        return -model.infer(batch, given=codes[None]).log_likelihood[0]
