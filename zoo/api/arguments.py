"""What callers pass where a plain number or word is meant: numpy's scalars, torch's devices."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from zoo.errors import ConfigError


def whole_number(option: str, value: object) -> int:
    """``value`` as an int, numpy's and torch's integers among them; ConfigError for no integer.

    >>> whole_number("seed", np.int64(3))
    3
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"{option} must be a whole number, got {value!r:.100}") from None


def seed_number(value: object) -> int:
    """``value`` as a seed that all generators take; ConfigError for another.

    >>> seed_number(np.int64(3))
    3
    """
    seed = whole_number("seed", value)
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed must be 0 to 2^63 - 1, got {seed}")
    return seed


def plain(value: Any) -> Any:
    """``value`` as a configuration file can hold it, whatever it is nested in.

    >>> plain({"seed": np.uint8(3), "device": torch.device("cpu"), "hidden": np.array([8, 8])})
    {'seed': 3, 'device': 'cpu', 'hidden': [8, 8]}
    """
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, torch.device):
        return str(value)
    return value.tolist() if isinstance(value, np.generic | np.ndarray | torch.Tensor) else value
