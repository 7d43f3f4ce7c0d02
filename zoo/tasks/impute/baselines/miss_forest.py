"""Forests that say each column by all others, in turn."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from zoo.tasks.impute.baselines.chained import Chained


class MissForest(Chained):
    """Chained random forests (Stekhoven & Bühlmann 2012), of scikit-learn.

    At each split the root of the number of columns is tried, as there.

    >>> import numpy as np
    >>> curve = np.linspace(-1, 1, 60)[:, None] ** [1, 2]
    >>> curve[40, 1] = np.nan
    >>> bool(abs(MissForest(MissForest.Config()).fill(curve)[40, 1] - curve[40, 0] ** 2) < 0.1)
    True
    """

    class Config(Chained.Config):
        """``trees`` of a forest, and ``rounds`` over all columns."""

        trees: int = Field(100, ge=1)

    config: Config

    def predictor(self, classes: bool) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # slow to import

        if classes:
            return RandomForestClassifier(self.config.trees, random_state=0)
        return RandomForestRegressor(self.config.trees, max_features="sqrt", random_state=0)
