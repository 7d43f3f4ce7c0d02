"""Images in memory: one uint8 tensor on the device, from which batches are indexed and prepared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.model import InputKind


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (N, C, H, W) with grey levels 0..255, and labels int64 (N,) where there are any.

    >>> split = Split(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1))
    >>> split.batch(torch.tensor([2, 1]), kind="unit").flatten()
    tensor([1.0000, 0.2000])
    """

    images: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                "images must be uint8 of shape (N, C, H, W), "
                f"got {self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if self.labels is not None and self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{len(self.images)} images need labels of shape ({len(self.images)},), "
                f"got {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: str | torch.device) -> Split:
        """The same split held on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        return Split(self.images.to(device), labels)

    def take(self, n: int) -> Split:
        """The first ``n`` examples, or all where there are fewer."""
        n = max(n, 0)
        return Split(self.images[:n], None if self.labels is None else self.labels[:n])

    def select(self, index: Tensor) -> Split:
        """The examples at ``index`` (M,), in that order."""
        labels = None if self.labels is None else self.labels[index]
        return Split(self.images[index], labels)

    def batch(
        self, index: Tensor, *, kind: InputKind, generator: torch.Generator | None = None
    ) -> Tensor:
        """Examples at ``index`` (B,) prepared for a model: float32 (B, C, H, W) in [0, 1].

        ``"unit"`` divides by 255; ``"binary"`` draws every pixel from Bernoulli(image / 255), anew
        on each call. ``index`` and ``generator`` live on the device of the images.
        """
        images = self.images.index_select(0, index)
        return images / 255 if kind == "unit" else _binarise(images, generator)

    def batches(self, size: int, kind: InputKind) -> Iterator[Tensor]:
        """All examples in order, at most ``size`` at a time, prepared for a model as by `batch`.

        A fixed split (see :meth:`fixed`) is read with kind ``"unit"`` or the model's own: both
        give the same pixels, but ``"binary"`` draws random numbers for them, ``"unit"`` none.

        >>> split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8))
        >>> [len(x) for x in split.batches(2, "unit")]
        [2, 2, 1]
        """
        index = torch.arange(len(self), device=self.images.device)
        for start in range(0, len(self), size):
            yield self.batch(index[start : start + size], kind=kind)

    def binarized(self, seed: int) -> Split:
        """A split of pixels in {0, 255}, drawn once from Bernoulli(image / 255).

        Drawn on the CPU, so a seed means the same images on every device. A pixel that is 0 or 255
        keeps its value in every later draw: such a split is the same however it is read.

        >>> grey = Split(torch.full((1, 1, 2, 2), 128, dtype=torch.uint8))
        >>> bool((grey.binarized(7).images == grey.binarized(7).binarized(8).images).all())
        True
        """
        generator = torch.Generator().manual_seed(seed)
        pixels = _uniform_below_255(self.images.shape, generator, torch.device("cpu"))
        drawn = pixels.lt(self.images.cpu()).to(torch.uint8).mul_(255)
        return Split(drawn.to(self.images.device), self.labels)

    def fixed(self, kind: InputKind, seed: int) -> Split:
        """The examples a model is measured on: binarised once where it reads binary pixels."""
        return self.binarized(seed) if kind == "binary" else self


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits of images of one shape.

    ``likelihood`` is p(x|z) where the model's settings name none: "bernoulli", "gaussian" or
    "discretized-logistic".
    """

    name: str
    train: Split
    validation: Split
    test: Split
    likelihood: str
    license: str

    def __post_init__(self) -> None:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        for split_name, split in splits.items():
            if len(split) == 0:
                raise DataError(f"{self.name}: the {split_name} split is empty")
            if split.shape != self.train.shape:
                raise DataError(
                    f"{self.name}: images are {_describe(self.train)} in train "
                    f"but {_describe(split)} in {split_name}; all splits must have one shape"
                )

    def digest(self) -> str:
        """SHA-256 of the images a training reads, in hexadecimal."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            digest.update(split.images.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _describe(split: Split) -> str:
    return "x".join(str(size) for size in split.shape)


def _binarise(images: Tensor, generator: torch.Generator | None) -> Tensor:
    uniform = _uniform_below_255(images.shape, generator, images.device)
    # Comparing straight into float32 saves the conversion of a boolean tensor.
    out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    return torch.lt(uniform, images, out=out)


def _uniform_below_255(
    shape: torch.Size, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Uniform on 0..254, so that u < x with probability exactly x / 255 for a grey level x."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.uint8, device=device).random_(
            0, 255, generator=generator
        )
    # The CPU's generator is serial and costs the same for a word as for a byte. So words of eight
    # bytes are drawn, and those (3 %) that hold a 255 are left out: the bytes of the others are
    # uniform on 0..254. Three times faster than the line above, ten times than torch.bernoulli.
    count = shape.numel()
    words = torch.empty(count // 8 + count // 128 + 64, dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)
    holds_255 = words.view(torch.uint8).bitwise_not().logical_not().view(torch.int64)
    drawn = words.masked_select(holds_255.logical_not()).view(torch.uint8)
    if len(drawn) < count:  # practically never: the spare words are twice what is left out
        return _uniform_below_255(shape, generator, device)
    return drawn[:count].view(shape)
