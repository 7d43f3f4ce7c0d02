"""How soon random cuts leave an example alone."""

from __future__ import annotations

from typing import Any

from zoo.randomness import short_seed
from zoo.tasks.anomaly.baselines.base import AnomalyBaseline, Vectors


class IsolationForestBaseline(AnomalyBaseline):
    """Isolation forest (Liu et al. 2008, ICDM), with scikit-learn's settings.

    >>> import numpy as np
    >>> normal = np.random.default_rng(0).normal(size=(200, 2))
    >>> forest = IsolationForestBaseline(IsolationForestBaseline.Config())
    >>> near, far = forest.scores(forest.fit(normal, seed=0), np.array([[0.0, 0.0], [9.0, 9.0]]))
    >>> bool(far > near)
    True
    """

    def fit(self, normal: Vectors, seed: int) -> Any:
        from sklearn.ensemble import IsolationForest

        return IsolationForest(random_state=short_seed(seed)).fit(normal)

    def scores(self, detector: Any, x: Vectors) -> Vectors:
        found: Vectors = -detector.score_samples(x)
        return found
