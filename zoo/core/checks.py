"""What is asked of numbers, temperatures, groups and codes, with messages that say how to mend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

from torch import Tensor

from zoo.errors import UnsupportedError


def check_draws(n: int, temperature: float = 1.0) -> None:
    """Raise UnsupportedError for what is no number of draws, and for what is no temperature.

    >>> check_draws(-1)
    Traceback (most recent call last):
    zoo.errors.UnsupportedError: the number of draws must be a whole one of at least 0, got -1
    """
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 0:
        raise UnsupportedError(f"the number of draws must be a whole one of at least 0, got {n!r}")
    for each in temperature if isinstance(temperature, Sequence) else [temperature]:
        check_temperature(each)


def check_temperature(temperature: float) -> None:
    """Raise UnsupportedError for what no standard deviation can be scaled by."""
    if not isinstance(temperature, Real) or not 0 <= temperature < math.inf:
        raise UnsupportedError(f"a temperature must be a number of at least 0, got {temperature!r}")


def check_groups(groups: Sequence[int], count: int) -> None:
    """Raise UnsupportedError for what are no latent groups of a model of ``count``."""
    known = range(count)
    if not isinstance(groups, Sequence) or any(group not in known for group in groups):
        raise UnsupportedError(
            f"give a list of groups of latents, numbered 0 to {known[-1]}, got {groups!r}"
        )


def check_codes(given: object, dim: int) -> None:
    """Raise UnsupportedError for what are no codes (..., D)."""
    if not isinstance(given, Tensor) or not given.ndim or given.shape[-1] != dim:
        raise UnsupportedError(
            f"give codes (..., {dim}), got {described(given)}; encode(x) makes them of examples"
        )


def described(x: object) -> str:
    """What was given where a tensor is expected, as messages say it.

    >>> import torch
    >>> described(torch.zeros(2, 3)), described([0.5])
    ('torch.float32 of shape (2, 3)', 'list')
    """
    if isinstance(x, Tensor):
        return f"{x.dtype} of shape {tuple(x.shape)}"
    return type(x).__name__
