"""What is asked of numbers, temperatures, groups and codes, with messages that say how to mend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from zoo.errors import DataError, UnsupportedError

MOST_DRAWS = 2**31 - 1
"""More than any memory holds; beyond 2^63 torch cannot even count them."""


def is_count(n: object, least: int) -> bool:
    """Whether it is a whole number of draws, at least so many."""
    is_whole = isinstance(n, Integral) and not isinstance(n, bool)
    return is_whole and least <= n <= MOST_DRAWS  # type: ignore[operator]


def check_samples(samples: object) -> None:
    """Raise UnsupportedError for what is no number of draws of each example."""
    if not is_count(samples, 1):
        raise UnsupportedError(
            f"samples must be a whole number of at least 1 and at most {MOST_DRAWS:,}, "
            f"got {samples!r:.100}"
        )


def check_generator(generator: object) -> None:
    """Raise UnsupportedError for what draws no noise."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise UnsupportedError(
            f"generator must be a torch.Generator or None, got {described(generator)}; "
            "torch.Generator().manual_seed(0) is one"
        )


def check_inference(samples: int, given: Tensor | None, examples: int, dim: int) -> None:
    """Raise UnsupportedError for no number of draws, and for codes other than (S, B, D)."""
    if given is None:
        check_samples(samples)
    elif not isinstance(given, Tensor) or given.ndim != 3 or given.shape[1:] != (examples, dim):
        raise UnsupportedError(
            f"give codes (draws, {examples}, {dim}), some of each example, got {described(given)}"
        )


def check_draws(n: int) -> None:
    """Raise UnsupportedError for what is no number of draws.

    >>> check_draws(-1)
    Traceback (most recent call last):
    zoo.errors.UnsupportedError: the number of draws must be a whole one of at least 0...
    """
    if not is_count(n, 0):
        raise UnsupportedError(
            f"the number of draws must be a whole one of at least 0 and at most {MOST_DRAWS:,}, "
            f"got {n!r:.100}"
        )


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


def check_rows(given: object, dim: int) -> None:
    """Raise UnsupportedError for what are no codes (B, D)."""
    check_codes(given, dim)
    if isinstance(given, Tensor) and given.ndim != 2:
        raise UnsupportedError(f"give codes (B, {dim}), one as code[None], got {described(given)}")


def check_codes(given: object, dim: int | None = None) -> None:
    """Raise UnsupportedError for what are no codes (..., D), of any D where none is said."""
    if not isinstance(given, Tensor) or not given.ndim or dim not in (None, given.shape[-1]):
        raise UnsupportedError(
            f"give codes (..., {dim or 'D'}), got {described(given)}; encode(x) makes them of "
            "examples"
        )
    if not given.is_floating_point():
        raise UnsupportedError(f"codes are floats, got {described(given)}; give codes.float()")


def check_place(x: Tensor, weight: Tensor | None) -> None:
    """Raise DataError for examples on another device than the model's weights."""
    if weight is not None and x.device != weight.device:
        raise DataError(
            f"the examples are on {x.device}, the model is on {weight.device}; move them there, as "
            f"in x.to({str(weight.device)!r})"
        )


def check_observed(observed: object, x: Tensor) -> None:
    """Raise DataError for what does not say of each value of x whether it is there."""
    is_mask = isinstance(observed, Tensor) and observed.dtype == torch.bool
    if not is_mask or observed.shape != x.shape:  # type: ignore[attr-defined]
        raise DataError(
            f"observed must be boolean of shape {tuple(x.shape)}, False where a value is missing; "
            f"got {described(observed)}"
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
