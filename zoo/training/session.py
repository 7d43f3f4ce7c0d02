"""All that a run consists of, where it is, and how it is kept across a kill."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.core.model import LatentVariableModel
from zoo.data import Dataset
from zoo.data.folder import skipped_warning
from zoo.data.labels import labelled_of
from zoo.data.stated import stated_of
from zoo.data.text import vocabulary_warning
from zoo.devices import hardware
from zoo.errors import ConfigError
from zoo.objectives import Objective, Step
from zoo.training.averages import STORED, MovingAverage, exponential, power
from zoo.training.config import Experiment, TrainingConfig
from zoo.training.device import autocast, precision_warning
from zoo.training.optim import GradientGuard, build_optimizer
from zoo.training.progress import Reporter
from zoo.training.run import RunDirectory
from zoo.training.selection import Selection
from zoo.training.start import load_start
from zoo.training.state import Position, RunState
from zoo.training.validation import NOISE_SEED, Validation, in_batches


def built(experiment: Experiment, data: Dataset) -> tuple[LatentVariableModel, Objective]:
    """The model and the objective of a run. Raises ConfigError where they do not fit."""
    model, objective = experiment.variant.build(experiment.model), experiment.objective.build()
    objective.check_model(experiment.objective.name, model)
    objective.check_data(experiment.objective.name, data)
    return model, objective


class Session:
    """One run: its model, data, optimiser and files, from its start or from where it was killed."""

    def __init__(
        self,
        experiment: Experiment,
        data: Dataset,
        directory: RunDirectory,
        device: torch.device,
        visible: bool,
    ) -> None:
        self.experiment, self.config, self.directory = experiment, experiment.train, directory
        self.device, self.autocast = device, partial(autocast, experiment.train, device)
        model, self.objective = built(experiment, data)
        self.model = model.to(device)
        decay = self.config.ema_decay
        self.average = None if decay is None else MovingAverage(self.model, exponential(decay))
        lengths = STORED if self.config.ema_snapshot_epochs else ()
        self.kept = {length: MovingAverage(self.model, power(length)) for length in lengths}
        self.train_split = data.train.to(device)
        self.batch_size = min(self.config.batch_size, len(data.train))
        self.steps_per_epoch = len(data.train) // self.batch_size
        self.total_steps = self.steps_per_epoch * self.config.epochs
        _check_warmup(self.config, self.total_steps)
        for split in (data.train, data.validation):
            split.check(self.model.input_kind)
        fixed = data.validation.fixed(self.model.input_kind, NOISE_SEED).by_length().to(device)
        self.validation = Validation(fixed, self.objective, self.autocast)
        self.optimizer = build_optimizer(self.config, self.model)
        self.guard = GradientGuard(
            self.model,
            self.steps_per_epoch,
            self.config.clip_grad_norm,
            self.objective.logs,
            thorough=type(self.model).penalty is not LatentVariableModel.penalty,
        )
        self.kl_weight = torch.ones((), device=device)  # rises in place while the warm-up lasts
        weight = self.kl_weight if self.config.kl_warmup_steps else 1.0
        labelled = labelled_of(data.train)
        self.at = Step(weight, len(data.train), 0 if labelled is None else len(labelled))
        self.position = Position()
        self.averages = [*self.kept.values(), *([] if self.average is None else [self.average])]
        models = {"model": self.model, **{f"average-{n}": a.model for n, a in self.kept.items()}}
        if self.average is not None:
            models["average"] = self.average.model
        self.state = RunState(experiment, device, data.identity, models, self.optimizer, self.guard)
        figure = self.objective.selects(self.model)
        self.selection = Selection(directory, experiment, data.identity.digest, figure)
        self.skipped, self.data = data.skipped, data
        self.reporter = Reporter(directory.path, self.total_steps, self.batch_size, visible)
        self.last_save = time.monotonic()

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.position.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether the last step was taken, or patience has run out."""
        return self.position.stopped or self.position.step >= self.total_steps

    @property
    def validated_model(self) -> LatentVariableModel:
        """The moving average where there is one: what is validated is what is released."""
        return self.average.model if self.average is not None else self.model

    def restore(self) -> None:
        """Go back to the last saved state; where there is none yet, to where the run starts."""
        self.directory.clear_leftovers()
        if self.directory.last.exists():
            self.position = self.state.restore(self.directory.last)
            self.position.fitted &= self.done  # a longer run fits again at its new end
        elif self.experiment.start_from is not None:
            load_start(self.experiment.start_from, self.model)
            for average in self.averages:
                average.model.load_state_dict(self.model.state_dict())
        if self.directory.record_config(self.experiment) and self.position.stopped:
            self.reporter.warn(
                f"train.patience = {self.config.patience} stopped this run at epoch {self.epoch}; "
                "more epochs change nothing"
            )
        self.directory.metrics.cut(self.position.step)

    def save_is_due(self) -> bool:
        """Whether a kill would lose more work than was allowed."""
        return time.monotonic() - self.last_save >= self.config.checkpoint_seconds

    def save(self) -> None:
        """Write the best model, and then everything the rest of the run depends on.

        A kill between the two leaves a best model newer than the state: the epochs from the state
        on are trained again, and write the same model again.
        """
        self.selection.write_unsaved()
        self.directory.metrics.flush()
        self.state.save(self.directory.last, self.position)
        self.last_save = time.monotonic()

    def finish(self) -> tuple[LatentVariableModel, dict[str, Any]]:
        """Load the best weights and fit what is fitted to codes."""
        record = self.selection.record(self.position, self.directory.metrics.read())
        model = self.selection.load(self.device)
        if not self.position.fitted:
            if type(model).fit_codes is not LatentVariableModel.fit_codes:
                model.fit_codes(self.training_codes(model))
                self.selection.write(model, record)
            self.position.fitted = True
            self.save()
        return model, record

    @torch.no_grad()
    def training_codes(self, model: LatentVariableModel) -> Tensor:
        """The codes (N, D) of the training set, binarised once where the model needs it."""
        split = self.train_split.fixed(model.input_kind, NOISE_SEED)
        return torch.cat([model.encode(batch) for batch in in_batches(model, split)])

    def warn_beforehand(self) -> None:
        """Note what the run computes on, and say what is likely not meant before it does."""
        now = hardware(self.device)
        before = self.directory.note_hardware(now)
        moved = f"the run was on {before} and is on {now}: it will not end bit for bit as there"
        for stated in stated_of(self.data):
            self.reporter.state(stated)
        for warning in (
            precision_warning(self.config, self.device),
            vocabulary_warning(self.train_split),
            skipped_warning(self.skipped),
            self.state.decoder_warning,
            None if before is None else moved,
        ):
            if warning is not None:
                self.reporter.warn(warning)


def _check_warmup(config: TrainingConfig, total_steps: int) -> None:
    for name in ("kl_warmup_steps", "warmup_steps"):
        steps = getattr(config, name)
        if steps > total_steps:
            raise ConfigError(
                f"train.{name} = {steps} is longer than the run of {total_steps} steps; "
                f"train for more epochs or set train.{name} to at most {total_steps}"
            )
