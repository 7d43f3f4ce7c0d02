"""Find what does not belong: a score for each example, and a p-value."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.component import Selected, default
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of, evaluation_mode
from zoo.data import Examples
from zoo.errors import DataError
from zoo.evaluation.passes import Progress, Steps
from zoo.randomness import seeded
from zoo.settings import Settings
from zoo.tasks.anomaly.calibration import p_values
from zoo.tasks.anomaly.score import Score
from zoo.tasks.base import Task


class AnomalyDetection(Task):
    """Scores of examples under a model, the higher the more anomalous.

    They are compared with those of normal examples that the model has not learned, see
    :func:`zoo.tasks.anomaly.calibration.p_values`.
    """

    class Config(Settings):
        """The ``score``, and the ``seed`` of its draws."""

        score: Selected[Score] = default("likelihood")
        seed: int = 0

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.score: Score = config.score.build()

    def check_model(self, model: LatentVariableModel) -> None:
        self.score.check_model(model)

    def scores(
        self, model: LatentVariableModel, examples: Examples, progress: Progress | None = None
    ) -> Tensor:
        """The score of every example, float64 (N,) on the CPU.

        ``progress`` is called with the number of examples so far and in all. Raises
        UnsupportedError for a model that lacks the score, DataError for one that is no number.
        """
        self.check_model(model)
        fixed = examples.fixed(model.input_kind, self.config.seed).to(device_of(model))
        size = max(1, model.decode_batch // self.score.draws)
        return self._scores(model, fixed.batches(size, "real"), Steps(progress, len(fixed)))

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        found = self._scores(model, [batch])
        assert found.shape == (len(batch.x),)
        assert torch.equal(found, self._scores(model, [batch])), "a seed means other scores"
        p = p_values(found, found)
        least, most = 1 / (1 + len(p)), 1.0
        assert bool(((p > least) & (p <= most)).all()), "its own score is as high as itself"
        assert bool((p[found.argsort()].diff() <= 0).all()), "higher scores have higher p-values"

    def _scores(
        self, model: LatentVariableModel, batches: Iterable[Batch], steps: Steps | None = None
    ) -> Tensor:
        parts = []
        with torch.no_grad(), seeded(self.config.seed, device_of(model)), evaluation_mode(model):
            for batch in batches:
                parts.append(self.score(model, batch).double().cpu())
                if steps is not None:
                    steps.advance(len(batch.x))
        found = torch.cat(parts)  # (N,)
        if bool(found.isnan().any()):
            raise DataError(
                f"the score of example {int(found.isnan().nonzero()[0])} is no number; the model "
                "has diverged, or a value is too large for it"
            )
        return found
