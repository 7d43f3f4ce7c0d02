"""A folder of images -> splits."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from zoo.data.images import decode
from zoo.data.partition import Splits, complete
from zoo.data.split import Split
from zoo.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load_folder(folder: Path, image_size: int | None) -> Splits:
    """All images below ``folder``, sorted by path; the names of subfolders become labels.

    If there is a subfolder ``train``, it and ``validation`` (or ``val``) and ``test`` are the
    splits; what is missing is held out of the training images, a tenth each. Images are greyscale
    if all files are, else RGB. Raises DataError for an empty folder, an unreadable file, and
    images of several sizes where no ``image_size`` is given.
    """
    parts = {part: _image_files(place) for part, place in _parts(folder).items()}
    files = [file for found in parts.values() for file, _ in found]
    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        decoded = list(pool.map(lambda file: decode(file, str(file), image_size), files))
    images = _stack(decoded, [str(file.relative_to(folder)) for file in files])
    labels = _labels([label for found in parts.values() for _, label in found])
    counts = [len(found) for found in parts.values()]
    label_parts = [None] * len(counts) if labels is None else labels.split_with_sizes(counts)
    splits = dict(zip(parts, map(Split, images.split_with_sizes(counts), label_parts), strict=True))
    return complete(splits["train"], splits.get("validation"), splits.get("test"))


def _parts(folder: Path) -> dict[str, Path]:
    """Each split's folder; ``folder`` itself where there is no subfolder ``train``."""
    if not (folder / "train").is_dir():
        return {"train": folder}
    return {
        part: folder / name
        for part, names in SPLIT_FOLDERS.items()
        for name in [name for name in names if (folder / name).is_dir()][:1]
    }


def _image_files(place: Path) -> list[tuple[Path, str]]:
    """The images below ``place`` and the subfolder each is in, "" for ``place`` itself."""
    found = []
    for file in sorted(place.rglob("*")):
        inner = file.relative_to(place).parts
        hidden = any(part.startswith(".") for part in inner)
        if file.suffix.lower() in SUFFIXES and file.is_file() and not hidden:
            found.append((file, inner[0] if len(inner) > 1 else ""))
    if not found:
        raise DataError(f"{place} holds no images; looked for {', '.join(SUFFIXES)} at any depth")
    return found


def _labels(subfolders: list[str]) -> Tensor | None:
    """Numbers of the subfolders in sorted order; None unless every image is in one of several."""
    names = sorted(set(subfolders))
    if "" in names or len(names) < 2:
        return None
    return torch.tensor([names.index(name) for name in subfolders])


def _stack(images: list[Tensor], names: list[str]) -> Tensor:
    """(N, C, H, W); greyscale images among coloured ones get three equal channels."""
    first_of: dict[tuple[int, ...], str] = {}
    for image, name in zip(images, names, strict=True):
        first_of.setdefault(tuple(image.shape[1:]), name)
    if len(first_of) > 1:
        raise DataError(
            f"the images have different sizes: {_sizes(first_of.items())}; "
            "give image_size to resize and crop them to one"
        )
    channels = max(len(image) for image in images)
    return torch.stack([image.expand(channels, -1, -1) for image in images])


def _sizes(first_of: Iterable[tuple[tuple[int, ...], str]], most: int = 3) -> str:
    """Examples of each size, as width x height."""
    listed = [f"{name} is {shape[1]}x{shape[0]}" for shape, name in first_of]
    rest = [] if len(listed) <= most else [f"{len(listed) - most} more sizes"]
    return ", ".join(listed[:most] + rest)
