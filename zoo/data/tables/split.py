"""Rows of a table in memory."""

from __future__ import annotations

import torch

from zoo.data.examples import Examples
from zoo.errors import DataError


class TableSplit(Examples):
    """Rows float32 (N, D): numbers in the units of the data, the numbers of values; NaN is missing.

    ``observed`` says the same, and is None where nothing is missing.

    >>> split = TableSplit(torch.tensor([[0.5, torch.nan], [2.0, 8.0]]))
    >>> split.observed
    tensor([[ True, False],
            [ True,  True]])
    """

    modality = "tables"

    def __post_init__(self) -> None:
        if self.rows.dtype != torch.float32 or self.rows.ndim != 2:
            raise DataError(
                "rows of a table must be float32 of shape (N, D), "
                f"got {self.rows.dtype} of shape {tuple(self.rows.shape)}"
            )
        there = ~self.rows.isnan()
        if self.observed is None and not there.all():
            object.__setattr__(self, "observed", there)
        super().__post_init__()
