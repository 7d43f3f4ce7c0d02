"""A table as its source has it: columns of numbers or of texts, before their kinds are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAPS = frozenset({"", "NA", "NaN", "nan", "?"})
"""Fields of a file that stand for a missing value."""


@dataclass(frozen=True)
class RawColumn:
    """N values: ``numbers`` (N,) where all are such, NaN where one is missing, or else texts.

    Texts are ``ids`` (N,) of ``texts``, -1 where one is missing. ``kind`` is what the source says
    of the column, and ``is_ordered`` whether it says an order of the texts.
    """

    name: str
    numbers: NDArray[np.float64] | None = None
    ids: NDArray[np.int32] | None = None
    texts: Sequence[str] = ()
    kind: str | None = None
    is_ordered: bool = False

    def __len__(self) -> int:
        return len(self._values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which values are, (N,)."""
        found: NDArray[np.bool_] = (
            np.isnan(self.numbers) if self.numbers is not None else self._values < 0
        )
        return found

    @property
    def _values(self) -> NDArray[Any]:
        values = self.numbers if self.numbers is not None else self.ids
        assert values is not None
        return values

    def as_texts(self) -> tuple[NDArray[np.int32], list[str]]:
        """Ids (N,) and texts; of numbers these are in their order, as they are written shortest."""
        if self.numbers is None:
            assert self.ids is not None
            return self.ids, list(self.texts)
        there = ~self.missing
        distinct, inverse = np.unique(self.numbers[there], return_inverse=True)
        ids = np.full(len(self.numbers), -1, np.int32)
        ids[there] = inverse
        return ids, [shortest(number) for number in distinct.tolist()]


@dataclass(frozen=True)
class RawTable:
    """Columns of N rows.

    Of several parts in turn, as an .npz file with train and test has them, ``sizes`` says how many
    rows each has; ``beside`` has what else is known of each part's examples.
    """

    columns: list[RawColumn]
    sizes: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    has_names: bool = True


def shortest(number: float) -> str:
    """
    >>> shortest(3.0), shortest(0.5)
    ('3', '0.5')
    """
    return f"{number:.0f}" if number.is_integer() else repr(number)
