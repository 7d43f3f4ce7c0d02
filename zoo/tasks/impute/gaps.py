"""Batches of which something is missing."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.checks import check_observed


def with_mask(given: Tensor | Batch) -> tuple[Batch, Tensor]:
    """A batch, and which of its values are observed: where nothing says so, those that are no NaN.

    Raises DataError for a mask that does not fit.

    >>> import torch
    >>> with_mask(torch.tensor([[1.0, torch.nan]]))[1]
    tensor([[ True, False]])
    """
    batch = Batch.of(given)
    observed = ~batch.x.isnan() if batch.observed is None else batch.observed
    check_observed(observed, batch.x)
    return batch._replace(observed=observed), observed


def each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """A batch all of whose columns are changed alike."""
    columns = {name: column for name, column in batch._asdict().items() if column is not None}
    return Batch(**{name: change(column) for name, column in columns.items()})


def repeated(column: Tensor, count: int) -> Tensor:
    """(B, ...) -> (count B, ...): all rows, then all of them again."""
    return column.repeat(count, *(1 for _ in column.shape[1:]))
