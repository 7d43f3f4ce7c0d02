"""A dataset: three splits of one shape, under one name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from zoo.columns import TableSchema
from zoo.data.examples import Examples, are_classes, content
from zoo.errors import DataError


class Identity(NamedTuple):
    """What tells the data of one training from others.

    ``digest`` is of the files where there are decoded ones, ``pixels`` of the examples themselves,
    as the ``decoder`` made them.
    """

    digest: str
    pixels: str
    decoder: str | None = None

    def matches(self, digest: str) -> bool:
        """Whether a digest is that of these data: of their files, or of their examples."""
        return digest in (self.digest, self.pixels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits of examples of one shape.

    ``likelihood`` is p(x|z) where the model's settings name none: of images "bernoulli",
    "gaussian" or "discretized-logistic", of vectors "gaussian", of text "categorical", of tables
    "columns". ``tokenizer`` is text's, as JSON, ``table`` says what a table's columns are. Of files
    that are decoded, ``source`` is the hash of their bytes, ``decoder`` what has decoded them, and
    ``skipped`` says which were left out.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    likelihood: str
    license: str
    tokenizer: str | None = None
    table: TableSchema | None = None
    source: str | None = None
    decoder: str | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split_name, split in self.splits.items():
            if len(split) == 0:
                raise DataError(f"{self.name}: the {split_name} split is empty")
            if split.shape != self.train.shape:
                raise DataError(
                    f"{self.name}: examples are {_describe(self.train)} in train "
                    f"but {_describe(split)} in {split_name}; all splits must have one shape"
                )

    @property
    def splits(self) -> dict[str, Examples]:
        """Each split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def modality(self) -> str:
        """What the examples are: "images", "text", "vectors" or "tables"."""
        return self.train.modality

    @property
    def classes(self) -> int | None:
        """How many classes the condition numbers, or the labels where there is no condition.

        None where one split has neither, and where they are not classes.

        >>> import torch
        >>> from zoo.data import Split
        >>> split = Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([3, 1]))
        >>> Dataset("mine", split, split, split, "bernoulli", "none").classes
        4
        """
        columns = [
            split.labels if split.condition is None else split.condition
            for split in self.splits.values()
        ]
        found = [column for column in columns if column is not None and are_classes(column)]
        return 1 + max(int(column.max()) for column in found) if len(found) == 3 else None

    def conditioned(self, on: str | None) -> Dataset:
        """Every split with that condition; see :meth:`Examples.conditioned`."""
        if on is None and all(split.condition is None for split in self.splits.values()):
            return self
        try:
            train, validation, test = (split.conditioned(on) for split in self.splits.values())
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        return replace(self, train=train, validation=validation, test=test)

    @cached_property
    def identity(self) -> Identity:
        """What tells it from other data, however its files are decoded."""
        pixels = self._digest(content)
        if self.source is None:
            return Identity(pixels, pixels)
        files = f"{self.source} ".encode()
        digest = self._digest(lambda rows: files + str(tuple(rows.shape)).encode())
        return Identity(digest, pixels, self.decoder)

    def digest(self) -> str:
        """SHA-256 of the examples a training reads, in hexadecimal; see `Examples.digest`.

        Of decoded files that of their bytes stands for the pixels.
        """
        return self.identity.digest

    def _digest(self, of: Callable[[Tensor], bytes]) -> str:
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            digest.update(of(split.rows))
        for split in (self.train, self.validation):
            split.digest_columns(digest.update)
        return digest.hexdigest()


def _describe(split: Examples) -> str:
    return "x".join(str(size) for size in split.shape)
