"""How a detector of another library is called."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.tasks.base import Baseline

Vectors = NDArray[np.float64]


class AnomalyBaseline(Baseline):
    """A detector that is fitted to normal vectors (N, D) and scores others.

    Columns are expected standardised, as for a VAE. A subclass is made as ``Baseline(config)``.
    """

    task = "anomaly"

    @abstractmethod
    def fit(self, normal: Vectors, seed: int) -> Any:
        """A detector fitted to normal vectors (N, D); the ``seed`` is of one that draws."""

    @abstractmethod
    def scores(self, detector: Any, x: Vectors) -> Vectors:
        """Of vectors (M, D) how little each belongs, (M,), the higher the less."""
