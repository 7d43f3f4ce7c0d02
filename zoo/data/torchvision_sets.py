"""Public image sets, in the folder layout of torchvision, which also downloads them.

A loader takes ``(spec, root)`` and returns the splits. ``spec.options`` names torchvision's class
and the page that documents the set, and for EMNIST which of its splits.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.archive import Archive
from zoo.data.conversion import Conversion
from zoo.data.idx import find_idx, read_idx
from zoo.data.images import decode
from zoo.data.numpy_files import Array, read_arrays
from zoo.data.partition import Splits, hold_out
from zoo.data.roots import data_roots
from zoo.data.split import Split
from zoo.data.torchvision_compat import torchvision_datasets
from zoo.errors import DataError
from zoo.registry import DatasetSpec

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its gzipped idx files."""
CIFAR10_SHAPE = (32, 32, 3)
CIFAR10_ARRAYS = "cifar10.npz"
"""``train``, ``train_labels``, ``test`` and ``test_labels``."""
OMNIGLOT_SIZE = 28  # as in the papers; the drawings have 105
MOST_DRAWN = 2**12
"""Bytes of the file of one drawing; those of the set have a few hundred."""
PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
IDX_PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")
IDX_DIMENSIONS = (3, 1)


def load_mnist(spec: DatasetSpec, root: Path | None) -> Splits:
    """MNIST, Fashion-MNIST or KMNIST: ``options["class"]`` is torchvision's name for it."""
    name = spec.options["class"]
    files = [f"{name}/raw/{half}-{part}" for half in ("train", "t10k") for part in IDX_PARTS]

    def download(folder: Path) -> None:
        getattr(torchvision_datasets(), name)(folder, download=True)

    archive = Archive(spec, tuple(files), keep=f"{name}/raw/*-ubyte", download=download)
    packaged = DEBIAN_FASHION_MNIST if name == "FashionMNIST" else None
    paths = archive.locate(root, find_idx, packaged)
    return _official(spec, *_idx_halves(paths))


def load_emnist(spec: DatasetSpec, root: Path | None) -> Splits:
    """EMNIST; ``options["split"]`` is balanced, byclass, bymerge, letters, digits or mnist."""
    prefix = f"EMNIST/raw/emnist-{spec.options['split']}"
    files = [f"{prefix}-{half}-{part}" for half in ("train", "test") for part in IDX_PARTS]

    def download(folder: Path) -> None:
        torchvision_datasets().EMNIST(folder, split=spec.options["split"], download=True)

    archive = Archive(spec, tuple(files), keep="EMNIST/raw/*-ubyte", download=download)
    # The files hold every image transposed.
    halves = (
        Split(half.images.transpose(2, 3).contiguous(), half.labels)
        for half in _idx_halves(archive.locate(root, find_idx))
    )
    return _official(spec, *halves)


def load_cifar10(spec: DatasetSpec, root: Path | None) -> Splits:
    """CIFAR-10. Its files are pickles: torchvision opens only those of the published checksums.

    The same photographs may also lie in one NumPy file, which is looked for first.
    """
    for place in (folder / CIFAR10_ARRAYS for folder in data_roots(root)):
        if place.is_file():
            return _official(spec, *_halves_of_arrays(place))
    batches = [f"data_batch_{number}" for number in range(1, 6)]
    files = [f"cifar-10-batches-py/{n}" for n in (*batches, "test_batch", "batches.meta")]

    def download(folder: Path) -> None:
        torchvision_datasets().CIFAR10(folder, download=True)

    archive = Archive(spec, tuple(files), keep="cifar-10-batches-py/*", download=download)
    folder = archive.locate(root)[0].parents[1]

    def read(train: bool) -> Split:
        source = torchvision_datasets().CIFAR10(folder, train=train)
        return _split(source.data.transpose(0, 3, 1, 2), source.targets)

    return _official(spec, *_intact(folder, lambda: (read(True), read(False))))


def _halves_of_arrays(path: Path) -> tuple[Split, Split]:
    """Both halves of CIFAR-10 in a ``.npz`` file. Raises DataError for another."""
    names = [f"{half}{column}" for half in ("train", "test") for column in ("", "_labels")]

    def check(found: list[str]) -> None:
        if sorted(found) != sorted(names):
            raise DataError(f"the arrays must be {', '.join(names)}, got {', '.join(found)}")

    try:
        arrays = read_arrays(path, check)
        train, train_labels, test, test_labels = (arrays[name] for name in names)
        return _photographs(train, train_labels), _photographs(test, test_labels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _photographs(images: Array, labels: Array) -> Split:
    """Of images (N, H, W, C). Raises DataError for what is no half of CIFAR-10."""
    shape = (len(labels), *CIFAR10_SHAPE)
    if images.dtype != np.uint8 or images.shape != shape:
        raise DataError(
            f"images must be uint8 of shape {shape}, one for each label, "
            f"got {images.dtype} of shape {images.shape}"
        )
    return _split(images.transpose(0, 3, 1, 2), labels)


def load_svhn(spec: DatasetSpec, root: Path | None) -> Splits:
    """SVHN, the cropped digits: its official train and test halves, without "extra"."""
    halves = ("train", "test")

    def download(folder: Path) -> None:
        for half in halves:
            torchvision_datasets().SVHN(folder, split=half, download=True)

    files = tuple(f"{half}_32x32.mat" for half in halves)
    archive = Archive(spec, files, keep="*_32x32.mat", download=download)
    folder = archive.locate(root)[0].parent

    def read(half: str) -> Split:
        source = torchvision_datasets().SVHN(folder, split=half)
        return _split(source.data, source.labels)

    return _official(spec, *_intact(folder, lambda: (read("train"), read("test"))))


def load_omniglot(spec: DatasetSpec, root: Path | None) -> Splits:
    """Omniglot at 28 x 28 pixels, ink bright: trained on 30 alphabets, tested on 20 others."""
    halves = ("images_background", "images_evaluation")

    def download(folder: Path) -> None:
        for background in (True, False):
            torchvision_datasets().Omniglot(folder, background=background, download=True)

    files = tuple(f"omniglot-py/{half}.zip" for half in halves)
    archive = Archive(spec, files, keep="omniglot-py/*.zip", download=download)
    numbers: dict[str, int] = {}
    background, evaluation = archive.locate(root)
    train = _read_omniglot(background, OMNIGLOT_SIZE, numbers)
    return _official(spec, train, _read_omniglot(evaluation, OMNIGLOT_SIZE, numbers))


def _read_omniglot(path: Path, size: int, numbers: dict[str, int]) -> Split:
    """One zip of drawings; characters are numbered in ``numbers`` as they are met."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".png"))
            images = [_drawing(archive, name, size) for name in names]
    # Of a damaged or encrypted zip the module raises all of these.
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged: {error}; delete it and get it anew") from error
    except DataError as error:
        raise DataError(f"{path}: {error}; delete it and get it anew") from error
    if not images:
        raise DataError(f"{path} holds no drawings; delete it and get it anew")
    characters = [name.rpartition("/")[0] for name in names]
    labels = torch.tensor([numbers.setdefault(name, len(numbers)) for name in characters])
    return Split(255 - torch.stack(images), labels)


def _drawing(archive: zipfile.ZipFile, name: str, size: int) -> Tensor:
    """Grey levels (1, ``size``, ``size``)."""
    entry = archive.getinfo(name)
    if entry.file_size > MOST_DRAWN or entry.compress_type not in PLAIN_METHODS:
        raise DataError(f"{name} is no drawing: {entry.file_size:,} bytes of another kind")
    drawing = decode(archive.read(entry), name, Conversion((size, size)))
    if len(drawing) > 1:
        raise DataError(f"{name} is no drawing: it has colours")
    return drawing


def _official(spec: DatasetSpec, train: Split, test: Split) -> Splits:
    """The official halves, the validation split held out of the training half."""
    rest, validation = hold_out(train, spec.validation)
    return rest, validation, test


def _idx_halves(paths: list[Path]) -> tuple[Split, Split]:
    return _idx_half(*paths[:2]), _idx_half(*paths[2:])


def _idx_half(*paths: Path) -> Split:
    images, labels = (read_idx(path, n) for path, n in zip(paths, IDX_DIMENSIONS, strict=True))
    if len(images) != len(labels):
        raise DataError(
            f"{paths[0]} holds {len(images):,} images but {paths[1]} {len(labels):,} labels; "
            "delete both and get them anew"
        )
    return Split(images.unsqueeze(1), labels.to(torch.int64))  # (N, 1, H, W), (N,)


def _split(images: Any, labels: Any) -> Split:
    """NumPy images (N, C, H, W) in any memory order, and labels."""
    contiguous = np.ascontiguousarray(images)
    return Split(torch.from_numpy(contiguous), torch.as_tensor(labels, dtype=torch.int64))


def _intact(folder: Path, read: Callable[[], tuple[Split, Split]]) -> tuple[Split, Split]:
    try:
        return read()
    except OSError as error:
        raise DataError(f"a file in {folder} cannot be read: {error}") from error
    except RuntimeError as error:  # torchvision's for a file of another checksum
        raise DataError(
            f"the files in {folder} are not the published ones (their checksums differ); "
            "delete them and get them anew"
        ) from error
