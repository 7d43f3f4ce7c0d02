"""A run of a study: trained, or gone on with, and measured."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable
from pathlib import Path

import torch

from zoo.data import load_for_model
from zoo.devices import hardware
from zoo.files import sha256
from zoo.metrics import Measured, Outcome, Records, Subject, measure_all
from zoo.randomness import seeded
from zoo.studies.results import Figure, Result
from zoo.studies.study import Trial
from zoo.training.launch import Run, train_experiment, with_data
from zoo.training.session import built


def check(trials: Iterable[Trial]) -> None:
    """Raise ConfigError for settings of any that do not fit, before the first is trained."""
    with seeded(0, torch.device("cpu")):
        for trial in {trial.point: trial for trial in trials}.values():
            data, experiment = with_data(trial.experiment, None)
            built(experiment, data)


def carry_out(trial: Trial, folder: Path, records: Records | None, progress: bool) -> Result:
    """Train what is missing of a run in ``folder``, and measure its best model."""
    run = train_experiment(trial.experiment, folder / trial.folder, progress)
    return measured(trial, run, records)


def measured(trial: Trial, run: Run, records: Records | None) -> Result:
    """What each column says of a finished run."""
    study, experiment = trial.study, trial.experiment
    data = load_for_model(run.model.config, experiment.dataset, root=experiment.data_root)
    file = run.directory / "best.safetensors"
    subject = Subject(
        run.model,
        data,
        study.split,
        identity=sha256(file),
        samples=study.samples,
        examples=study.examples,
    )
    of_metrics = iter(measure_all(subject, study.metrics, records))
    outcomes = {
        name: next(of_metrics) if column.until is None else waited(run, column.until)
        for name, column in study.columns.items()
    }
    return Result(
        point=trial.point,
        seed=trial.seed,
        protocol=trial.protocol,
        figures={name: found for name, each in outcomes.items() if (found := figure_of(each))},
        refusals={name: each.refusal for name, each in outcomes.items() if each.refusal},
        epochs=len(run.history),
        made={
            "sha256": sha256(file),
            "hardware": hardware(subject.device),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )


def waited(run: Run, bound: float) -> Outcome:
    """The seconds of work until the validation's bound was so high."""
    seconds = {line["step"]: line["seconds"] for line in run.timings}
    best = -math.inf
    for epoch in run.history:
        reached = epoch.get("validation_bound", epoch.get("validation_elbo", -math.inf))
        best = max(best, reached)
        if reached >= bound:
            if epoch["step"] not in seconds:
                return Outcome(refusal="the epoch that reached it was not timed; train it anew")
            return Outcome(Measured.of_all(seconds[epoch["step"]]))
    return Outcome(refusal=f"the validation's bound reached {best:.2f} at best")


def figure_of(outcome: Outcome) -> Figure | None:
    """What is kept of a metric; the values of the examples are in the records."""
    found = outcome.measured
    return None if found is None else Figure(value=found.value, stderr=found.stderr)
