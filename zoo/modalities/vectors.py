"""Vectors of D real numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.errors import DataError
from zoo.modalities.base import Form, Modality, check_floats, host_values
from zoo.modalities.intensities import check_intensities

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind


_READ_AS: dict[InputKind, str] = {"binary": "0 and 1", "unit": "levels k / 255 in [0, 1]"}


class Vectors(Modality):
    """Vectors (B, D) of any finite values.

    >>> import torch
    >>> Vectors((2,)).check(torch.tensor([[0.5, torch.nan]]), "real")
    Traceback (most recent call last):
    zoo.errors.DataError: vectors must be finite, got nan to nan; ...
    """

    name, parts = "vectors", "numbers"

    @classmethod
    def fits(cls, shape: tuple[int, ...], form: Form) -> bool:
        return form is None and len(shape) == 1

    def check_form(self, x: Tensor) -> None:
        check_floats(x, self.shape, "real numbers")

    def check_values(self, x: Tensor, kind: InputKind) -> None:
        """Finite; for other kinds than "real" as pixels are."""
        if kind != "real":
            check_intensities(x, kind, "values")
        elif x.numel():
            low, high = host_values(*x.aminmax())
            if not (math.isfinite(low) and math.isfinite(high)):
                raise DataError(
                    f"vectors must be finite, got {low:g} to {high:g}; give 0 and observed=False "
                    "where a value is missing"
                )

    def describe(self, count: int, kind: InputKind, seed: int, converted: str = "") -> str:
        return f"{count} examples, as {_READ_AS.get(kind, 'real numbers')}"

    def protocol(self, kind: InputKind, split: str, seed: int) -> str:
        return f"{split} vectors as {_READ_AS.get(kind, 'real numbers')}, noise seeded with {seed}"
