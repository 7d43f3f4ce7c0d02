"""Regressions of each column on all others, in turn."""

from __future__ import annotations

from typing import Any

from zoo.tasks.impute.baselines.chained import Chained


class MICE(Chained):
    """Chained equations (van Buuren & Groothuis-Oudshoorn 2011), each the mean of its regression.

    scikit-learn's: Bayesian ridge regression of numbers, logistic regression of classes.

    >>> import numpy as np
    >>> line = np.arange(20.0)[:, None] * [1, 2]
    >>> line[3, 1] = np.nan
    >>> round(float(MICE(MICE.Config()).fill(line)[3, 1]), 1)
    6.0
    """

    def predictor(self, classes: bool) -> Any:
        from sklearn.linear_model import BayesianRidge, LogisticRegression  # slow to import

        return LogisticRegression(max_iter=1000) if classes else BayesianRidge()
