"""Which files of a folder are pictures, of which split and class, and what would not be used.

Links are followed. Left out without a word is only what is no picture by its name: hidden files and
folders, what file managers leave behind, and text, tables and the like beside the pictures.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zoo.errors import DataError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
"""The names of a split's folder, in any case."""
DEBRIS = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
NOTES = ("readme", "license", "licence", "copying", "authors", "changelog", "makefile")
NO_PICTURES = (
    *(".txt", ".md", ".rst", ".html", ".pdf", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml"),
    *(".yml", ".toml", ".ini", ".log", ".py", ".sh", ".ipynb", ".md5", ".sha256"),
)
"""Suffixes of what stands beside pictures and is none."""
SHOWN = 10


class ImageFile(NamedTuple):
    """A file, its split, and the subfolder of that it is in, "" for the split's folder itself."""

    path: Path
    part: str
    label: str


def image_files(folder: Path) -> list[ImageFile]:
    """The pictures, split by split, each sorted by path; all of "train" where there are no splits.

    Raises DataError where a folder cannot be read, where a split holds no pictures or has two
    folders, and where something would not be used, naming all of it.
    """
    parts = _splits(folder)
    walks = [_Walk(folder, part, place).run() for part, place in parts.items()]
    unused = [] if parts["train"] == folder else list(_beside(folder, list(parts.values())))
    unused += [name for walk in walks for name in walk.unused]
    if unused:
        raise DataError(
            f"some of what {folder} holds would not be used: {shown(unused)}. Move it away, or "
            f"make of it what is used: files {', '.join(SUFFIXES)}, in the folder itself and its "
            "subfolders, or in those of train, validation and test"
        )
    for walk in walks:
        if not walk.found:
            raise DataError(f"{walk.place} holds no images; looked for {', '.join(SUFFIXES)}")
    files = [file for walk in walks for file in sorted(walk.found, key=lambda f: f.path.parts)]
    _refuse_like_labels({file.label for file in files})
    return files


def shown(items: Sequence[str], most: int = SHOWN) -> str:
    """The first of ``items``, and how many more there are.

    >>> shown(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def split_of(name: str) -> str | None:
    """The split that a folder of that name holds.

    >>> split_of("Val"), split_of("cats")
    ('validation', None)
    """
    return next((part for part, names in SPLIT_NAMES.items() if name.casefold() in names), None)


def _splits(folder: Path) -> dict[str, Path]:
    """Each split's folder; ``folder`` itself is that of "train" where no subfolder is a split."""
    found: dict[str, Path] = {}
    for path in _entries(folder):
        part = split_of(path.name)
        if part is None or not _is_folder(path):
            continue
        if part in found:
            raise DataError(
                f"{folder} has two folders of one split, {found[part].name} and {path.name}; "
                "put their images into one of them, or rename one"
            )
        found[part] = path
    if found and "train" not in found:
        names = " and ".join(place.name for place in found.values())
        raise DataError(
            f"{folder} has a split {names} but none to train on; name the folder of the training "
            f"images train, or rename {names} if it is a class"
        )
    return {part: found[part] for part in SPLIT_NAMES if part in found} or {"train": folder}


def _beside(folder: Path, places: list[Path]) -> Iterator[str]:
    """What lies beside the splits' folders."""
    for path in _entries(folder):
        if path not in places and not _is_no_picture(path):
            yield f"{path.name} (beside {places[0].name})"


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without what is hidden or left by file managers."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return [
        folder / name
        for name in names
        if not name.startswith(".") and name.casefold() not in DEBRIS
    ]


def _mode(path: Path) -> int:
    """What kind of file a path leads to; 0 where it leads nowhere, or may not be looked at."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_mode(path))


def _is_no_picture(path: Path) -> bool:
    by_name = path.suffix.lower() in NO_PICTURES or path.name.casefold() in NOTES
    return by_name and not _is_folder(path)


@dataclass
class _Walk:
    """The pictures below the folder of one split, and what would not be used."""

    folder: Path
    part: str
    place: Path
    found: list[ImageFile] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    visited: dict[tuple[int, int], Path] = field(default_factory=dict)
    """Real folders, by device and number, and where each was met first."""

    def run(self) -> _Walk:
        above = {_identity(parent) for parent in self.place.resolve().parents}
        waiting = [self.place]
        while waiting:
            here = waiting.pop()
            if _identity(here) not in above and self._is_new(here):
                waiting += reversed(self._visit(here))
        return self

    def _is_new(self, here: Path) -> bool:
        """Whether the real folder is met for the first time; a loop of links ends here."""
        first = self.visited.setdefault(_identity(here), here)
        if first != here and first not in here.parents:
            name = here.relative_to(self.folder)
            self.unused.append(f"{name} (the same folder as {first.relative_to(self.folder)})")
        return first == here

    def _visit(self, here: Path) -> list[Path]:
        """The folders in ``here``, once its files are sorted into the two lists."""
        inner = []
        for path in _entries(here):
            reason = self._why_unused(path)
            if reason is not None:
                self.unused.append(f"{path.relative_to(self.folder)} ({reason})")
            elif _is_folder(path):
                inner.append(path)
            elif not _is_no_picture(path):
                self.found.append(ImageFile(path, self.part, self._label(path)))
        return inner

    def _why_unused(self, path: Path) -> str | None:
        if _is_folder(path):
            nested = self.place == self.folder and split_of(path.name) is not None
            return "a split, but not directly in the folder" if nested else None
        if _is_no_picture(path):
            return None
        if not stat.S_ISREG(_mode(path)):
            return "no regular file" if _mode(path) else "leads nowhere, or may not be looked at"
        return None if path.suffix.lower() in SUFFIXES else "not read as an image"

    def _label(self, path: Path) -> str:
        inner = path.relative_to(self.place).parts
        return inner[0] if len(inner) > 1 else ""


def _identity(folder: Path) -> tuple[int, int]:
    """Of the real folder that a path leads to."""
    try:
        facts = folder.stat()
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return facts.st_dev, facts.st_ino


def _refuse_like_labels(labels: set[str]) -> None:
    """Raise DataError where one class would become two, as Cat in train and cat in test."""
    spelled: dict[str, str] = {}
    for label in sorted(labels):
        other = spelled.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if other != label:
            raise DataError(
                f"the folders {other!r} and {label!r} would be two classes; give them one name"
            )
