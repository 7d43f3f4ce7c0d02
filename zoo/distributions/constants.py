"""Tables that depend on a dimension alone, made once for each dtype and device."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
