"""Batch normalisation of what a network says of each example, without scale or shift."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.errors import UnsupportedError


class Standardised(nn.BatchNorm1d):
    """(x - mean x) / std x of each of the last axis's numbers, over all axes before it.

    In training over the batch; in evaluation with statistics of the training set, which the trainer
    measures before it validates. Raises UnsupportedError for a training batch of one.

    >>> import torch
    >>> Standardised(3)(torch.tensor([[1.0, 2.0, 3.0], [2.0, 0.0, 3.5]]))
    tensor([[-1.,  1., -1.],
            [ 1., -1.,  1.]])
    """

    def __init__(self, dim: int) -> None:
        # Torch's own 1e-5 would leave small numbers small, and let a KL fall below its floor.
        super().__init__(dim, eps=1e-10, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x[..., 0].numel() < 2:
            raise UnsupportedError(
                "batch normalisation trains on batches of at least 2 examples, got 1; call "
                "model.eval() before using the model, or raise train.batch_size"
            )
        return super().forward(x.flatten(0, -2)).view_as(x)
