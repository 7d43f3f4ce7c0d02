"""The way in: a registered name, a path of the user's own, or what a program holds in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from zoo.data.arrays import check_keys, load_arrays, split_arrays
from zoo.data.conversion import AS_STORED, Conversion, ImageSize, converted, refuse_other_images
from zoo.data.dataset import Dataset
from zoo.data.fitting import refuse_other_kind
from zoo.data.folder import read_folder
from zoo.data.numpy_files import read_arrays
from zoo.data.partition import Splits
from zoo.data.paths import (
    ARRAY_SUFFIXES,
    FILES,
    TABLE_SUFFIX,
    TEXT_SUFFIX,
    meant_path,
    refuse_what_is_gone,
)
from zoo.data.sources import as_arrays
from zoo.data.tables.csv_file import read_csv
from zoo.data.tables.load import TableReading, asked_reading, read_table
from zoo.data.tables.memory import has_texts, table_of, table_of_arrays
from zoo.data.tables.raw import RawTable
from zoo.data.text import Corpus, TextFormat, load_text_file
from zoo.errors import DataError
from zoo.files import as_path
from zoo.registry import registry, resolve

if TYPE_CHECKING:
    from zoo.core.model import ModelConfig

TEXT_LIKELIHOOD = "categorical"
UNSTATED = "not stated"
IN_MEMORY = "array"
"""The name of data in memory, where none is given."""


class _Wanted(NamedTuple):
    """How data are to be read; see :func:`load_dataset`."""

    root: str | Path | None = None
    conversion: Conversion = AS_STORED
    text_format: TextFormat | None = None
    skip_unreadable: bool = False
    table: TableReading | None = None
    whole: bool = False


class Kept:
    """What was read of one source, so that models that read it alike share it in memory."""

    def __init__(self) -> None:
        self._read: list[tuple[_Wanted, Dataset]] = []

    def load(self, source: object, wanted: _Wanted) -> Dataset:
        """As :func:`load_dataset`; read once for each way in which it is wanted."""
        for known, data in self._read:
            if known == wanted:
                return data
        data = _load(source, wanted)
        self._read.append((wanted, data))
        return data


def load_dataset(
    source: object,
    *,
    root: str | Path | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    text_format: TextFormat | None = None,
    name: str | None = None,
    skip_unreadable: bool = False,
    columns: object = None,
    labels: str | None = None,
    unknown_is_missing: bool = False,
) -> Dataset:
    """The dataset registered under a name, what a folder or file holds, or what is in memory.

    A folder holds images, a ``.npy`` or ``.npz`` file arrays, a ``.csv`` file a table whose first
    line names its columns, a ``.txt`` file one sentence a line. A registered name wins over a file
    of that name; write ``./name`` for the file. ``root`` is looked at first for the files of a
    registered dataset, then ZOO_DATA, then the cache folder; what is found nowhere is downloaded
    there unless ZOO_OFFLINE is set. In memory may be a NumPy array, a tensor, a tuple (x, labels),
    a dictionary of arrays, a pandas DataFrame, a torch Dataset, which is read once, or a
    :class:`Dataset`, which is used as it is.

    What each column of a table holds is inferred, see :func:`zoo.data.tables.kinds.inferred`, or
    said by ``columns``: kinds by names ({"age": "count"}; None leaves a column out), a list of
    them, or a YAML file. With ``columns``, if only {}, also arrays (N, D) and frames of numbers are
    tables, in which NaN is missing. ``labels`` names a column that is the label and no part of x.
    A value that a model's column has not is an error, or with ``unknown_is_missing`` missing.

    With ``image_channels`` 1 colours are mixed to grey by their luma (ITU-R BT.601), with 3 grey is
    repeated, and alpha is left out. With ``image_size``, the side of a square or height and width
    (28, (28, 20) or "28x20"), every image is scaled until it just covers that, and the centre cut
    out. 8-bit levels stay such, floats are not rounded to them.

    With ``text_format`` sentences are cut as it says, not as their own vocabulary would. ``name``
    is what the dataset is called, else by its file, or "array" in memory. With ``skip_unreadable``
    the damaged files of a folder are left out, and listed as what was ``skipped``.

    The likelihood of data that are not registered is "bernoulli" if all pixels are black or white,
    "discretized-logistic" if they are 8-bit levels, "gaussian" if they are other floats, and of
    vectors; "categorical" of text, "columns" of tables. See :func:`zoo.data.folder.read_folder`,
    :func:`zoo.data.arrays.split_arrays` and :func:`zoo.data.text.load_text_file`.

    Raises UnknownNameError for an unknown name, DataError for data that is missing or unfit, and
    for an ``image_size`` or ``image_channels`` of what are no images.

    >>> digits = load_dataset("digits")
    >>> len(digits.train), digits.train.shape
    (1297, (1, 8, 8))
    >>> import torch
    >>> load_dataset(torch.rand(10, 3), name="mine").train.shape
    (3,)
    """
    conversion = Conversion.of(image_size, image_channels)
    reading = asked_reading(columns, labels, unknown_is_missing)
    data = _load(source, _Wanted(root, conversion, text_format, skip_unreadable, reading))
    _refuse_conversion(data, conversion)
    if data.table is None and (columns or labels):
        raise DataError(f"{data.name} holds {data.modality}, which has no columns; leave them out")
    return data if name is None else replace(data, name=name)


def load_for_model(
    config: ModelConfig,
    source: object,
    *,
    root: str | Path | None = None,
    image_size: ImageSize | None = None,
    image_channels: int | None = None,
    trained_on: str | None = None,
    unknown_is_missing: bool = False,
    whole: bool = False,
    kept: Kept | None = None,
) -> Dataset:
    """:func:`load_dataset` as a model reads it: images at its size, text cut by its tokeniser.

    A model may have been trained on resized images: these are resized alike, unless an
    ``image_size`` is given. Channels are converted as ``image_channels`` says; without it those of
    the data ``trained_on`` are, as they may have been then, and others are not. Data without splits
    that are to stay ``whole`` are each of them, in their order. What was ``kept`` of the same
    source for another model is not read again.

    Raises DataError as well for data of another kind or shape than the model reads, and when they
    are not those of the digest ``trained_on``: of a folder or file that has grown other examples
    are held out, and these may be among those trained on. Where that digest is compared, unreadable
    files are left out as the training may have left them out: it tells them apart.
    """
    shape, tokenizer = config.input_shape, getattr(config, "tokenizer", None)
    table = getattr(config, "table", None)
    form = None if tokenizer is None else TextFormat(tokenizer, shape[0])
    reading = asked_reading(table, None, unknown_is_missing)
    asked = Conversion.of(image_size, image_channels)
    is_compared = trained_on is not None and _is_that_of_training(asked, shape)
    wanted = asked.completed(shape, with_channels=is_compared) if len(shape) == 3 else asked
    asked_for = _Wanted(root, wanted, form, is_compared, reading, whole)
    data = (kept or Kept()).load(source, asked_for)
    data = data.conditioned(getattr(getattr(config, "condition", None), "on", None))
    refuse_other_kind(data, shape, tokenizer, table)
    _refuse_conversion(data, asked)
    if data.modality == "images":
        refuse_other_images(shape, data.train.shape, data.name)
    if is_compared and not data.identity.matches(str(trained_on)):
        raise DataError(
            f"{data.name} has changed since the model was trained, so what is held out of it now "
            "may be what the model has learned; restore the data, or name the dataset (dataset=, "
            "--dataset) to use it as it is"
        )
    return data


def _is_that_of_training(asked: Conversion, shape: tuple[int, ...]) -> bool:
    """Whether nothing is asked for, or what the training did is said anew."""
    if len(shape) != 3:
        return asked == AS_STORED
    said = asked.completed(shape, with_channels=True)
    return said == AS_STORED.completed(shape, with_channels=True)


def _load(source: object, wanted: _Wanted) -> Dataset:
    if not isinstance(source, str | Path):
        return _load_memory(source, wanted)
    refuse_what_is_gone(str(source))
    path = meant_path(source)
    return _load_registered(str(source), wanted) if path is None else _load_path(path, wanted)


def _refuse_conversion(data: Dataset, asked: Conversion) -> None:
    options = {"image_size": asked.size, "image_channels": asked.channels}
    for option, value in options.items():
        if data.modality != "images" and value is not None:
            raise DataError(
                f"{data.name} holds {data.modality}, which has no {option}; leave it out"
            )


def _load_registered(name: str, wanted: _Wanted) -> Dataset:
    spec = registry().dataset(name)
    loader = resolve(spec.loader)
    root = None if wanted.root is None else as_path(wanted.root, "root")
    try:
        loaded: Splits | Corpus = loader(spec, root)
        if isinstance(loaded, Corpus):
            return _text(name, loaded, wanted, spec.license)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    dataset = Dataset(name, *loaded, likelihood=spec.likelihood, license=spec.license)
    if dataset.train.shape != spec.shape:
        raise DataError(f"{name}: images are {dataset.train.shape}, registered as {spec.shape}")
    if spec.classes is not None and (dataset.classes or 0) > spec.classes:
        raise DataError(f"{name}: {dataset.classes} classes, registered with {spec.classes}")
    return _converted(dataset, wanted.conversion)


def _load_path(path: Path, wanted: _Wanted) -> Dataset:
    name = path.resolve().name if path.is_dir() else path.stem
    suffix = path.suffix.lower() if path.is_file() else ""
    try:
        if suffix == TEXT_SUFFIX:
            return _text(name, load_text_file(path), wanted, UNSTATED)
        if suffix == TABLE_SUFFIX:
            return _table(name, read_csv(path), wanted)
        if suffix in ARRAY_SUFFIXES and wanted.table is not None:
            return _table(name, table_of_arrays(read_arrays(path, check_keys)), wanted)
        data = _read_path(path, name, wanted)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return _suited(data, wanted.conversion)


def _read_path(path: Path, name: str, wanted: _Wanted) -> Dataset:
    if path.is_dir():
        found = read_folder(path, wanted.conversion, wanted.skip_unreadable, wanted.whole)
        data = Dataset(name, *found.splits, "", UNSTATED)
        return replace(data, source=found.digest, decoder=found.decoder, skipped=found.skipped)
    if path.suffix.lower() not in ARRAY_SUFFIXES or not path.is_file():
        raise DataError(f"expected a folder of images, {FILES}")
    arrays = load_arrays(path, wanted.conversion.channels is not None, wanted.whole)
    return Dataset(name, *arrays, "", UNSTATED)


def _load_memory(source: object, wanted: _Wanted) -> Dataset:
    if isinstance(source, Dataset):  # read from files, it may have been changed since
        own = source if source.source is None else replace(source, source=None)
        return _converted(own, wanted.conversion)
    if wanted.table is not None or has_texts(source):
        return _table(IN_MEMORY, table_of(source), wanted)
    splits = split_arrays(as_arrays(source), wanted.conversion.channels is not None, wanted.whole)
    return _suited(Dataset(IN_MEMORY, *splits, "", UNSTATED), wanted.conversion)


def _suited(data: Dataset, conversion: Conversion) -> Dataset:
    """With the likelihood of converted pixels: black and white ones may have become grey."""
    converted = _converted(data, conversion)
    return replace(converted, likelihood=_likelihood(converted))


def _text(name: str, corpus: Corpus, wanted: _Wanted, license: str) -> Dataset:
    splits, tokenizer = corpus.cut(wanted.text_format, wanted.whole)
    return Dataset(name, *splits, TEXT_LIKELIHOOD, license, tokenizer)


def _table(name: str, table: RawTable, wanted: _Wanted) -> Dataset:
    splits, schema = read_table(table, wanted.table or TableReading({}), wanted.whole)
    return Dataset(name, *splits, "columns", UNSTATED, table=schema)


def _likelihood(data: Dataset) -> str:
    """p(x|z) that suits the values of images and vectors."""
    splits = [split.rows for split in data.splits.values()]
    if any(rows.is_floating_point() for rows in splits):
        return "gaussian"
    return "bernoulli" if all(map(_is_black_and_white, splits)) else "discretized-logistic"


def _converted(data: Dataset, conversion: Conversion) -> Dataset:
    if data.modality != "images" or conversion.keeps(data.train.shape):
        return data
    try:
        train, validation, test = (converted(each, conversion) for each in data.splits.values())
    except DataError as error:
        raise DataError(f"{data.name}: {error}") from error
    return replace(data, train=train, validation=validation, test=test)


def _is_black_and_white(images: Tensor) -> bool:
    return bool(((images == 0) | (images == 255)).all())
