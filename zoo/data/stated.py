"""What is said of data before a training."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.data.dataset import Dataset


def stated_of(data: Dataset) -> Iterator[str]:
    """What a table's columns were taken for, and how much of the splits was observed.

    >>> import torch
    >>> from zoo.data import load_dataset
    >>> x = torch.tensor([[1.0, 0.5], [torch.nan, 0.1], [0.0, 0.25], [0.0, 0.7]])
    >>> for line in stated_of(load_dataset(x, columns={})):
    ...     print(line)
    columns: x0: binary of 2, x1: positive
    observed: 75.0 % of train, 100.0 % of validation, 100.0 % of test
    """
    if data.table is not None:
        yield f"columns: {data.table.described}"
    shares = {name: split.observed_share for name, split in data.splits.items()}
    if min(shares.values()) < 1:
        yield "observed: " + ", ".join(f"{100 * each:.1f} % of {n}" for n, each in shares.items())
