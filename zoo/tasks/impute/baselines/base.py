"""What the baselines of imputation share: how columns become numbers, and numbers columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError
from zoo.tasks.base import Baseline

Rows: TypeAlias = NDArray[np.float64]


class Filler(Baseline):
    """Fills in rows x (N, D) with gaps, NaN, learning from them and from further rows.

    Columns are seen standardised. Those at the places ``classes`` hold numbers that name classes:
    each is seen as a unit vector, and filled in with the class that comes out highest.
    """

    task = "impute"

    def fill(self, x: Rows, classes: Collection[int] = (), others: Rows | None = None) -> Rows:
        """x with numbers where it had none, learned of ``others`` (M, D) too.

        Raises DataError for a column of which nothing is observed.
        """
        rows = x if others is None else np.concatenate([x, others])  # (N + M, D)
        if (empty := np.isnan(rows).all(0)).any():
            raise DataError(
                f"nothing is observed of column {int(empty.argmax()) + 1}; leave it out, or give "
                "others that have it"
            )
        seen = [_seen(column, place in classes) for place, column in enumerate(rows.T)]
        parts = self.fill_parts([part for part, _ in seen])
        each = zip(parts, seen, strict=True)
        filled = np.stack([undo(part[: len(x)]) for part, (_, undo) in each], axis=1)  # (N, D)
        return np.where(np.isnan(x), filled, x)

    def fill_parts(self, parts: Sequence[Rows]) -> Sequence[Rows]:
        """What each column is seen as, (N, F) of numbers with gaps in whole rows, without them."""
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        return np.split(self.fill_numbers(np.concatenate(parts, axis=1)), ends, axis=1)

    @abstractmethod
    def fill_numbers(self, x: Rows) -> Rows:
        """All of them side by side, x (N, F), without gaps."""


def _seen(column: Rows, is_class: bool) -> tuple[Rows, Any]:
    """A column (N,) as numbers (N, F), and what makes a column of such numbers again."""
    gaps = np.isnan(column)
    if is_class:
        values = np.unique(column[~gaps])
        unit = (column[:, None] == values).astype(float)  # (N, F)
        unit[gaps] = np.nan
        return unit, lambda numbers: values[numbers.argmax(1)]
    mean, deviation = np.nanmean(column), np.nanstd(column) or 1.0
    return ((column - mean) / deviation)[:, None], lambda numbers: numbers[:, 0] * deviation + mean
