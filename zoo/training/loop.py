"""The one training loop. It knows a model by the contract in :mod:`zoo.core.model` alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.compilation import compiled
from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives import Loss
from zoo.training.device import deterministic_convolutions
from zoo.training.optim import kl_weight, learning_rate
from zoo.training.progress import SAMPLES
from zoo.training.session import Session
from zoo.training.statistics import refresh_statistics


class Trainer(Session):
    """Steps, epochs, and what is looked at after each."""

    def run(self) -> tuple[LatentVariableModel, dict[str, Any]]:
        """Train to the end; the best model and its record."""
        self.restore()
        if self.done:
            self.reporter.state(f"{self.directory.path} is finished, nothing is trained")
        else:
            self.warn_beforehand()
            loss_of = self.compiled_loss() if self.config.compile else self.loss_of
            self.directory.timings.start(self.position.step)
            with self.reporter.open(self.position.step), deterministic_convolutions():
                while not self.done:
                    self.train_epoch(loss_of)
                    self.finish_epoch()
        return self.finish()

    def train_epoch(self, loss_of: Callable[[Batch], Loss]) -> None:
        """The rest of the current epoch."""
        order = self.order_of(self.epoch)
        self.model.train()
        for number in range(self.position.step % self.steps_per_epoch, self.steps_per_epoch):
            index = order[number * self.batch_size : (number + 1) * self.batch_size]
            batch = self.train_split.batch(index, kind=self.model.input_kind)
            self.take_step(loss_of, batch)
            self.reporter.step(self.position.step, self.figures)
            if self.save_is_due() and number + 1 < self.steps_per_epoch:
                self.directory.timings.note(self.position.step)
                self.save()

    def order_of(self, epoch: int) -> Tensor:
        """The epoch's permutation of the training set: a function of seed and epoch alone.

        On the CPU, where a batch of text asks how long its sentences are.
        """
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_split), generator=generator, device="cpu")
        order = self.train_split.arranged(order, self.batch_size, generator)
        return self.objective.arranged(order, self.train_split, self.batch_size, generator)

    def take_step(self, loss_of: Callable[[Batch], Loss], batch: Batch) -> None:
        """One optimiser step."""
        step = self.position.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, step, self.total_steps)
        if step < self.config.kl_warmup_steps:
            self.kl_weight.fill_(kl_weight(self.config, step))
        value, logs = loss_of(batch)
        if value.shape:
            raise ConfigError(
                f"the objective {self.experiment.objective.name!r} gives a loss of shape "
                f"{tuple(value.shape)}, and a step needs one number; take its mean"
            )
        value.backward()  # type: ignore[no-untyped-call]
        self.guard.check(step, (value.detach(), *self._in_order(logs)))
        self.guard.step(self.optimizer)
        for average in self.averages:
            average.update(step)
        self.position.step += 1

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
            value, logs = self.objective.loss(self.objective.draws(self.model, batch), self.at)
        penalty = self.model.penalty()
        return Loss(value if penalty is None else value + penalty, logs)

    def compiled_loss(self) -> Callable[[Batch], Loss]:
        """The same, compiled; what is looked up once and kept is no part of its graph."""
        rehearsal = copy.deepcopy(self.model)
        first = self.train_split.batch(torch.arange(2), kind=self.model.input_kind)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self.objective.loss(self.objective.draws(rehearsal, first), self.at)
        return compiled(self.loss_of)

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
        self.directory.metrics.append(record)
        self.directory.timings.note(self.position.step)
        self.selection.consider(model, record, self.position)
        self.position.stopped = self.selection.out_of_patience(self.position)
        self.keep_averages()
        told = self.validation.split.conditions(SAMPLES)
        self.reporter.epoch(record, model, self.config.sample_every_epochs, told)
        if self.done or self.save_is_due():
            self.save()

    def keep_averages(self) -> None:
        """Write those of which others are made, every so many epochs and at the end."""
        every = self.config.ema_snapshot_epochs
        if every is not None and (self.epoch % every == 0 or self.done):
            self.directory.snapshots.write(
                self.position.step, {n: a.model.state_dict() for n, a in self.kept.items()}
            )

    def training_record(self) -> dict[str, Any]:
        """The epoch's means over its good steps; reports or refuses skipped ones."""
        trouble = self.guard.report()
        step = self.position.step
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
