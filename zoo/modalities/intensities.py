"""Values in [0, 1]: which of them a model can read, and what to do about others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.modalities.base import host_values

if TYPE_CHECKING:
    from zoo.likelihoods.base import InputKind

LEVELS, MOST_LEVELS = 255, 65535
"""The highest of 8-bit values, and of 16-bit ones."""
LEVEL_ERROR = 1e-3
"""How far rounding may take a value from its level, in levels."""
_WANTED = {"binary": "must be 0 or 1", "unit": "must be whole multiples of 1/255"}
_MENDED = {
    "binary": "draw them with torch.bernoulli(x), or round them with x.round()",
    "unit": "round them with (255 * x).round() / 255",
}


def check_intensities(x: Tensor, kind: InputKind, what: str) -> None:
    """Raise DataError, naming ``what`` they are, for values that a model of that kind cannot read.

    "real" values lie in [0, 1], "unit" ones are k / 255 but for rounding, "binary" ones 0 or 1.

    >>> check_intensities(torch.tensor([0.0, 128.0]), "real", "pixels")
    Traceback (most recent call last):
    zoo.errors.DataError: pixels must be in [0, 1], got 0 to 128; divide them by 255
    """
    if x.numel() == 0:
        return
    low, high, off = host_values(*x.aminmax(), _distance(x, kind).amax())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"{what} must be in [0, 1], got {low:.9g} to {high:.9g}; {_mend(low, high)}"
        )
    if off > _tolerance(x, kind):
        wrong = x.flatten()[_distance(x, kind).argmax()].item()
        raise DataError(f"{what} {_WANTED[kind]}, got {wrong:g}; {_MENDED[kind]}")


def _distance(x: Tensor, kind: InputKind) -> Tensor:
    """How far each value is from the nearest that the kind allows, in levels."""
    if kind == "real":
        return x.new_zeros(1)
    levels = x if kind == "binary" else x * LEVELS
    return (levels - levels.round()).abs()


def _tolerance(x: Tensor, kind: InputKind) -> float:
    """What rounding of x itself explains: nothing for 0 and 1, which all dtypes hold exactly."""
    return 0 if kind == "binary" else max(LEVEL_ERROR, LEVELS * torch.finfo(x.dtype).eps)


def _mend(low: float, high: float) -> str:
    """What brings values of that range into [0, 1], as far as that can be told."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "replace what is not finite"
    if low > -LEVEL_ERROR and high < 1 + LEVEL_ERROR:
        return "cut off what lies beyond with x.clamp(0, 1)"
    if low >= 0 and high <= MOST_LEVELS:
        return f"divide them by {LEVELS if high <= LEVELS else MOST_LEVELS}"
    return "map them with (x + 1) / 2" if low >= -1 and high <= 1 else "rescale them"
