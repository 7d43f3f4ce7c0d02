"""Tables that depend on a dimension alone, made once for each dtype and device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])
Arrays = Sequence[NDArray[np.generic]]
_made: dict[tuple[Hashable, torch.dtype, torch.device], tuple[Tensor, ...]] = {}


def constants(
    key: Hashable, make: Callable[[], Arrays], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """What ``make()`` returns as tensors, the same ones at every call with this ``key``."""
    found = _made.get((key, dtype, device))
    if found is None:
        # What torch.func or inference mode would make could not be used outside of them.
        with (
            torch._C._DisableFuncTorch(),
            torch.inference_mode(False),
            torch.no_grad(),
            _untraced(),
        ):
            found = tuple(torch.tensor(each, dtype=dtype, device=device) for each in make())
        if type(found[0]) is Tensor:  # not the stand-in of a tracer, which would outlive its trace
            _made[key, dtype, device] = found
    return found


def _untraced() -> AbstractContextManager[Any]:
    """Numbers themselves and not a tracer's, as torch.export has them where nothing is marked."""
    if not torch.compiler.is_compiling():
        return nullcontext()
    from torch.utils._python_dispatch import _disable_current_modes  # a second, there already

    return _disable_current_modes()


def constant_in_graphs(function: Function) -> Function:
    """``torch.compiler.assume_constant_result``: a graph holds what the function returned.

    That one imports all of the compiler, 0.7 s, to set the attribute that is set here.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
