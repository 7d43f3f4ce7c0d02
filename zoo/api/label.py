"""``zoo.label``: classes from few labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from zoo.api.arguments import plain, seed_number
from zoo.api.source import Source, dataset_for, opened
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of, evaluation_mode
from zoo.data import Dataset, Examples
from zoo.data.labels import labelled_of
from zoo.errors import DataError
from zoo.evaluation.representation import encode_split, rightly_inferred
from zoo.tasks.label import Label, Labelled, Labelling


def label(
    source: Source,
    *,
    labels: int | Sequence[int] = 100,
    draws: int = 20,
    neighbours: int = 5,
    dataset: object | None = None,
    seed: int = 0,
    data_root: str | None = None,
    image_channels: int | None = None,
    device: str | torch.device = "cpu",
) -> Labelling:
    """How well few labels classify: accuracies on the test split, as a table when printed.

    ``labels`` training examples, or several numbers of them, are known, as many of each class as
    of any other; ``draws`` times they are drawn anew, by the ``seed``, alike for all models. Their
    codes fit nearest neighbours and a linear probe; see :class:`zoo.tasks.label.Label`. A model
    that infers classes, as m2, is measured by its own classifier too, trained on the labels that it
    was trained on. ``source`` and ``dataset`` are what :func:`zoo.evaluate` takes.

    Raises UnknownNameError, ConfigError, CheckpointError, UnsupportedError for a model that is told
    the labels, and DataError for data without classes or with too few examples of one.

    >>> found = label("gaussian-vae-digits", labels=[50, 100], draws=3)
    >>> found.accuracies[100]["neighbours"].mean > found.accuracies[50]["neighbours"].mean > 0.4
    True
    """
    counts = plain(labels)
    counts = list(counts) if isinstance(counts, Sequence) else [counts]
    options = plain({"labels": counts, "draws": draws, "neighbours": neighbours})
    task: Label = Selected.parse("tasks", {"name": "label", **options}).build()
    entry, seed = opened(source, device), seed_number(seed)
    task.check_model(entry.model)
    data = dataset_for(entry, dataset, data_root, image_channels=image_channels)
    train, test = (labelled(data, split) for split in ("train", "test"))
    with torch.no_grad(), evaluation_mode(entry.model):
        known, asked = (codes_of(entry.model, split, seed) for split in (train, test))
        own = own_accuracy(entry.model, test, seed) if entry.model.has_classes else None
    return Labelling(entry.name, len(test), draws, task.measure(known, asked, seed, own))


def labelled(data: Dataset, split: str) -> Examples:
    """The examples of a split whose class is known. Raises DataError where there are none."""
    examples: Examples = getattr(data, split)
    known = labelled_of(examples)
    if known is None:
        raise DataError(
            f"{data.name} has no labels of classes in its {split} split; give (x, labels) with "
            "whole numbers from 0, an .npz file with 'labels', or a subfolder for each class"
        )
    return examples.select(known.to(examples.rows.device))


def codes_of(model: LatentVariableModel, examples: Examples, seed: int) -> Labelled:
    """The codes of examples, of unit variance under the prior, and their classes."""
    examples = examples.to(device_of(model))
    codes = encode_split(model, examples, seed=seed, batch_size=model.decode_batch)
    return Labelled(model.space.standardized(codes), cast("torch.Tensor", examples.labels))


def own_accuracy(model: LatentVariableModel, examples: Examples, seed: int) -> float:
    """Of the classes that a model infers itself."""
    examples, size = examples.to(device_of(model)), model.decode_batch
    return float(rightly_inferred(model, examples, seed=seed, batch_size=size).double().mean())
