"""What MICE and MissForest share: each column is predicted by all others, in turn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.settings import Settings
from zoo.tasks.impute.baselines.base import Filler, Rows
from zoo.tasks.impute.baselines.mean import Mean


class Chained(Filler):
    """Begins with means and shares of classes, and goes over the columns for some rounds.

    The column of the fewest gaps is first. A predictor learns of the rows that have a column and
    fills in those that have not: numbers by its mean, classes by their probabilities. It never sees
    the column itself, of whose classes each follows from the others.
    """

    class Config(Settings):
        """So many ``rounds`` over all columns."""

        rounds: int = Field(5, ge=1)

    config: Config

    def fill_parts(self, parts: Sequence[Rows]) -> Sequence[Rows]:
        missing = [np.isnan(part[:, 0]) for part in parts]  # (N,) each
        filled = list(Mean(Mean.Config()).fill_parts(parts))
        if len(parts) == 1:
            return filled  # there is nothing to predict it from
        with_gaps = [place for place in np.argsort(np.sum(missing, axis=1)) if missing[place].any()]
        for place in with_gaps * self.config.rounds:
            others = np.concatenate([*filled[:place], *filled[place + 1 :]], axis=1)  # (N, G)
            guess = self._predicted(others, parts[place], missing[place])
            filled[place] = np.where(missing[place][:, None], guess, parts[place])
        return filled

    def fill_numbers(self, x: Rows) -> Rows:
        return np.concatenate(self.fill_parts(np.split(x, x.shape[1], axis=1)), axis=1)

    @abstractmethod
    def predictor(self, classes: bool) -> Any:
        """scikit-learn's, of classes or of numbers, unfitted."""

    def _predicted(self, others: Rows, part: Rows, missing: NDArray[np.bool_]) -> Rows:
        """(N, F) with what is missing, of ``others`` (N, G); the rest is not to be read."""
        guess, known = np.zeros_like(part), ~missing
        if part.shape[1] == 1:
            fitted = self.predictor(classes=False).fit(others[known], part[known, 0])
            guess[missing, 0] = fitted.predict(others[missing])
        else:
            fitted = self.predictor(classes=True).fit(others[known], part[known].argmax(1))
            guess[missing] = fitted.predict_proba(others[missing])
        return guess
