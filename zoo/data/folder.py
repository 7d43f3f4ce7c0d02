"""A folder of images -> splits."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data.conversion import AS_STORED, Conversion
from zoo.data.image_files import SPLIT_NAMES, ImageFile, image_files, shown
from zoo.data.images import MOST_BYTES, decode, decoder_versions, without_pillows_warnings
from zoo.data.partition import Splits, with_held_out
from zoo.data.split import Split
from zoo.errors import DataError

SHOWN, SHOWN_SIZES = 5, 3


class FolderContents(NamedTuple):
    """A folder's splits, the identity of the files they were made of, and the files left out.

    ``digest`` is the SHA-256 of the files' bytes, their splits and labels, in order: the same
    where another version of ``decoder`` reads other pixels. ``skipped`` says which files were left
    out, and why.
    """

    splits: Splits
    digest: str
    decoder: str
    skipped: tuple[str, ...]


class _Picture(NamedTuple):
    """A file once it is read: its pixels and the hash of its bytes, or why it cannot be used."""

    name: str
    file: ImageFile
    pixels: Tensor
    digest: str
    error: str = ""


def read_folder(
    folder: Path,
    conversion: Conversion = AS_STORED,
    skip_unreadable: bool = False,
    whole: bool = False,
) -> FolderContents:
    """All images below ``folder``, sorted by path; the names of subfolders become labels.

    If there is a subfolder ``train`` (or ``training``), it and ``validation`` (or ``valid``,
    ``val``, ``dev``, ``eval``) and ``test`` (or ``testing``), in any case, are the splits; what is
    missing is held out of the training images, a tenth each. Without subfolders that are splits,
    and to stay ``whole``, each split is all images. A split has labels where each of its
    images is in a subfolder and there are several names of such; a name is the same number in
    every split. Images are greyscale if all files are, else RGB, and converted as is asked.

    Links are followed. Hidden files, what file managers leave behind, and text and tables are
    ignored. Raises DataError for an empty folder, for anything else that would not be used, for
    unreadable files, which with ``skip_unreadable`` are left out and listed in what is returned,
    and for images of several sizes where none is asked for.
    """
    files = image_files(folder)
    with without_pillows_warnings(), ThreadPoolExecutor() as pool:  # decoders run in parallel
        pictures = list(pool.map(lambda file: _read(file, folder, conversion), files))
    failed = tuple(picture.error for picture in pictures if picture.error)
    read = [picture for picture in pictures if not picture.error]
    empty = {file.part for file in files} - {picture.file.part for picture in read}
    if empty or (failed and not skip_unreadable):
        raise DataError(_unusable(failed))
    return FolderContents(_splits(read, whole), _digest(read), decoder_versions(), failed)


def _read(file: ImageFile, folder: Path, conversion: Conversion) -> _Picture:
    name = str(file.path.relative_to(folder))
    try:
        content = _content(file.path)
        pixels = decode(content, name, conversion)
        return _Picture(name, file, pixels, hashlib.sha256(content).hexdigest())
    except OSError as error:
        return _Picture(name, file, torch.empty(0), "", f"{name} cannot be read: {error.strerror}")
    except DataError as error:
        return _Picture(name, file, torch.empty(0), "", str(error))


def _content(file: Path) -> bytes:
    """Raises OSError, and DataError for what would hang or fill the memory."""
    with open(file, "rb", opener=_open_at_once) as opened:
        facts = os.fstat(opened.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise DataError(f"{file} is no regular file")
        if facts.st_size > MOST_BYTES:
            raise DataError(f"{file} has {facts.st_size:,} bytes, more than {MOST_BYTES:,}")
        return opened.read()


def _open_at_once(file: str, flags: int) -> int:
    """Without waiting for a writer where a FIFO has taken the file's place."""
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def _unusable(failed: Sequence[str]) -> str:
    files = "1 file" if len(failed) == 1 else f"{len(failed):,} files"
    return (
        f"{files} cannot be used: {shown(failed, SHOWN)}. Mend or remove what is named, or leave "
        "such files out with skip_unreadable=True (--skip-unreadable)"
    )


def skipped_warning(skipped: Sequence[str]) -> str | None:
    """What to say of the files that were left out; None where there are none."""
    if not skipped:
        return None
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped):,} files were"
    return f"{files} left out: {shown(skipped, SHOWN)}"


def _digest(pictures: Iterable[_Picture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        line = f"{picture.file.part}\0{picture.file.label}\0{picture.digest}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _splits(pictures: Sequence[_Picture], whole: bool) -> Splits:
    images = _stack(pictures)
    names = sorted({picture.file.label for picture in pictures} - {""})
    splits = {}
    for part in SPLIT_NAMES:
        rows = [row for row, picture in enumerate(pictures) if picture.file.part == part]
        if rows:  # they stand together
            labels = _labels([pictures[row].file.label for row in rows], names)
            splits[part] = Split(images[rows[0] : rows[-1] + 1], labels)
    return with_held_out(splits["train"], splits.get("validation"), splits.get("test"), whole)


def _labels(subfolders: Sequence[str], names: Sequence[str]) -> Tensor | None:
    """Numbers of the subfolders in sorted order; None unless every image is in one of several."""
    if "" in subfolders or len(names) < 2:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    return torch.tensor([numbers[name] for name in subfolders])


def _stack(pictures: Sequence[_Picture]) -> Tensor:
    """(N, C, H, W); greyscale images among coloured ones get three equal channels."""
    first_of: dict[tuple[int, ...], str] = {}
    for picture in pictures:
        first_of.setdefault(tuple(picture.pixels.shape[1:]), picture.name)
    if len(first_of) > 1:
        sizes = [f"{name} is {shape[0]}x{shape[1]}" for shape, name in first_of.items()]
        raise DataError(
            f"the images have different sizes (height x width): {shown(sizes, SHOWN_SIZES)}; "
            "give image_size to resize and crop them to one, as in image_size=28 or (28, 20) "
            "(--image-size 28, or 28x20)"
        )
    channels = max(len(picture.pixels) for picture in pictures)
    return torch.stack([picture.pixels.expand(channels, -1, -1) for picture in pictures])
