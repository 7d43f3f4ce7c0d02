"""Examples in memory: one tensor on the device, from which batches are indexed and prepared."""

from __future__ import annotations

import hashlib
from abc import ABC
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from zoo.core.batch import Batch
from zoo.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind

COLUMNS = ("labels", "condition", "observed")
"""What may be known of an example besides x."""
IDENTIFYING = ("condition", "observed")
"""The columns that a model reads, so that other ones are other data."""
CONDITIONS = ("labels", "condition")
"""The columns that a model can be told."""


@dataclass(frozen=True, eq=False)
class Examples(ABC):
    """N examples in memory, one a row, from which batches are indexed and prepared for a model.

    ``labels`` are classes int64 (N,), -1 where one is not known, or numbers (N,) or (N, L), for
    objectives and metrics alone.
    ``condition`` is what a model is told: classes int64 (N,) or numbers float32 (N, C).
    ``observed`` is boolean like the rows: False where a value is missing. Raises DataError for
    columns that do not fit the rows.
    """

    modality: ClassVar[str]
    """What the rows are: "images", "text", "vectors" or "tables"."""

    rows: Tensor  # (N, ...)
    labels: Tensor | None = None  # (N,) or (N, L)
    condition: Tensor | None = None  # (N,) or (N, C)
    observed: Tensor | None = None  # (N, ...)

    def __post_init__(self) -> None:
        count = len(self.rows)
        for name in CONDITIONS:
            column = getattr(self, name)
            if column is not None and (column.ndim not in (1, 2) or len(column) != count):
                raise DataError(
                    f"{count} examples need {name} of shape ({count},) or ({count}, L), "
                    f"got {tuple(column.shape)}"
                )
        seen = self.observed
        if seen is not None and (seen.dtype != torch.bool or seen.shape != self.rows.shape):
            raise DataError(
                f"observed must be boolean of shape {tuple(self.rows.shape)} like the "
                f"examples, got {seen.dtype} of shape {tuple(seen.shape)}"
            )

    def prepared(
        self, rows: Tensor, kind: InputKind, generator: torch.Generator | None = None
    ) -> Tensor:
        """``rows`` (B, ...) as a model of that kind reads them: as they are."""
        return rows

    def check(self, kind: InputKind) -> None:  # noqa: B027 -- images can be read as any kind
        """Raise DataError where a model of that kind cannot read the rows."""

    def fixed(self, kind: InputKind, seed: int) -> Self:
        """The examples a model is measured on: where it reads draws, drawn once."""
        return self

    def by_length(self) -> Self:
        """In an order in which batches of all examples cost least; images keep theirs."""
        return self

    def arranged(self, order: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
        """An epoch's random ``order`` (N,), changed where batches of like examples cost less."""
        return order

    def digest(self) -> str:
        """SHA-256 of the examples, in hexadecimal: of the rows and all else that models read.

        Labels are no part of it: a model reads them only as its condition.
        """
        digest = hashlib.sha256(content(self.rows))
        self.digest_columns(digest.update)
        return digest.hexdigest()

    def digest_columns(self, update: Callable[[bytes], None]) -> None:
        """Feed a digest with the columns that models read; nothing where there are none."""
        for name in IDENTIFYING:
            column = getattr(self, name)
            if column is not None:
                update(f"{name} {column.dtype} {tuple(column.shape)}".encode())
                update(content(column))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (C, H, W) of an image, (T,) of a sentence, (D,) of a vector."""
        return tuple(self.rows.shape[1:])

    @property
    def observed_share(self) -> float:
        """How much of the values is observed, from 0 to 1."""
        return 1.0 if self.observed is None else self.observed.double().mean().item()

    def to(self, device: str | torch.device) -> Self:
        """The same examples held on ``device``."""
        return self._each(lambda column: column.to(device))

    def take(self, n: int) -> Self:
        """The first ``n`` examples, or all where there are fewer."""
        return self._each(lambda column: column[: max(n, 0)])

    def evenly(self, n: int) -> Self:
        """``n`` examples at even distances, or all where there are fewer.

        They stand for the whole as the first need not: those of MNIST's test set are the clean
        ones, and the sentences of a corpus stand text by text.

        >>> from zoo.data import Split
        >>> split = Split(torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1))
        >>> split.evenly(4).images.flatten().tolist()
        [0, 2, 5, 7]
        """
        return self.select(self.places(n))

    def places(self, n: int) -> Tensor:
        """Where those of :meth:`evenly` stand, (min(n, N),)."""
        n = max(0, min(n, len(self)))
        return torch.arange(n, device=self.rows.device) * len(self) // max(n, 1)

    def select(self, index: Tensor) -> Self:
        """The examples at ``index`` (M,), in that order."""
        return self._each(lambda column: column[index])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Rows and columns changed alike."""
        columns = {name: _applied(change, getattr(self, name)) for name in COLUMNS}
        return replace(self, rows=change(self.rows), **columns)

    def conditioned(self, on: str | None) -> Self:
        """The examples with ``"labels"`` as the condition, with their own, or with none.

        Integers (N,) are classes from 0 on; all else becomes float32 numbers (N, C). Raises
        DataError where there are none, and for negative classes.

        >>> from zoo.data import Split
        >>> split = Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([3, 1]))
        >>> split.conditioned("labels").condition
        tensor([3, 1])
        """
        if on is None:
            return replace(self, condition=None)
        if on not in CONDITIONS:
            allowed = ", ".join(map(repr, CONDITIONS))
            raise DataError(
                f"cannot condition on {on!r}{did_you_mean(on, CONDITIONS)} "
                f"Allowed: {allowed} and None"
            )
        given = getattr(self, on)
        if given is None:
            raise DataError(
                f"no {on} is given to condition on; give (x, labels), an .npz file with 'labels', "
                "or images in a subfolder for each class"
            )
        return replace(self, condition=_as_condition(given))

    def conditions(self, n: int) -> Tensor | None:
        """``n`` of the different conditions in turn, at even distances where there are more.

        None where the examples have none.

        >>> from zoo.data import Split
        >>> images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
        >>> Split(images, condition=torch.tensor([7, 3, 7])).conditions(4)
        tensor([3, 7, 3, 7])
        """
        if self.condition is None:
            return None
        known: Tensor = torch.unique(self.condition, dim=0)
        step = max(1, len(known) // max(n, 1))
        return known[torch.arange(n, device=known.device) * step % len(known)]

    def batch(
        self, index: Tensor, *, kind: InputKind, generator: torch.Generator | None = None
    ) -> Batch:
        """Examples at ``index`` (B,), on whatever device, as a model of that kind reads them.

        ``generator`` lives on the device of the examples.
        """
        index = index.to(self.rows.device, non_blocking=True)
        labels, condition, observed = (
            _applied(lambda column: column.index_select(0, index), getattr(self, name))
            for name in COLUMNS
        )
        x = self.prepared(self.rows.index_select(0, index), kind, generator)
        return Batch(x, condition, observed, labels)

    def batches(self, size: int, kind: InputKind) -> Iterator[Batch]:
        """All examples in order, at most ``size`` at a time, prepared for a model as by `batch`.

        A fixed split (see :meth:`fixed`) is read with kind ``"real"`` or the model's own: both
        give the same x, but ``"binary"`` draws random numbers for it, ``"real"`` none.

        >>> from zoo.data import Split
        >>> split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8))
        >>> [len(batch.x) for batch in split.batches(2, "real")]
        [2, 2, 1]
        """
        index = torch.arange(len(self), device="cpu")
        for start in range(0, len(self), size):
            yield self.batch(index[start : start + size], kind=kind)


def content(column: Tensor) -> bytes:
    """What a digest reads of a tensor."""
    return column.cpu().contiguous().numpy().tobytes()


def _applied(change: Callable[[Tensor], Tensor], column: Tensor | None) -> Tensor | None:
    return None if column is None else change(column)


def are_classes(column: Tensor) -> bool:
    """Whether labels or a condition number classes, and are not numbers."""
    return column.ndim == 1 and not column.is_floating_point()


def _as_condition(column: Tensor) -> Tensor:
    """Classes int64 (N,), or numbers float32 (N, C)."""
    if not are_classes(column):
        return column.float().view(len(column), -1)
    if len(column) and column.min() < 0:
        raise DataError(f"classes are numbered from 0, got {column.min()}; leave such examples out")
    return column.long()
