"""The one training loop. It knows a model by the contract in :mod:`zoo.core.model` alone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.data import Dataset
from zoo.data.folder import skipped_warning
from zoo.data.text import vocabulary_warning
from zoo.errors import ConfigError
from zoo.objectives import Loss, Step
from zoo.training.config import Experiment, TrainingConfig
from zoo.training.device import autocast, deterministic_convolutions, precision_warning
from zoo.training.optim import (
    GradientGuard,
    MovingAverage,
    build_optimizer,
    kl_weight,
    learning_rate,
)
from zoo.training.progress import SAMPLES, Reporter
from zoo.training.run import RunDirectory
from zoo.training.selection import Selection
from zoo.training.start import load_start
from zoo.training.state import Progress, RunState
from zoo.training.statistics import refresh_statistics
from zoo.training.validation import NOISE_SEED, Validation, in_batches


class Trainer:
    """One run, from its first step or from where it was killed."""

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
        self.model = experiment.variant.build(experiment.model).to(device)
        self.objective = experiment.objective.build()
        decay = self.config.ema_decay
        self.average = MovingAverage(self.model, decay) if decay is not None else None
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
        self.at = Step(weight, len(data.train))
        self.progress = Progress()
        self.state = RunState(
            experiment, device, data.identity, self.model, self.average, self.optimizer, self.guard
        )
        figure = self.objective.selects(self.model)
        self.selection = Selection(directory.best, experiment, data.identity.digest, figure)
        self.skipped = data.skipped
        self.reporter = Reporter(directory.path, self.total_steps, self.batch_size, visible)
        self.last_save = time.monotonic()

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.progress.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether the last step was taken, or patience has run out."""
        return self.progress.stopped or self.progress.step >= self.total_steps

    @property
    def validated_model(self) -> LatentVariableModel:
        """The moving average where there is one: what is validated is what is released."""
        return self.average.model if self.average is not None else self.model

    def run(self) -> tuple[LatentVariableModel, dict[str, Any]]:
        """Train to the end; the best model and its record."""
        self.restore()
        if not self.done:
            self.warn_beforehand()
            loss_of = self.compiled() if self.config.compile else self.loss_of
            with self.reporter.open(self.progress.step), deterministic_convolutions():
                while not self.done:
                    self.train_epoch(loss_of)
                    self.finish_epoch()
        return self.finish()

    def train_epoch(self, loss_of: Callable[[Batch], Loss]) -> None:
        """The rest of the current epoch."""
        order = self.order_of(self.epoch)
        self.model.train()
        for number in range(self.progress.step % self.steps_per_epoch, self.steps_per_epoch):
            index = order[number * self.batch_size : (number + 1) * self.batch_size]
            batch = self.train_split.batch(index, kind=self.model.input_kind)
            self.take_step(loss_of, batch)
            self.reporter.step(self.progress.step, self.figures)
            if self.save_is_due() and number + 1 < self.steps_per_epoch:
                self.save()

    def order_of(self, epoch: int) -> Tensor:
        """The epoch's permutation of the training set: a function of seed and epoch alone.

        On the CPU, where a batch of text asks how long its sentences are.
        """
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_split), generator=generator, device="cpu")
        return self.train_split.arranged(order, self.batch_size, generator)

    def take_step(self, loss_of: Callable[[Batch], Loss], batch: Batch) -> None:
        """One optimiser step."""
        step = self.progress.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, step, self.total_steps)
        if step < self.config.kl_warmup_steps:
            self.kl_weight.fill_(kl_weight(self.config, step))
        value, logs = loss_of(batch)
        value.backward()  # type: ignore[no-untyped-call]
        self.guard.check(step, (value.detach(), *self._in_order(logs)))
        self.guard.step(self.optimizer)
        if self.average is not None:
            self.average.update(step)
        self.progress.step += 1

    def _in_order(self, logs: Mapping[str, Tensor]) -> list[Tensor]:
        """As the objective names them, whatever the order in which it gives them."""
        names = self.objective.logs
        if logs.keys() != set(names):
            raise ConfigError(
                f"the objective {self.experiment.objective.name!r} gives the logs "
                f"{', '.join(logs) or 'none'}, and its class says logs = {names!r}; name those "
                "that loss() gives"
            )
        return [logs[name] for name in names]

    def loss_of(self, batch: Batch) -> Loss:
        """The objective's loss of a batch, and the model's own penalty."""
        with self.autocast():  # also what the objective asks of the draws is computed here
            value, logs = self.objective.loss(self.model(batch, self.objective.samples), self.at)
        penalty = self.model.penalty()
        return Loss(value if penalty is None else value + penalty, logs)

    def compiled(self) -> Callable[[Batch], Loss]:
        """The same, compiled; what is looked up once and kept is no part of its graph."""
        torch.compiler.reset()  # else the ninth run in a process would quietly not compile
        rehearsal = copy.deepcopy(self.model)
        first = self.train_split.batch(torch.arange(2), kind=self.model.input_kind)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self.objective.loss(rehearsal(first, self.objective.samples), self.at)
        return torch.compile(self.loss_of)

    def figures(self) -> dict[str, float]:
        """The means over the epoch's good steps so far, by name; waits for the device."""
        loss, *logs = self.guard.means()
        named = self.objective.figures(dict(zip(self.objective.logs, logs, strict=True)))
        if not self.model.has_evidence:  # then no term is a KL
            named = {name: each for name, each in named.items() if name not in ("kl", "elbo")}
        return {"train_loss": loss, **{f"train_{name}": value for name, value in named.items()}}

    def finish_epoch(self) -> None:
        """Validate, record, keep the best, decide whether to go on."""
        model = self.validated_model.eval()
        refresh_statistics(model, self.train_split)
        record = {**self.training_record(), **self.validation.measure(model)}
        self.directory.append_metrics(record)
        self.selection.consider(model, record, self.progress)
        self.progress.stopped = self.selection.out_of_patience(self.progress)
        told = self.validation.split.conditions(SAMPLES)
        self.reporter.epoch(record, model, self.config.sample_every_epochs, told)
        if self.done or self.save_is_due():
            self.save()

    def training_record(self) -> dict[str, Any]:
        """The epoch's means over its good steps; reports or refuses skipped ones."""
        trouble = self.guard.report()
        step = self.progress.step
        if trouble:
            rate = learning_rate(self.config, trouble.step, self.total_steps)
            most = min(self.config.max_skipped_steps, self.steps_per_epoch - 1)
            self.reporter.warn(trouble.checked(self.epoch, rate, most))
        return {
            "epoch": self.epoch,
            "step": step,
            **self.figures(),
            "gradient_norm": self.guard.norm.item(),
            "kl_weight": kl_weight(self.config, step - 1),
            "lr": learning_rate(self.config, step - 1, self.total_steps),
            "skipped_steps": trouble.skipped if trouble else 0,
        }

    def finish(self) -> tuple[LatentVariableModel, dict[str, Any]]:
        """Load the best weights and fit what is fitted to codes."""
        record = self.selection.record(self.progress, self.directory.read_metrics())
        model = self.selection.load(self.device)
        if not self.progress.fitted:
            if type(model).fit_codes is not LatentVariableModel.fit_codes:
                model.fit_codes(self.training_codes(model))
                self.selection.write(model, record)
            self.progress.fitted = True
            self.save()
        return model, record

    @torch.no_grad()
    def training_codes(self, model: LatentVariableModel) -> Tensor:
        """The codes (N, D) of the training set, binarised once where the model needs it."""
        split = self.train_split.fixed(model.input_kind, NOISE_SEED)
        return torch.cat([model.encode(batch) for batch in in_batches(model, split)])

    def save_is_due(self) -> bool:
        """Whether a kill would lose more work than was allowed."""
        return time.monotonic() - self.last_save >= self.config.checkpoint_seconds

    def save(self) -> None:
        """Write the best model, and then everything the rest of the run depends on.

        A kill between the two leaves a best model newer than the state: the epochs from the state
        on are trained again, and write the same model again.
        """
        self.selection.write_unsaved()
        self.directory.flush_metrics()
        self.state.save(self.directory.last, self.progress)
        self.last_save = time.monotonic()

    def restore(self) -> None:
        """Go back to the last saved state; where there is none yet, to where the run starts."""
        self.directory.clear_leftovers()
        if self.directory.last.exists():
            self.progress = self.state.restore(self.directory.last)
            self.progress.fitted &= self.done  # a longer run fits again at its new end
        elif self.experiment.start_from is not None:
            load_start(self.experiment.start_from, self.model)
            if self.average is not None:
                self.average.model.load_state_dict(self.model.state_dict())
        if self.directory.record_config(self.experiment) and self.progress.stopped:
            self.reporter.warn(
                f"train.patience = {self.config.patience} stopped this run at epoch {self.epoch}; "
                "more epochs change nothing"
            )
        self.directory.cut_metrics(self.progress.step)

    def warn_beforehand(self) -> None:
        """Say what is likely not meant, before time is spent on it."""
        for warning in (
            precision_warning(self.config, self.device),
            vocabulary_warning(self.train_split),
            skipped_warning(self.skipped),
            self.state.decoder_warning,
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
