"""The rows that are nearest, by what both have."""

from __future__ import annotations

from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.impute.baselines.base import Filler, Rows


class KNearest(Filler):
    """The mean of the nearest rows that have the value (Troyanskaya et al. 2001; KNNImputer).

    >>> import numpy as np
    >>> KNearest(KNearest.Config(neighbours=1)).fill(np.array([[0.0, 5], [1, 7], [0.9, np.nan]]))[2]
    array([0.9, 7. ])
    """

    class Config(Settings):
        """Of how many ``neighbours``."""

        neighbours: int = Field(10, ge=1)

    config: Config

    def fill_numbers(self, x: Rows) -> Rows:
        from sklearn.impute import KNNImputer  # slow to import

        filled: Rows = KNNImputer(n_neighbors=self.config.neighbours).fit_transform(x)
        return filled
