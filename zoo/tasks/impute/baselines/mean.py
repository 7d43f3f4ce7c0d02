"""The mean of each column, or the commonest class."""

from __future__ import annotations

import numpy as np

from zoo.tasks.impute.baselines.base import Filler, Rows


class Mean(Filler):
    """Of each column the mean of what is observed, of classes the commonest.

    >>> Mean(Mean.Config()).fill(np.array([[1.0, 0.0], [3.0, 2.0], [np.nan, 2.0], [2.0, np.nan]]),
    ...     classes=[1])[2:]
    array([[2., 2.],
           [2., 2.]])
    """

    def fill_numbers(self, x: Rows) -> Rows:
        return np.where(np.isnan(x), np.nanmean(x, axis=0), x)
