"""The way in: a registered name, or the path of the user's own images or sentences."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from zoo.data.arrays import load_arrays
from zoo.data.folder import load_folder
from zoo.data.images import resize_and_crop
from zoo.data.partition import Splits
from zoo.data.split import Dataset, Split
from zoo.data.text import Corpus, TextFormat, load_text_file
from zoo.errors import DataError
from zoo.core.model import ModelConfig
from zoo.registry import registry, resolve

ARRAY_SUFFIXES = (".npy", ".npz")
TEXT_SUFFIX = ".txt"
TEXT_LIKELIHOOD = "categorical"
UNSTATED = "not stated"


def load_dataset(
    name_or_path: str | Path,
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    text_format: TextFormat | None = None,
) -> Dataset:
    """The dataset registered under a name, or what a folder or file holds.

    A folder holds images, a ``.npy`` or ``.npz`` file arrays, a ``.txt`` file one sentence a line.
    A registered name wins over a file of that name; write ``./name`` for the file. ``root`` is
    looked at first for the files of a registered dataset, then ZOO_DATA, then the cache folder;
    what is found nowhere is downloaded into the cache folder unless ZOO_OFFLINE is set. With
    ``image_size`` every image's shorter side is resized to it and the centre square cut out.
    With ``text_format`` sentences are cut as it says, not as their own vocabulary would.

    A path's likelihood is "bernoulli" if all pixels are black or white, else
    "discretized-logistic", and "categorical" for text. See :func:`zoo.data.folder.load_folder`,
    :func:`zoo.data.arrays.load_arrays` and :func:`zoo.data.text.load_text_file` for what such
    files may hold.

    Raises UnknownNameError for an unknown name, DataError for data that is missing or unfit, and
    for an ``image_size`` of text.

    >>> digits = load_dataset("digits")
    >>> len(digits.train), digits.train.shape
    (1297, (1, 8, 8))
    """
    data = _load(name_or_path, root, image_size, text_format)
    _refuse_size_of_text(data, image_size)
    return data


def load_for_model(
    config: ModelConfig,
    name_or_path: str | Path,
    *,
    root: str | Path | None = None,
    image_size: int | None = None,
    trained_on: str | None = None,
) -> Dataset:
    """:func:`load_dataset` as a model reads it: images at its size, text cut by its tokeniser.

    A model of square images may have been trained on resized ones: these are resized alike. An
    ``image_size`` that is given is used instead.

    Raises DataError as well when the data are not those of the digest ``trained_on``: of a folder
    or file that has grown other examples are held out, and these may be among those trained on.
    """
    shape, tokenizer = config.input_shape, getattr(config, "tokenizer", None)
    form = None if tokenizer is None else TextFormat(tokenizer, shape[0])
    size = image_size
    if size is None and len(shape) == 3 and shape[1] == shape[2]:
        size = shape[-1]
    data = _load(name_or_path, root, size, form)
    if (form is None) != (data.tokenizer is None):
        held, read = ("images", "text") if data.tokenizer is None else ("text", "images")
        raise DataError(f"{data.name} holds {held}, the model reads {read}; choose another dataset")
    _refuse_size_of_text(data, image_size)
    if trained_on is not None and image_size is None and data.digest() != trained_on:
        raise DataError(
            f"{data.name} has changed since the model was trained, so what is held out of it now "
            "may be what the model has learned; restore the data, or name the dataset (dataset=, "
            "--dataset) to use it as it is"
        )
    return data


def _load(
    name_or_path: str | Path,
    root: str | Path | None,
    image_size: int | None,
    text_format: TextFormat | None,
) -> Dataset:
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size must be at least 1, got {image_size}")
    path = _as_path(name_or_path)
    if path is not None:
        return _load_path(path, image_size, text_format)
    return _load_registered(str(name_or_path), root, image_size, text_format)


def _refuse_size_of_text(data: Dataset, image_size: int | None) -> None:
    if data.tokenizer is not None and image_size is not None:
        raise DataError(f"{data.name} holds text, which has no image_size; leave it out")


def existing_path(name: str | Path) -> Path | None:
    """The file or folder of that name, ``~`` expanded, or None where there is none.

    Raises DataError for what no path can be: of a user there is not, or too long.
    """
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError) as error:  # RuntimeError: "~name" of a user there is not
        raise DataError(f"{name} cannot be a path: {error}; {_choices()}") from error


def _as_path(name_or_path: str | Path) -> Path | None:
    """The existing path that is meant, or None for a name."""
    if isinstance(name_or_path, str) and name_or_path in registry().datasets:
        return None
    path = existing_path(name_or_path)
    if path is not None:
        return path
    text = str(name_or_path)
    is_path = isinstance(name_or_path, Path) or "/" in text or "\\" in text
    if is_path or text.startswith(("~", ".")) or text.endswith((*ARRAY_SUFFIXES, TEXT_SUFFIX)):
        raise DataError(f"{text} does not exist; {_choices()}")
    return None


def _choices() -> str:
    names = ", ".join(sorted(registry().datasets))
    return f"give a folder of images, a .npy, .npz or .txt file, or one of the names {names}"


def _load_registered(
    name: str, root: str | Path | None, image_size: int | None, text_format: TextFormat | None
) -> Dataset:
    spec = registry().dataset(name)
    loader = resolve(spec.loader)
    try:
        loaded: Splits | Corpus = loader(spec, None if root is None else Path(root))
        if isinstance(loaded, Corpus):
            return _text(name, loaded, text_format, spec.license)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    dataset = Dataset(name, *loaded, likelihood=spec.likelihood, license=spec.license)
    if dataset.train.shape != spec.shape:
        raise DataError(f"{name}: images are {dataset.train.shape}, registered as {spec.shape}")
    if image_size is None:
        return dataset
    train, validation, test = (_resized(split, image_size) for split in loaded)
    return Dataset(name, train, validation, test, spec.likelihood, spec.license)


def _load_path(path: Path, image_size: int | None, text_format: TextFormat | None) -> Dataset:
    name = path.resolve().name if path.is_dir() else path.stem
    try:
        if path.suffix.lower() == TEXT_SUFFIX and path.is_file():
            return _text(name, load_text_file(path), text_format, UNSTATED)
        splits = _read_path(path, image_size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    grey_free = all(_is_black_and_white(split.images) for split in splits)
    likelihood = "bernoulli" if grey_free else "discretized-logistic"
    return Dataset(name, *splits, likelihood=likelihood, license=UNSTATED)


def _text(name: str, corpus: Corpus, form: TextFormat | None, license: str) -> Dataset:
    splits, tokenizer = corpus.cut(form)
    return Dataset(name, *splits, TEXT_LIKELIHOOD, license, tokenizer)


def _read_path(path: Path, image_size: int | None) -> Splits:
    if path.is_dir():
        return load_folder(path, image_size)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise DataError("expected a folder of images, a .npy, .npz or .txt file")
    splits = load_arrays(path)
    if image_size is None:
        return splits
    train, validation, test = (_resized(split, image_size) for split in splits)
    return train, validation, test


def _resized(split: Split, size: int) -> Split:
    return Split(resize_and_crop(split.images, size), split.labels)


def _is_black_and_white(images: Tensor) -> bool:
    return bool(((images == 0) | (images == 255)).all())
