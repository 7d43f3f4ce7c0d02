"""Regressions of each column on all others, in turn."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.impute.baselines.base import Filler, Rows


class MICE(Filler):
    """Chained equations (van Buuren & Groothuis-Oudshoorn 2011), each the mean of its regression.

    scikit-learn's IterativeImputer with Bayesian ridge regressions.

    >>> import numpy as np
    >>> line = np.arange(20.0)[:, None] * [1, 2]
    >>> line[3, 1] = np.nan
    >>> round(float(MICE(MICE.Config()).fill(line)[3, 1]), 1)
    6.0
    """

    class Config(Settings):
        """At most so many ``rounds`` over all columns."""

        rounds: int = Field(10, ge=1)

    config: Config

    def fill_numbers(self, x: Rows) -> Rows:
        return filled_in_rounds(x, None, self.config.rounds)


def filled_in_rounds(x: Rows, regression: Any, rounds: int) -> Rows:
    """x (N, F) by IterativeImputer, without its warning that more rounds would change more."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 -- by its import
    from sklearn.impute import IterativeImputer

    imputer = IterativeImputer(regression, max_iter=rounds, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        filled: Rows = imputer.fit_transform(x)
    return filled
