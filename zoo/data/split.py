"""Examples in memory: one tensor on the device, from which batches are indexed and prepared."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import Self

from zoo.errors import DataError
from zoo.likelihoods.base import InputKind


class Examples(ABC):
    """Examples in memory, one a row, from which batches are indexed and prepared for a model."""

    labels: Tensor | None

    @property
    @abstractmethod
    def rows(self) -> Tensor:
        """The examples as they are held, (N, ...)."""

    @abstractmethod
    def replaced(self, rows: Tensor, labels: Tensor | None) -> Self:
        """The same kind of examples with other rows."""

    @abstractmethod
    def batch(
        self, index: Tensor, *, kind: InputKind, generator: torch.Generator | None = None
    ) -> Tensor:
        """Examples at ``index`` (B,), on whatever device, as a model of that kind reads them."""

    @abstractmethod
    def fixed(self, kind: InputKind, seed: int) -> Self:
        """The examples a model is measured on: where it reads draws, drawn once."""

    def by_length(self) -> Self:
        """In an order in which batches of all examples cost least; images keep theirs."""
        return self

    def arranged(self, order: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
        """An epoch's random ``order`` (N,), changed where batches of like examples cost less."""
        return order

    def digest(self) -> str:
        """SHA-256 of the examples, in hexadecimal."""
        return hashlib.sha256(self.rows.cpu().contiguous().numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (C, H, W) of an image, (T,) of a sentence."""
        return tuple(self.rows.shape[1:])

    def to(self, device: str | torch.device) -> Self:
        """The same examples held on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        return self.replaced(self.rows.to(device), labels)

    def take(self, n: int) -> Self:
        """The first ``n`` examples, or all where there are fewer."""
        n = max(n, 0)
        return self.replaced(self.rows[:n], None if self.labels is None else self.labels[:n])

    def spread(self, n: int) -> Self:
        """``n`` examples at even distances, or all where there are fewer.

        They stand for the whole as the first need not: those of MNIST's test set are the clean
        ones, and the sentences of a corpus stand text by text.

        >>> split = Split(torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1))
        >>> split.spread(4).images.flatten().tolist()
        [0, 2, 5, 7]
        """
        n = max(0, min(n, len(self)))
        return self.select(torch.arange(n, device=self.rows.device) * len(self) // max(n, 1))

    def select(self, index: Tensor) -> Self:
        """The examples at ``index`` (M,), in that order."""
        labels = None if self.labels is None else self.labels[index]
        return self.replaced(self.rows[index], labels)

    def batches(self, size: int, kind: InputKind) -> Iterator[Tensor]:
        """All examples in order, at most ``size`` at a time, prepared for a model as by `batch`.

        A fixed split (see :meth:`fixed`) is read with kind ``"unit"`` or the model's own: both
        give the same pixels, but ``"binary"`` draws random numbers for them, ``"unit"`` none.

        >>> split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8))
        >>> [len(x) for x in split.batches(2, "unit")]
        [2, 2, 1]
        """
        index = torch.arange(len(self))
        for start in range(0, len(self), size):
            yield self.batch(index[start : start + size], kind=kind)


@dataclass(frozen=True, eq=False)
class Split(Examples):
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

    @property
    def rows(self) -> Tensor:
        return self.images

    def replaced(self, rows: Tensor, labels: Tensor | None) -> Split:
        """Other images of the same or another shape."""
        return Split(rows, labels)

    def batch(
        self, index: Tensor, *, kind: InputKind, generator: torch.Generator | None = None
    ) -> Tensor:
        """Examples at ``index`` (B,) prepared for a model: float32 (B, C, H, W) in [0, 1].

        ``"unit"`` divides by 255; ``"binary"`` draws every pixel from Bernoulli(image / 255), anew
        on each call. ``generator`` lives on the device of the images.
        """
        images = self.images.index_select(0, index.to(self.images.device, non_blocking=True))
        return images / 255 if kind == "unit" else _binarise(images, generator)

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
    """Three disjoint splits of examples of one shape.

    ``likelihood`` is p(x|z) where the model's settings name none: of images "bernoulli",
    "gaussian" or "discretized-logistic", of text "categorical". ``tokenizer`` is text's, as JSON.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    likelihood: str
    license: str
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        for split_name, split in splits.items():
            if len(split) == 0:
                raise DataError(f"{self.name}: the {split_name} split is empty")
            if split.shape != self.train.shape:
                raise DataError(
                    f"{self.name}: examples are {_describe(self.train)} in train "
                    f"but {_describe(split)} in {split_name}; all splits must have one shape"
                )

    def digest(self) -> str:
        """SHA-256 of the examples a training reads, in hexadecimal."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            digest.update(split.rows.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _describe(split: Examples) -> str:
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
