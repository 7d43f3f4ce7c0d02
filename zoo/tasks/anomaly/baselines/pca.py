"""What the principal components leave of an example."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.anomaly.baselines.base import AnomalyBaseline, Vectors


class PCABaseline(AnomalyBaseline):
    """Squared error of the reconstruction by the first principal components, of scikit-learn.

    >>> line = np.outer(np.arange(9.0), [1.0, 1.0])
    >>> pca = PCABaseline(PCABaseline.Config())
    >>> pca.scores(pca.fit(line, seed=0), np.array([[20.0, 20.0], [2.0, 0.0]])).round(6)
    array([0., 2.])
    """

    class Config(Settings):
        """As many components as keep this share of the ``variance``."""

        variance: float = Field(0.5, gt=0, lt=1)

    config: Config

    def fit(self, normal: Vectors, seed: int) -> Any:
        from sklearn.decomposition import PCA

        return PCA(self.config.variance, svd_solver="full").fit(normal)

    def scores(self, detector: Any, x: Vectors) -> Vectors:
        found: Vectors = np.square(x - detector.inverse_transform(detector.transform(x))).sum(1)
        return found
