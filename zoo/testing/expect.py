"""What checks say of tensors and of errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError


def expect(holds: object, otherwise: str) -> None:
    """Raise AssertionError, saying what is wrong, unless something holds."""
    if not holds:
        raise AssertionError(otherwise)


def same(a: Tensor, b: Tensor, what: str) -> None:
    """Two tensors are equal bit by bit."""
    expect(torch.equal(a, b), f"{what}: {_shown(a)} and {_shown(b)} differ")


def differ(a: Tensor, b: Tensor, what: str) -> None:
    """Two tensors are not equal."""
    expect(not torch.equal(a, b), f"{what}: both are {_shown(a)}")


def close(a: Tensor, b: Tensor, what: str, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Two tensors are equal but for rounding."""
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol, msg=lambda text: f"{what}: {text}")


def shaped(x: Tensor, shape: Sequence[int], what: str) -> None:
    """A tensor has a shape."""
    expect(tuple(x.shape) == tuple(shape), f"{what} is {tuple(x.shape)}, not {tuple(shape)}")


def agree(a: Tensor, b: Tensor, what: str) -> None:
    """The means over the first axis agree within five standard errors of their difference."""
    a, b = a.double(), b.double()
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    apart = (a.mean(0) - b.mean(0)).abs()
    said = f"{what}: means {_shown(a.mean(0))} and {_shown(b.mean(0))}, error {_shown(error)}"
    expect((apart <= 5 * error + 1e-4).all(), said)


def refused(
    ask: Callable[[], Any], kinds: type[ZooError] | tuple[type[ZooError], ...], says: str = ""
) -> None:
    """What is asked raises an error of these kinds, whose message has something in it."""
    try:
        ask()
    except kinds as error:
        expect(re.search(says, str(error)), f"the message {str(error)!r} should say {says!r}")
        return
    raise AssertionError(f"nothing was raised where {kinds} was to be, saying {says!r}")


def seed(value: int) -> torch.Generator:
    """Noise of its own."""
    return torch.Generator().manual_seed(value)


def _shown(x: Tensor) -> str:
    return f"{tuple(x.shape)} {x.flatten()[:4].tolist()}"
