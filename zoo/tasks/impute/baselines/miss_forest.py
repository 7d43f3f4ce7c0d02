"""Forests that say each column by all others, in turn."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.impute.baselines.base import Filler, Rows
from zoo.tasks.impute.baselines.mice import filled_in_rounds


class MissForest(Filler):
    """Chained random forests (Stekhoven & Bühlmann 2012).

    scikit-learn's IterativeImputer with random forests.

    >>> curve = np.linspace(-1, 1, 60)[:, None] ** [1, 2]
    >>> curve[40, 1] = np.nan
    >>> bool(abs(MissForest(MissForest.Config()).fill(curve)[40, 1] - curve[40, 0] ** 2) < 0.1)
    True
    """

    class Config(Settings):
        """``trees`` of a forest, each of at most so many ``rows``, ``rounds`` over all columns."""

        trees: int = Field(20, ge=1)
        rows: int = Field(4000, ge=2)
        rounds: int = Field(4, ge=1)

    config: Config

    def fill_numbers(self, x: Rows) -> Rows:
        from sklearn.ensemble import RandomForestRegressor  # slow to import

        some = min(self.config.rows, int((~np.isnan(x)).sum(0).min()))
        forest = RandomForestRegressor(
            self.config.trees, max_samples=some, min_samples_leaf=2, random_state=0
        )
        return filled_in_rounds(x, forest, self.config.rounds)
