"""What names a dataset: a registered name, or a path of the user's own."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import ConfigError, DataError, UnknownNameError
from zoo.files import as_path
from zoo.registry import registry

ARRAY_SUFFIXES = (".npy", ".npz")
TABLE_SUFFIX = ".csv"
TEXT_SUFFIX = ".txt"
MEMORY = "memory:"
"""What stands before the name of data in memory where a run or a checkpoint says its data."""
FILES = "a .npy, .npz, .csv or .txt file"


def existing_path(name: str | Path) -> Path | None:
    """The file or folder of that name, ``~`` expanded, or None where there is none.

    Raises DataError for what no path can be: of a user there is not, or too long.
    """
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError) as error:  # RuntimeError: "~name" of a user there is not
        raise DataError(f"{name} cannot be a path: {error}; {choices()}") from error


def meant_path(name_or_path: str | Path) -> Path | None:
    """The existing path that is meant, or None for a name."""
    if isinstance(name_or_path, str) and name_or_path in registry().datasets:
        return None
    path = existing_path(name_or_path)
    if path is not None:
        return path
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or _can_only_be_a_path(text):
        raise DataError(f"{text} does not exist; {choices()}")
    return None


def dataset_of(file: Path, dataset: str) -> str:
    """What a file of settings names as its dataset: a registered name, or a path from its folder.

    Symbolic links on the way to the file are followed, so that it is one path from wherever the
    file is named. Raises ConfigError for an unknown name.

    >>> dataset_of(Path("/mine/study.yaml"), "data/points.npy")
    '/mine/data/points.npy'
    >>> dataset_of(Path("/mine/study.yaml"), "digits")
    'digits'
    """
    path = file.expanduser().parent.resolve() / as_path(dataset, f"{file}: the dataset")
    is_name = dataset in registry().datasets
    if not is_name and (_can_only_be_a_path(dataset) or existing_path(path) is not None):
        return str(path)
    try:
        registry().dataset(dataset)
    except UnknownNameError as error:
        raise ConfigError(f"{file}: {error}; or name a file or folder beside it") from error
    return dataset


def _can_only_be_a_path(text: str) -> bool:
    return (
        "/" in text
        or "\\" in text
        or text.startswith(("~", "."))
        or text.endswith((*ARRAY_SUFFIXES, TABLE_SUFFIX, TEXT_SUFFIX))
    )


def choices() -> str:
    """What a dataset may be, in words."""
    names = ", ".join(sorted(registry().datasets))
    return f"give a folder of images, {FILES}, or one of the names {names}"


def refuse_what_is_gone(name: str) -> None:
    """Raise DataError for the name of what was in memory."""
    if name.startswith(MEMORY):
        raise DataError(
            f"{name.removeprefix(MEMORY)!r} was held in memory by the program that trained on it, "
            "and cannot be read again; pass the data themselves, as in zoo.resume(directory, "
            "dataset=x) or zoo.evaluate(run, dataset=x), or write them to a file and name that "
            "(--dataset)"
        )


def is_in_memory(source: object) -> bool:
    """Whether data are given themselves, rather than their name or path."""
    return not isinstance(source, str | Path)
