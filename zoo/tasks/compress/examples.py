"""Examples as symbols, and back to the very numbers that were given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.core.checks import described
from zoo.core.model import LatentVariableModel
from zoo.errors import DataError
from zoo.likelihoods.base import HIGHEST

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool,
        torch.uint8,
        torch.int64,
        torch.float16,
        torch.float32,
        torch.float64,
    )
}


def symbols_of(model: LatentVariableModel, x: object) -> Tensor:
    """The symbols (N, *shape), uint8, of examples: floats, or the symbols themselves.

    Raises DataError for what the model cannot read, and where :func:`examples_of` would not give
    back exactly what was given.
    """
    x = _tensor(x)
    shape, highest = model.modality.shape, HIGHEST[model.input_kind]
    if x.dtype not in DTYPES.values() or tuple(x.shape[1:]) != shape or not x.ndim:
        raise DataError(
            f"expected examples (N, {', '.join(map(str, shape))}) of type {', '.join(DTYPES)}, "
            f"got {described(x)}"
        )
    if x.is_floating_point():
        model.modality.check_values(x, model.input_kind)
        symbols = (x.double() * highest).round().to(torch.uint8)
    else:
        symbols = x.to(torch.uint8)
    differs = (examples_of(model, symbols, x.dtype) != x) | (symbols > highest)
    if differs.any():
        mend = "x > 127" if highest == 1 else "x as uint8"
        raise DataError(
            f"a value of {x[differs][0].item()!r} would not come back as it is; allowed are whole "
            f"numbers from 0 to {highest}, and floats that are these divided by {highest}: give "
            f"{mend}"
        )
    return symbols.contiguous()


def examples_of(model: LatentVariableModel, symbols: Tensor, dtype: torch.dtype) -> Tensor:
    """What the symbols stand for, in that type."""
    if not dtype.is_floating_point:
        return symbols.to(dtype)
    return symbols.to(dtype) / HIGHEST[model.input_kind]


def _tensor(x: object) -> Tensor:
    if isinstance(x, Tensor):
        return x.detach().cpu()
    if isinstance(x, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(x))
        except (TypeError, ValueError) as error:
            raise DataError(f"expected numbers, got an array {x.dtype}: {error}") from error
    raise DataError(f"expected a tensor or an array of examples, got {described(x)}")
