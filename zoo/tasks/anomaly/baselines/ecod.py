"""How far in the tails of every feature an example lies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zoo.errors import ConfigError
from zoo.tasks.anomaly.baselines.base import AnomalyBaseline, Vectors


class ECODBaseline(AnomalyBaseline):
    """Empirical cumulative distributions (Li et al. 2022, arXiv:2201.00382), of PyOD.

    The library is the extra "baselines"; ConfigError where it is not installed.

    >>> import numpy as np
    >>> normal = np.random.default_rng(0).normal(size=(200, 2))
    >>> ecod = ECODBaseline(ECODBaseline.Config())
    >>> near, far = ecod.scores(ecod.fit(normal, seed=0), np.array([[0.0, 0.0], [9.0, 9.0]]))
    >>> bool(far > near)
    True
    """

    def fit(self, normal: Vectors, seed: int) -> Any:
        try:
            detectors = import_module("pyod.models.ecod")
        except ImportError as error:
            raise ConfigError(
                "ECOD is computed by the library pyod, which is not installed: pip install pyod"
            ) from error
        return detectors.ECOD().fit(normal)

    def scores(self, detector: Any, x: Vectors) -> Vectors:
        found: Vectors = detector.decision_function(x)
        return found
