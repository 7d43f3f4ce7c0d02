"""A dataset: three splits of one shape, under one name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from zoo.data.examples import Examples, are_classes, content
from zoo.errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits of examples of one shape.

    ``likelihood`` is p(x|z) where the model's settings name none: of images "bernoulli",
    "gaussian" or "discretized-logistic", of vectors "gaussian", of text "categorical".
    ``tokenizer`` is text's, as JSON.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    likelihood: str
    license: str
    tokenizer: str | None = None

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
        """What the examples are: "images", "text" or "vectors"."""
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
        try:
            train, validation, test = (split.conditioned(on) for split in self.splits.values())
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error
        return replace(self, train=train, validation=validation, test=test)

    def digest(self) -> str:
        """SHA-256 of the examples a training reads, in hexadecimal; see `Examples.digest`."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            digest.update(content(split.rows))
        for split in (self.train, self.validation):
            split.digest_columns(digest.update)
        return digest.hexdigest()


def _describe(split: Examples) -> str:
    return "x".join(str(size) for size in split.shape)
