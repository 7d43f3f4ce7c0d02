"""Which of a run's models is kept: the best by its objective's figure on the validation split."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.core.model import LatentVariableModel
from zoo.errors import TrainingError
from zoo.storage import checkpoint
from zoo.training.config import Experiment
from zoo.training.run import RunDirectory
from zoo.training.state import Position

CONVERSION = ("image_size", "image_channels")
"""Settings of how images were converted, which a checkpoint says beside the digest of its data."""


class Selection:
    """The best model so far, held until it is written to its run as :func:`zoo.load` reads it.

    ``figure`` names what is highest for the best; before the KL warm-up's end none counts.
    """

    def __init__(
        self, run: RunDirectory, experiment: Experiment, data_digest: str, figure: str
    ) -> None:
        self.run, self.experiment, self.figure = run, experiment, figure
        self.data_digest = data_digest
        self.unsaved: tuple[LatentVariableModel, Mapping[str, Any]] | None = None

    def consider(
        self, model: LatentVariableModel, record: Mapping[str, Any], position: Position
    ) -> None:
        """Keep a copy of the model when its record is the best so far."""
        if position.step < self.experiment.train.kl_warmup_steps:
            return
        value = record[f"validation_{self.figure}"]
        position.epochs_since_best += 1
        if math.isfinite(value) and (position.best is None or value > position.best):
            position.best, position.best_epoch = value, record["epoch"]
            position.epochs_since_best = 0
            self.unsaved = copy.deepcopy(model), record

    def out_of_patience(self, position: Position) -> bool:
        """Whether too many epochs have gone by without a better model."""
        patience = self.experiment.train.patience
        return patience is not None and position.epochs_since_best >= patience

    def write_unsaved(self) -> None:
        """Write the best model where it is not on the disk yet."""
        if self.unsaved is not None:
            self.write(*self.unsaved)
            self.unsaved = None

    def write(
        self, model: LatentVariableModel, record: Mapping[str, Any], path: Path | None = None
    ) -> None:
        """Write a model as a checkpoint, the run's best one unless another ``path`` is said."""
        stored = self.experiment.model_dump(mode="json")
        training = {
            **record,
            "seed": self.experiment.train.seed,
            "data": self.data_digest,
            "hardware": " and ".join(dict.fromkeys(self.run.hardware)),
            **{key: stored[key] for key in CONVERSION if stored[key] is not None},
        }
        checkpoint.save(
            path or self.run.best,
            model,
            variant=self.experiment.variant.name,
            dataset=self.experiment.dataset,
            training=training,
        )

    def load(self, device: torch.device) -> LatentVariableModel:
        """The best model, from the disk."""
        return checkpoint.load(self.run.best, device=device)

    def record(self, position: Position, history: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The best epoch's. Raises TrainingError where no epoch had a finite figure."""
        if position.best is None:
            raise TrainingError(
                "the bound on the validation split was never finite, so there is no model to keep; "
                "lower train.lr or set train.clip_grad_norm"
            )
        return next(each for each in history if each["epoch"] == position.best_epoch)
