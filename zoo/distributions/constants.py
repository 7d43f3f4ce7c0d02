"""Tables that depend on a dimension alone, made once for each dtype and device."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])
_made: dict[tuple[Hashable, torch.dtype, torch.device], Tensor] = {}


def constant(
    key: Hashable, values: NDArray[np.floating[Any]], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """``values`` as a tensor, the same one at every call with this ``key``."""
    found = _made.get((key, dtype, device))
    if found is None:
        with torch.inference_mode(False):  # an inference tensor could not be used with gradients
            found = torch.tensor(values, dtype=dtype, device=device)
        if type(found) is Tensor:  # not the stand-in of a tracer, which would outlive its trace
            _made[key, dtype, device] = found
    return found


def constant_in_graphs(function: Function) -> Function:
    """``torch.compiler.assume_constant_result``: a graph holds what the function returned.

    That one imports all of the compiler, 0.7 s, to set the attribute that is set here.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
