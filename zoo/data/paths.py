"""What names a dataset: a registered name, or a path of the user's own."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import DataError
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
    is_path = isinstance(name_or_path, Path) or "/" in text or "\\" in text
    if (
        is_path
        or text.startswith(("~", "."))
        or text.endswith((*ARRAY_SUFFIXES, TABLE_SUFFIX, TEXT_SUFFIX))
    ):
        raise DataError(f"{text} does not exist; {choices()}")
    return None


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
