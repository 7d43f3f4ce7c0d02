"""How much sparser it is around an example than around its neighbours."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.anomaly.baselines.base import AnomalyBaseline, Vectors


class LOF(AnomalyBaseline):
    """Local outlier factor of new examples (Breunig et al. 2000, SIGMOD), of scikit-learn.

    >>> import numpy as np
    >>> normal = np.random.default_rng(0).normal(size=(200, 2))
    >>> lof = LOF(LOF.Config())
    >>> near, far = lof.scores(lof.fit(normal, seed=0), np.array([[0.0, 0.0], [9.0, 9.0]]))
    >>> bool(far > near)
    True
    """

    class Config(Settings):
        """``neighbours`` that an example is compared with, scikit-learn's number."""

        neighbours: int = Field(20, ge=1)

    config: Config

    def fit(self, normal: Vectors, seed: int) -> Any:
        from sklearn.neighbors import LocalOutlierFactor

        count = min(self.config.neighbours, len(normal) - 1)
        return LocalOutlierFactor(n_neighbors=count, novelty=True).fit(normal)

    def scores(self, detector: Any, x: Vectors) -> Vectors:
        found: Vectors = -detector.score_samples(x)
        return found
