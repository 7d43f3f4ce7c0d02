"""What is found of examples: scores, p-values, and which are flagged."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from zoo.errors import ConfigError
from zoo.tasks.anomaly.calibration import discoveries, p_values


@dataclass(frozen=True, eq=False)
class Anomalies:
    """Of N examples how little each belongs to what a model has learned.

    ``scores`` float64 (N,), the higher the more anomalous, and ``calibration`` (n,), those of
    normal examples.

    >>> import torch
    >>> found = Anomalies("likelihood", torch.tensor([3.0, 99.0]), torch.arange(99.0))
    >>> found.p_values, found.flagged(0.05)
    (tensor([0.9700, 0.0100], dtype=torch.float64), tensor([False,  True]))
    """

    score: str
    """The name of the score."""
    scores: Tensor  # (N,)
    calibration: Tensor  # (n,)

    @property
    def p_values(self) -> Tensor:
        """Of each example, float64 (N,); see :func:`zoo.tasks.anomaly.calibration.p_values`."""
        return p_values(self.scores, self.calibration)

    def flagged(self, alpha: float = 0.05, *, false_discoveries: bool = False) -> Tensor:
        """Which examples are anomalies, boolean (N,).

        At most ``alpha`` of the normal ones are on average; with ``false_discoveries`` at most
        ``alpha`` of the flagged ones are normal (Benjamini & Hochberg 1995), which needs n of at
        least some N / alpha. Raises ConfigError for an ``alpha`` that is not between 0 and 1.
        """
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha must be between 0 and 1, as 0.05, got {alpha!r:.100}")
        p = self.p_values
        return discoveries(p, alpha) if false_discoveries else p <= alpha

    def __len__(self) -> int:
        return len(self.scores)
