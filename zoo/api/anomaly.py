"""The verb that finds what does not belong: anomaly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch

from zoo.api.arguments import plain, seed_number, whole_number
from zoo.api.source import Opened, Source, opened
from zoo.core.component import Selected
from zoo.data import Dataset, Examples, load_for_model
from zoo.data.conversion import ImageSize
from zoo.data.partition import SPLITS, check_split
from zoo.data.paths import MEMORY
from zoo.errors import ConfigError
from zoo.randomness import GENERATORS
from zoo.tasks.anomaly import Anomalies, AnomalyDetection

Progress: TypeAlias = Callable[[int, int], None]


class _Reading(NamedTuple):
    """How data are read."""

    root: str | None
    image_size: ImageSize | None
    image_channels: int | None

    def load(self, entry: Opened, source: object, whole: bool) -> Dataset:
        """Data other than those of the training, as the model reads them."""
        return load_for_model(entry.model.config, source, **self._asdict(), whole=whole)


def anomaly(
    source: Source,
    x: object,
    *,
    score: str | Mapping[str, Any] = "likelihood",
    calibration: object | None = None,
    calibration_examples: int = 1000,
    split: str = "test",
    seed: int = 0,
    data_root: str | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Anomalies:
    """How little each example belongs to what a model has learned: a score and a p-value.

    ``source`` is what :func:`zoo.evaluate` takes. ``x`` is what :func:`zoo.load_dataset` takes: an
    array, a folder or a file is judged whole, in its order; of what comes in splits, as a
    registered name, the ``split``. ``score`` is a registered name, of which
    ``zoo.list_names("scores")`` are all, or a mapping with its settings, as
    ``{"name": "likelihood", "samples": 100}``; the higher, the more anomalous.

    The p-value says how rarely a normal example scores as high: (1 + m) / (1 + n), where m of n
    normal examples do that the model has not learned. These are at most ``calibration_examples`` of
    the validation split of the dataset that the checkpoint was trained on, or of the dataset
    ``calibration``, or all of an array, folder or file of that name. Of a normal example
    P(p <= alpha) <= alpha, as far as choosing the best epoch has not fitted the validation split.

    Examples are binarised once where the model reads black and white. ``image_size``,
    ``image_channels`` and ``data_root`` are those of :func:`zoo.load_dataset`. ``progress`` is
    called with the number of examples so far and in all, of ``calibration`` first.

    Raises UnsupportedError for a model that lacks the score, UnknownNameError, ConfigError,
    DataError or CheckpointError.

    >>> import torch, zoo
    >>> digits = zoo.load_dataset("digits").test.images[:5]
    >>> found = anomaly("gaussian-vae-digits", torch.cat([digits, torch.full_like(digits, 255)]))
    >>> found.flagged(alpha=0.01)
    tensor([False, False, False, False, False,  True,  True,  True,  True,  True])
    """
    task: AnomalyDetection = _task(score, seed_number(seed))
    count = whole_number("calibration_examples", calibration_examples)
    if count < 1:
        raise ConfigError(f"calibration_examples must be at least 1, got {count}")
    check_split(split)
    entry = opened(source, device)
    task.check_model(entry.model)
    reading = _Reading(data_root, image_size, image_channels)
    judged: Examples = getattr(reading.load(entry, x, whole=True), split)
    normal = _normal(entry, calibration, reading).evenly(count)
    with GENERATORS:  # also the model's mode is one for all threads
        of_normal, of_x = (task.scores(entry.model, each, progress) for each in (normal, judged))
    return Anomalies(task.config.score.name, of_x, of_normal)


def _task(score: str | Mapping[str, Any], seed: int) -> Any:
    return Selected.parse("tasks", {"name": "anomaly", "score": plain(score), "seed": seed}).build()


def _normal(entry: Opened, given: object | None, reading: _Reading) -> Examples:
    """Normal examples that the model has not learned.

    Data that the model was trained on are split as they were for that: their validation split.
    """
    trained_on = entry.metadata.data if entry.metadata else None
    if given is None:
        dataset = entry.dataset
        if dataset is None or dataset.startswith(MEMORY):
            raise ConfigError(
                f"{entry.name} does not say where the data it was trained on can be read; give "
                "normal examples that it has not learned, or those data (calibration=, "
                "--calibration)"
            )
        config, root = entry.model.config, reading.root
        return load_for_model(config, dataset, root=root, trained_on=trained_on).validation
    whole = reading.load(entry, given, whole=True)
    if trained_on is not None and len(whole.train) > len(SPLITS):
        as_trained = reading.load(entry, given, whole=False)
        if as_trained.identity.matches(trained_on):
            return as_trained.validation
    return whole.validation
