"""From an experiment to a finished run: in its folder, on its device, from where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.core.condition import conditioned_on
from zoo.core.model import LatentVariableModel
from zoo.data import Dataset, load_dataset
from zoo.data.conversion import mending
from zoo.data.labels import with_few_labels
from zoo.data.text import TextFormat
from zoo.errors import ConfigError
from zoo.files import as_path
from zoo.memory import keep_freed_memory
from zoo.modalities import modality_of
from zoo.modalities.tokenizer import Tokenizer
from zoo.precision import float32_by_default
from zoo.randomness import seeded
from zoo.training.config import Experiment, TrainingConfig
from zoo.training.device import choose_device, made_definite
from zoo.training.loop import Trainer
from zoo.training.run import RunDirectory
from zoo.variants import Facts


@dataclass(frozen=True)
class Run:
    """A finished run: its best model, the best epoch's metrics, and where everything lies."""

    model: LatentVariableModel
    directory: Path
    metrics: dict[str, float]

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record for each epoch, as in metrics.jsonl."""
        return RunDirectory(self.directory).metrics.read()

    @property
    def timings(self) -> list[dict[str, Any]]:
        """``seconds`` of work up to a ``step``, at each epoch and each saved state."""
        return RunDirectory(self.directory).timings.read()


@float32_by_default()
def train_experiment(
    experiment: Experiment,
    directory: str | Path | None = None,
    progress: bool = True,
    data: object | None = None,
) -> Run:
    """Train from the start, or go on where an earlier, killed call with the same settings was.

    Files go to ``directory`` (default ``runs/VARIANT-DATASET-sSEED``). ``data`` stand for the
    experiment's dataset, as what is held in memory must; they are what :func:`zoo.load_dataset`
    takes. The caller's random state is left alone. Raises ConfigError, DataError, CheckpointError
    or TrainingError.
    """
    dataset, experiment = with_data(experiment, data)
    default = f"runs/{experiment.variant}-{dataset.name}-s{experiment.train.seed}"
    run = RunDirectory(as_path(directory or default, "directory"))
    choose_device(experiment.train.device)  # before the folder is made
    keep_freed_memory()
    with run.locked():
        began = run.read_config().train if run.config.exists() else None
        experiment, device = made_definite(experiment, began)
        with seeded(experiment.train.seed, device):
            run.check(experiment)
            model, record = Trainer(experiment, dataset, run, device, progress).run()
        return Run(model, run.path, record)


def with_data(experiment: Experiment, data: object | None) -> tuple[Dataset, Experiment]:
    """The data of an experiment, or what stands for them, and what of it they decide.

    Raises what is wrong with its settings before any data are read, and what does not fit them.
    """
    objective = experiment.objective
    objective.build().check(objective.name, experiment.variant, experiment.train)
    dataset = load_dataset(
        experiment.dataset if data is None else data,
        root=experiment.data_root,
        image_size=experiment.image_size,
        image_channels=experiment.image_channels,
        text_format=_text_format(experiment),
        skip_unreadable=experiment.skip_unreadable,
        columns=experiment.variant.columns(experiment.model, experiment.columns),
        labels=experiment.labels,
    )
    if experiment.labelled is not None:
        dataset = with_few_labels(dataset, experiment.labelled, experiment.train.seed)
    dataset = dataset.conditioned(conditioned_on(experiment.model))
    return dataset, complete(experiment, dataset)


def resume(
    directory: str | Path,
    progress: bool = True,
    epochs: int | None = None,
    *,
    dataset: object | None = None,
) -> Run:
    """Go on with the run in ``directory``, or return it when it is finished.

    ``dataset`` are its data where these are not where they were, as what was held in memory is
    not; others are refused.

    More ``epochs`` than it began with lengthen a run whose learning rate is constant: its end is
    bit for bit that of a run so long from the start, so one that its patience stopped stays where
    it is. Raises ConfigError for another schedule, or fewer epochs.
    """
    experiment = RunDirectory(as_path(directory, "directory")).read_config()
    if epochs is not None:
        settings = {**experiment.train.model_dump(), "epochs": epochs}
        train = TrainingConfig.parse(settings, "training settings")
        experiment = experiment.model_copy(update={"train": train})
    return train_experiment(experiment, directory, progress, dataset)


def complete(experiment: Experiment, data: Dataset) -> Experiment:
    """Fill in what the data decides (input shape, likelihood) and check the model's settings."""
    from zoo.storage import checkpoint

    if experiment.start_from is not None:
        _check_start(experiment, experiment.start_from.source, data)
    config = experiment.variant.complete(experiment.model, Facts.of(data))
    checkpoint.check_config(config, f"{data.name} cannot be trained on")
    return experiment.model_copy(update={"model": config})


def _check_start(experiment: Experiment, source: str, data: Dataset) -> None:
    """Raise ConfigError for data that the checkpoint does not read."""
    shape, tokenizer = data.train.shape, experiment.model.get("tokenizer")
    read = tuple(experiment.model.get("input_shape", shape))
    table = None if experiment.model.get("table") is None else data.table
    reads = modality_of(read, tokenizer or table).name
    if reads != data.modality:
        raise ConfigError(
            f"{source} reads {reads}, {data.name!r} holds {data.modality}; choose another dataset"
        )
    if read != tuple(shape):
        options = mending(read, tuple(shape)) if reads == "images" else ""
        convert = options and f"convert them with {options}, or "
        raise ConfigError(
            f"{source} reads {reads} of shape {read}, "
            f"{data.name!r} has {shape}; {convert}choose another dataset"
        )
    if tokenizer is not None and data.tokenizer != Tokenizer(tokenizer).json:
        raise ConfigError(
            f"{data.name!r} was cut by another tokenizer than that of {source}; give the file or "
            "name it was read from"
        )


def _text_format(experiment: Experiment) -> TextFormat | None:
    """That of the run which goes on or the checkpoint it starts from, where they read text.

    A vocabulary learned anew would be another one where a tokeniser lay beside the corpus and is
    gone, or where another version of the package ranks pieces differently.
    """
    tokenizer, shape = (experiment.model.get(key) for key in ("tokenizer", "input_shape"))
    if tokenizer is None:
        return None
    return TextFormat(tokenizer, None if shape is None else shape[0])
