"""The one trainer. It knows a model only by the contract in :mod:`zoo.model`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data import Dataset, load_dataset
from zoo.data.text import TextFormat, vocabulary_warning
from zoo.errors import ConfigError, TrainingError
from zoo.memory import keep_freed_memory
from zoo.model import VariationalAutoencoder
from zoo.precision import float32_by_default
from zoo.randomness import seeded
from zoo.storage import checkpoint
from zoo.training.config import Experiment, IwaeObjective, TrainingConfig
from zoo.training.device import (
    autocast,
    choose_device,
    deterministic_convolutions,
    precision_warning,
)
from zoo.training.objectives import figures, importance_bound, loss
from zoo.training.optim import (
    GradientGuard,
    MovingAverage,
    Trouble,
    build_optimizer,
    kl_weight,
    learning_rate,
)
from zoo.training.progress import Reporter
from zoo.training.run import RunDirectory
from zoo.training.start import load_start
from zoo.training.state import Progress, RunState
from zoo.training.statistics import refresh_statistics
from zoo.variants import build, complete_config, model_class

NOISE_SEED = 0
"""Seeds the validation set's binarisation and the draws z ~ q(z|x): the same for every run."""
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Run:
    """A finished run: its best model, the best epoch's metrics, and where everything lies."""

    model: VariationalAutoencoder
    directory: Path
    metrics: dict[str, float]

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record for each epoch, as in metrics.jsonl."""
        return RunDirectory(self.directory).read_metrics()


@float32_by_default()
def train_experiment(
    experiment: Experiment, directory: str | Path | None = None, progress: bool = True
) -> Run:
    """Train from the start, or go on where an earlier, killed call with the same settings was.

    Files go to ``directory`` (default ``runs/VARIANT-DATASET-sSEED``). The caller's random state
    is left alone. Raises ConfigError, DataError, CheckpointError or TrainingError.
    """
    _check_objective(experiment)
    data = load_dataset(
        experiment.dataset,
        root=experiment.data_root,
        image_size=experiment.image_size,
        text_format=_text_format(experiment),
    )
    experiment = complete(experiment, data)
    default = f"runs/{experiment.variant}-{data.name}-s{experiment.train.seed}"
    run = RunDirectory(Path(directory or default))
    device = choose_device(experiment.train.device)
    keep_freed_memory()
    with run.locked(), seeded(experiment.train.seed, device):
        run.check(experiment)
        return Trainer(experiment, data, run, device, progress).run()


def resume(directory: str | Path, progress: bool = True, epochs: int | None = None) -> Run:
    """Go on with the run in ``directory``, or return it when it is finished.

    More ``epochs`` than it began with lengthen a run whose learning rate is constant: its end is
    bit for bit that of a run so long from the start, so one that its patience stopped stays where
    it is. Raises ConfigError for another schedule, or fewer epochs.
    """
    experiment = RunDirectory(Path(directory)).read_config()
    if epochs is not None:
        settings = {**experiment.train.model_dump(), "epochs": epochs}
        train = TrainingConfig.parse(settings, "training settings")
        experiment = experiment.model_copy(update={"train": train})
    return train_experiment(experiment, directory, progress)


def complete(experiment: Experiment, data: Dataset) -> Experiment:
    """Fill in what the data decides (input shape, likelihood) and check the model's settings."""
    shape, likelihood = data.train.shape, data.likelihood
    start, read = experiment.start_from, tuple(experiment.model.get("input_shape", shape))
    reads_text, is_text = experiment.model.get("tokenizer") is not None, data.tokenizer is not None
    if start is not None and reads_text != is_text:
        kinds = {True: "text", False: "images"}
        raise ConfigError(
            f"{start.source} reads {kinds[reads_text]}, {data.name!r} holds {kinds[is_text]}; "
            "choose another dataset"
        )
    if start is not None and read != tuple(shape):
        raise ConfigError(
            f"{start.source} reads images of shape {read}, "
            f"{data.name!r} has {shape}; resize them with image_size, or choose another dataset"
        )
    facts = shape, likelihood, data.tokenizer
    config = complete_config(experiment.variant, experiment.model, *facts)
    checkpoint.check_config(config, f"{data.name} cannot be trained on")
    return experiment.model_copy(update={"model": config})


class Trainer:
    """One run, from its first step or from where it was killed."""

    def __init__(
        self,
        experiment: Experiment,
        data: Dataset,
        run: RunDirectory,
        device: torch.device,
        progress: bool,
    ) -> None:
        self.experiment, self.config, self.directory = experiment, experiment.train, run
        self.device = device
        self.model = build(experiment.variant, experiment.model).to(device)
        decay = self.config.ema_decay
        self.average = MovingAverage(self.model, decay) if decay is not None else None
        self.train_split = data.train.to(device)
        fixed = data.validation.fixed(self.model.input_kind, NOISE_SEED)
        self.validation = fixed.by_length().to(device)
        self.batch_size = min(self.config.batch_size, len(data.train))
        self.steps_per_epoch = len(data.train) // self.batch_size
        self.total_steps = self.steps_per_epoch * self.config.epochs
        _check_warmup(self.config, self.total_steps)
        self.optimizer = build_optimizer(self.config, self.model)
        self.guard = GradientGuard(
            self.model,
            self.steps_per_epoch,
            self.config.clip_grad_norm,
            thorough=type(self.model).penalty is not VariationalAutoencoder.penalty,
        )
        self.progress = Progress()
        self.unsaved_best: tuple[VariationalAutoencoder, dict[str, Any]] | None = None
        self.kl_weight = torch.ones((), device=device)
        self.forward: Callable[[Tensor], tuple[Tensor, ...]] = self._forward
        if self.config.compile:
            torch.compiler.reset()  # else the ninth run in a process would quietly not compile
            self.forward = torch.compile(self._forward)
        self.state = RunState(
            self.device, data.digest(), self.model, self.average, self.optimizer, self.guard
        )
        self.reporter = Reporter(run.path, self.total_steps, self.batch_size, progress)
        self.last_save = time.monotonic()

    @property
    def validated_model(self) -> VariationalAutoencoder:
        """The moving average where there is one: what is validated is what is released."""
        return self.average.model if self.average is not None else self.model

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.progress.step // self.steps_per_epoch

    @property
    def done(self) -> bool:
        return self.progress.stopped or self.progress.step >= self.total_steps

    def run(self) -> Run:
        """Train to the end and return the best model."""
        self.restore()
        if not self.done:
            self.warn_beforehand()
            with self.reporter.open(self.progress.step), deterministic_convolutions():
                while not self.done:
                    self.train_epoch()
                    self.finish_epoch()
        return self.finish()

    def warn_beforehand(self) -> None:
        """Say what is likely not meant, before time is spent on it."""
        slow = precision_warning(self.config, self.device)
        for warning in (slow, vocabulary_warning(self.train_split)):
            if warning is not None:
                self.reporter.warn(warning)

    def record_config(self) -> None:
        """Write the configuration of a new run, or of one that was lengthened."""
        if self.directory.config.exists():
            if self.directory.read_config().train.epochs == self.config.epochs:
                return
            if self.progress.stopped:
                self.reporter.warn(
                    f"train.patience = {self.config.patience} stopped this run at epoch "
                    f"{self.epoch}; more epochs change nothing"
                )
        self.directory.write_config(self.experiment)

    def train_epoch(self) -> None:
        """The rest of the current epoch."""
        order = self.order_of(self.epoch)
        self.model.train()
        for batch in range(self.progress.step % self.steps_per_epoch, self.steps_per_epoch):
            index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            self.take_step(self.train_split.batch(index, kind=self.model.input_kind))
            self.reporter.step(self.progress.step, self.figures)
            if self.save_is_due() and batch + 1 < self.steps_per_epoch:
                self.save()

    def order_of(self, epoch: int) -> Tensor:
        """The epoch's permutation of the training set: a function of seed and epoch alone.

        On the CPU, where a batch of text asks how long its sentences are.
        """
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_split), generator=generator)
        return self.train_split.arranged(order, self.batch_size, generator)

    def take_step(self, x: Tensor) -> None:
        """One optimiser step on a batch (B, C, H, W)."""
        step = self.progress.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, step, self.total_steps)
        if step < self.config.kl_warmup_steps:
            self.kl_weight.fill_(kl_weight(self.config, step))
        value, *figures_of_batch = self.forward(x)
        value.backward()  # type: ignore[no-untyped-call]
        self.guard.check(step, (value.detach(), *figures_of_batch))
        self.guard.step(self.optimizer)
        if self.average is not None:
            self.average.update(step)
        self.progress.step += 1

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and the two means over the batch that :func:`figures` names."""
        objective = self.experiment.objective
        if isinstance(objective, IwaeObjective):
            with autocast(self.config, self.device):
                log_weights = self.model.log_weights(x, objective.samples)
            bound = importance_bound(log_weights)
            return self._penalised(-bound), log_weights.detach().mean(), bound.detach()
        with autocast(self.config, self.device):
            terms = self.model.elbo_terms(x)
        log_likelihood, kl = terms.log_likelihood.mean(), terms.kl.mean(0)
        weight = self.kl_weight if self.config.kl_warmup_steps else 1.0
        value = loss(objective, log_likelihood, kl, weight)
        return self._penalised(value), log_likelihood.detach(), kl.detach().sum()

    def _penalised(self, value: Tensor) -> Tensor:
        penalty = self.model.penalty()
        return value if penalty is None else value + penalty

    def figures(self) -> dict[str, float]:
        """The means over the epoch's good steps so far, by name; waits for the device."""
        return figures(self.experiment.objective, self.guard.means())

    def finish_epoch(self) -> None:
        """Validate, record, keep the best, decide whether to go on."""
        record = {**self.training_record(), **self.validate()}
        self.directory.append_metrics(record)
        self.keep_best(record)
        patience = self.config.patience
        self.progress.stopped = patience is not None and self.progress.epochs_since_best >= patience
        self.reporter.epoch(record, self.validated_model, self.config.sample_every_epochs)
        if self.done or self.save_is_due():
            self.save()

    def training_record(self) -> dict[str, Any]:
        """The epoch's means over its good steps; reports or refuses skipped ones."""
        trouble = self.guard.report()
        step = self.progress.step
        if trouble:
            self.report_trouble(trouble)
        return {
            "epoch": self.epoch,
            "step": step,
            **self.figures(),
            "gradient_norm": self.guard.norm.item(),
            "kl_weight": kl_weight(self.config, step - 1),
            "lr": learning_rate(self.config, step - 1, self.total_steps),
            "skipped_steps": trouble.skipped if trouble else 0,
        }

    def report_trouble(self, trouble: Trouble) -> None:
        """Say which steps were skipped and why; TrainingError when there were too many."""
        rate = learning_rate(self.config, trouble.step, self.total_steps)
        message = (
            f"{trouble.skipped} steps of epoch {self.epoch} skipped: gradient not finite, "
            f"last at step {trouble.step} (learning rate {rate:.3g}) in {trouble.culprit}"
        )
        if trouble.skipped > self.config.max_skipped_steps:
            raise TrainingError(f"{message}. Lower train.lr or set train.clip_grad_norm.")
        self.reporter.warn(message)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The unweighted ELBO and its terms on the validation split, with fixed noise.

        Of an importance-weighted objective its bound as well.
        """
        model = self.validated_model.eval()
        refresh_statistics(model, self.train_split)
        total = torch.zeros(2, device=self.device)
        with seeded(NOISE_SEED, self.device):
            for x in self.validation.batches(min(EVALUATION_BATCH, model.rows), kind="unit"):
                with autocast(self.config, self.device):
                    terms = model.elbo_terms(x)
                total += torch.stack([terms.log_likelihood.sum(), terms.kl.sum()])
        log_likelihood, kl = (total / len(self.validation)).tolist()
        record = {
            "validation_elbo": log_likelihood - kl,
            "validation_log_likelihood": log_likelihood,
            "validation_kl": kl,
        }
        objective = self.experiment.objective
        if isinstance(objective, IwaeObjective):
            record["validation_bound"] = self.validation_bound(model, objective.samples)
        return record

    def validation_bound(self, model: VariationalAutoencoder, samples: int) -> float:
        """The importance-weighted bound on the validation split, with fixed noise."""
        total = torch.zeros((), device=self.device)
        with seeded(NOISE_SEED, self.device):
            for x in self.validation.batches(min(EVALUATION_BATCH, model.rows), kind="unit"):
                with autocast(self.config, self.device):
                    total += model.log_prob(x, samples).sum()
        return total.item() / len(self.validation)

    def keep_best(self, record: dict[str, Any]) -> None:
        """Keep the model with the best validation ELBO, or bound where that is the objective.

        Before the warm-up's end none counts.
        """
        progress = self.progress
        if progress.step < self.config.kl_warmup_steps:
            return
        elbo = record.get("validation_bound", record["validation_elbo"])
        progress.epochs_since_best += 1
        if math.isfinite(elbo) and (progress.best_elbo is None or elbo > progress.best_elbo):
            progress.best_elbo, progress.best_epoch = elbo, record["epoch"]
            progress.epochs_since_best = 0
            self.unsaved_best = copy.deepcopy(self.validated_model), record

    def write_best(self, model: VariationalAutoencoder, record: dict[str, Any]) -> None:
        """Write the model as a checkpoint that :func:`zoo.load` reads."""
        training = {**record, "seed": self.config.seed, "data": self.state.data_digest}
        checkpoint.save(
            self.directory.best,
            model,
            variant=self.experiment.variant,
            dataset=self.experiment.dataset,
            training=training,
        )

    def finish(self) -> Run:
        """Load the best weights, fit what is fitted to codes, and return the run."""
        if self.progress.best_elbo is None:
            raise TrainingError(
                "the bound on the validation split was never finite, so there is no model to keep; "
                "lower train.lr or set train.clip_grad_norm"
            )
        model = checkpoint.load(self.directory.best, device=self.device)
        history = self.directory.read_metrics()
        record = next(r for r in history if r["epoch"] == self.progress.best_epoch)
        if not self.progress.fitted:
            if type(model).fit_codes is not VariationalAutoencoder.fit_codes:
                model.fit_codes(self.training_codes(model))
                self.write_best(model, record)
            self.progress.fitted = True
            self.save()
        return Run(model, self.directory.path, record)

    @torch.no_grad()
    def training_codes(self, model: VariationalAutoencoder) -> Tensor:
        """The codes (N, D) of the training set, binarised once where the model needs it."""
        split = self.train_split.fixed(model.input_kind, NOISE_SEED)
        batches = split.batches(min(EVALUATION_BATCH, model.rows), kind="unit")
        return torch.cat([model.encode(x) for x in batches])

    def save_is_due(self) -> bool:
        return time.monotonic() - self.last_save >= self.config.checkpoint_seconds

    def save(self) -> None:
        """Write the best model, and then everything the rest of the run depends on.

        A kill between the two leaves a best model newer than the state: the epochs from the state
        on are trained again, and write the same model again.
        """
        if self.unsaved_best is not None:
            self.write_best(*self.unsaved_best)
            self.unsaved_best = None
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
        self.record_config()
        self.directory.cut_metrics(self.progress.step)


def _text_format(experiment: Experiment) -> TextFormat | None:
    """That of the run which goes on or the checkpoint it starts from, where they read text.

    A vocabulary learned anew would be another one where a tokeniser lay beside the corpus and is
    gone, or where another version of the package ranks pieces differently.
    """
    tokenizer, shape = (experiment.model.get(key) for key in ("tokenizer", "input_shape"))
    if tokenizer is None:
        return None
    return TextFormat(tokenizer, None if shape is None else shape[0])


def _check_objective(experiment: Experiment) -> None:
    if not isinstance(experiment.objective, IwaeObjective):
        if experiment.objective.balance and not experiment.train.kl_warmup_steps:
            raise ConfigError(
                "objective.balance weighs the groups while the KL is warmed up, and there is no "
                "warm-up; set train.kl_warmup_steps, or leave balance out"
            )
        return
    if not model_class(experiment.variant).has_evidence:
        raise ConfigError(
            f"the objective 'iwae' needs log p(x), which {experiment.variant!r} does not define; "
            "choose the objective 'elbo', or a variational variant such as 'gaussian-vae'"
        )
    if experiment.train.kl_warmup_steps:
        raise ConfigError(
            f"train.kl_warmup_steps = {experiment.train.kl_warmup_steps} weighs a KL, and the "
            "objective 'iwae' has none; set it to 0, or choose the objective 'elbo'"
        )


def _check_warmup(config: TrainingConfig, total_steps: int) -> None:
    for name in ("kl_warmup_steps", "warmup_steps"):
        steps = getattr(config, name)
        if steps > total_steps:
            raise ConfigError(
                f"train.{name} = {steps} is longer than the run of {total_steps} steps; "
                f"train for more epochs or set train.{name} to at most {total_steps}"
            )
