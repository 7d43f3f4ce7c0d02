"""Released classifiers as files: half precision, verified by size and hash as checkpoints are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.data import Dataset
from zoo.errors import CheckpointError, ConfigError, UnsupportedError
from zoo.metrics.features.classifier import Classifier, ClassifierConfig
from zoo.precision import float32_by_default
from zoo.registry import registry
from zoo.storage.blueprint import read_state, refuse_unsound
from zoo.storage.hub import fetch
from zoo.storage.tensors import opened, write_tensors

_KEY = "zoo.classifier"


def save_classifier(path: str | Path, classifier: Classifier, training: Mapping[str, Any]) -> None:
    """Write its weights in half precision, with its settings and what is said of its training.

    Raises CheckpointError for weights that are NaN, infinite or beyond float16, and where the file
    cannot be written.
    """
    halved = {name: tensor.half() for name, tensor in classifier.state_dict().items()}
    refuse_unsound(halved)
    description = {"config": classifier.config.model_dump(mode="json"), "training": dict(training)}
    write_tensors(path, halved, {_KEY: json.dumps(description, allow_nan=False)})


def load_classifier(path: str | Path) -> Classifier:
    """The classifier in a file, its weights in float32, in evaluation mode.

    It is built without memory first, so that a file that lies of its sizes costs nothing. Raises
    CheckpointError when the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    with opened(path) as file:
        config = _config_of(file, path)
        with float32_by_default(), torch.random.fork_rng(devices=[]), torch.device("meta"):
            classifier = Classifier(config)
        try:
            state = read_state(file, classifier, {})
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
    classifier.load_state_dict(state, assign=True)
    return classifier.requires_grad_(False).eval()


def classifier_of(data: Dataset) -> Classifier:
    """The released classifier of a dataset, by its name.

    Raises UnsupportedError for data that none is released for, CheckpointError where its file
    cannot be had.
    """
    known = registry().classifiers
    for name, spec in known.items():
        if spec.dataset == data.name:
            classifier = load_classifier(fetch(name, "classifiers"))
            if classifier.config.input_shape == data.train.shape:
                return classifier
            raise UnsupportedError(
                f"the classifier of {data.name} reads images {classifier.config.input_shape}, "
                f"these are {data.train.shape}; load the dataset at its own size"
            )
    raise UnsupportedError(
        f"no classifier is released for {data.name}, in whose features images are compared; choose "
        f"one of {', '.join(spec.dataset for spec in known.values())}, or register one of your own"
    )


def sha256_of_classifier(data: Dataset) -> str:
    """Of the file that :func:`classifier_of` reads; empty where there is none."""
    known = registry().classifiers.values()
    return next((spec.sha256 for spec in known if spec.dataset == data.name), "")


def _config_of(file: Any, path: Path) -> ClassifierConfig:
    text = (file.metadata() or {}).get(_KEY)
    try:
        if text is None:
            raise ConfigError("it is not said how it is made")
        return ClassifierConfig.parse(json.loads(text)["config"], "config")
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds no classifier that zoo saved ({error}); name one that it did"
        ) from error
