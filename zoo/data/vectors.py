"""Vectors of real numbers in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.data.examples import Examples
from zoo.errors import DataError
from zoo.modalities import modality_of

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind


class VectorSplit(Examples):
    """Vectors float32 (N, D) of real numbers.

    >>> split = VectorSplit(torch.tensor([[0.5, -3.0], [2.0, 8.0]]))
    >>> split.batch(torch.tensor([1]), kind="real").x
    tensor([[2., 8.]])
    """

    modality = "vectors"

    def __post_init__(self) -> None:
        if self.rows.dtype != torch.float32 or self.rows.ndim != 2:
            raise DataError(
                "vectors must be float32 of shape (N, D), "
                f"got {self.rows.dtype} of shape {tuple(self.rows.shape)}"
            )
        super().__post_init__()

    def check(self, kind: InputKind) -> None:
        modality_of(self.shape).check_values(self.rows, kind)
