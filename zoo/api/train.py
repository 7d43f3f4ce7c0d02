"""``zoo.train``, and where its runs lie."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from zoo.api.arguments import plain
from zoo.data import Dataset, load_dataset
from zoo.data.conversion import ImageSize
from zoo.data.paths import MEMORY, is_in_memory
from zoo.mappings import differences
from zoo.registry import registry
from zoo.training.config import Experiment
from zoo.training.launch import Run, train_experiment
from zoo.training.options import route
from zoo.variants import Variant

Option: TypeAlias = str | int | float | bool | None | Sequence[int] | dict[str, object]

DEFAULT_DATASET = "digits"

_IN_THE_NAME = {"train.seed"}
_MAY_CHANGE = {"data_root", "train.checkpoint_seconds", "start_from.sha256"}
"""What a run that goes on may have another of, or else is told about."""


def train(
    variant: str,
    *,
    dataset: object = DEFAULT_DATASET,
    directory: str | Path | None = None,
    data_root: str | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    skip_unreadable: bool = False,
    labelled: int | None = None,
    columns: object = None,
    labels: str | None = None,
    start_from: str | Path | Run | None = None,
    progress: bool = True,
    **overrides: Option,
) -> Run:
    """Train a variant by name on a known dataset or one's own, and return the best model.

    ``dataset`` is what :func:`zoo.load_dataset` takes: a name, a path, or data in memory, which are
    passed again to go on with the run. ``image_size`` and ``image_channels`` convert images, and
    are settings of the run. With ``skip_unreadable`` damaged files of a folder of images
    are left out. With ``labelled`` only so many labels of the training split are known, as many of
    each class, which ``seed`` chooses; the others are -1. Of a table, ``columns`` says the kinds of
    columns, and ``labels`` which column is the label; both as :func:`zoo.load_dataset` takes them.

    ``overrides`` are settings of the training (``epochs=20``), the objective (``beta=2.0``) or the
    model (``latent_dim=10``); each is recognised by its name. Called again with the same settings
    it goes on where a killed run stopped, bit for bit. Validation is on the unweighted ELBO; of
    the objective "iwae" it is on its own bound. Files go to ``directory``, by default where
    :func:`default_directory` says.

    ``start_from`` is a released checkpoint's name, a file, a run or its folder: training begins
    with its weights, and the model's settings are the checkpoint's.

    Raises UnknownNameError, ConfigError, DataError, CheckpointError or TrainingError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = train("gaussian-vae", directory=folder, epochs=1, latent_dim=4, progress=False)
    >>> run.metrics["epoch"], run.model.code_dim
    (1, 4)
    """
    found = Variant.find(variant)
    routed = route(plain(overrides), found)
    data = None
    if is_in_memory(dataset):
        data = load_dataset(
            dataset,
            image_size=image_size,
            image_channels=image_channels,
            columns=found.columns(routed["model"], columns),
            labels=labels,
        )
    experiment = Experiment.build(
        found,
        str(dataset) if data is None else MEMORY + data.name,
        model=routed["model"],
        train=routed["train"],
        objective=routed["objective"],
        data_root=data_root,
        image_size=image_size,
        image_channels=image_channels,
        skip_unreadable=skip_unreadable,
        labelled=labelled,
        columns=columns,
        labels=labels,
        start_from=start_from.directory if isinstance(start_from, Run) else start_from,
    )
    where = directory or default_directory(experiment, data)
    return train_experiment(experiment, where, progress, data)


def default_directory(experiment: Experiment, data: Dataset | None = None) -> Path:
    """``runs/VARIANT-DATASET-sSEED``, with a hash of all settings that are not the variant's own.

    So the same settings find the same folder again, and others another one. More epochs go on in
    the same folder where the learning rate is constant. ``data`` that were held in memory are told
    apart by a hash of their own.

    >>> default_directory(Experiment.build("gaussian-vae", "mnist", train={"seed": 3})).as_posix()
    'runs/gaussian-vae-mnist-s3'
    >>> default_directory(Experiment.build("gaussian-vae", train={"lr": 0.01})).as_posix()
    'runs/gaussian-vae-digits-s0-f57953'
    """
    of_data = _name_of(experiment.dataset) if data is None else _name_in_memory(data)
    name = f"{experiment.variant}-{of_data}-s{experiment.train.seed}"
    if own := _own_settings(experiment):
        name += f"-{hashlib.sha256(json.dumps(own).encode()).hexdigest()[:6]}"
    return Path("runs", name)


def _own_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings, by dotted key, that set the run apart from one of the variant's defaults."""
    standard = Experiment.build(experiment.variant, experiment.dataset)
    changed = differences(standard.model_dump(mode="json"), experiment.model_dump(mode="json"))
    ignored = _IN_THE_NAME | _MAY_CHANGE
    if experiment.train.schedule == "constant":
        ignored |= {"train.epochs"}
    return {key: now for key, (_, now) in sorted(changed.items()) if key not in ignored}


def _name_in_memory(data: Dataset) -> str:
    return f"{re.sub('[^A-Za-z0-9._-]+', '-', data.name)}-{data.digest()[:6]}"


def _name_of(dataset: str) -> str:
    """A registered name as it is; of a path, which an experiment holds in full, its last part."""
    path = Path(dataset)
    return path.name if dataset in registry().datasets or path.is_dir() else path.stem
