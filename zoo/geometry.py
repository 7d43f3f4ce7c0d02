"""Paths through latent space: straight ones for flat codes, great circles for unit vectors.

A path has one code for each step on a new first axis; decode it to see a morph, for example
``model.decode(path.flatten(0, -2))``. Everything is differentiable in the codes.
"""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from zoo.distributions.sphere import sphere
from zoo.errors import UnsupportedError

MOST_STEPS = 2**31 - 1
"""More than any memory holds; beyond 2^63 torch cannot even count them."""


def linear_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """start + t (end - start), t = 0 ... 1 in ``steps`` equal steps: (steps, ..., D).

    ``start`` and ``end`` (..., D) broadcast and are the first and the last code exactly. Raises
    UnsupportedError for fewer than 2 steps.

    >>> linear_path(torch.zeros(2), torch.tensor([1.0, 2.0]), 3)
    tensor([[0.0000, 0.0000],
            [0.5000, 1.0000],
            [1.0000, 2.0000]])
    """
    _check_steps(steps)
    start, end = _broadcast(start, end)
    return torch.lerp(start, end, _on_new_axis(_fractions(steps, start), start))


def geodesic_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """The shortest great circle from ``start`` to ``end`` at constant speed: (steps, ..., m).

    With w the angle between the unit vectors ``start`` and ``end`` (..., m), which broadcast,

        sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end,    t = 0 ... 1,

    accurately also for nearly equal vectors, and with the first and the last code exact. Raises
    UnsupportedError for fewer than 2 steps, vectors not of unit length, and opposite vectors,
    between which all great circles are equally long.

    >>> geodesic_path(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)
    tensor([[1.0000, 0.0000],
            [0.7071, 0.7071],
            [0.0000, 1.0000]])
    """
    _check_steps(steps)
    start, end = _broadcast(start, end)
    _check_unit(start, "start")
    _check_unit(end, "end")
    inner = _on_new_axis(2 * _fractions(steps, start)[1:-1] - 1, start)  # (steps - 2, 1, ..., 1)
    return torch.cat([start.unsqueeze(0), _around_middle(start, end, inner), end.unsqueeze(0)])


def straight_line(code: Tensor, direction: Tensor, distances: Tensor) -> Tensor:
    """code + s direction / |direction| for each s of ``distances`` (A,): (A, ..., D).

    Raises UnsupportedError for a direction of zeros.

    >>> straight_line(torch.zeros(2), torch.tensor([3.0, 4.0]), torch.tensor([0.0, 5.0]))
    tensor([[0., 0.],
            [3., 4.]])
    """
    code, direction = _broadcast(code, direction)
    _check_amounts(distances)
    length = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)  # (..., 1)
    if bool((length == 0).any()):
        raise UnsupportedError("a direction is zero, so that it points nowhere")
    line: Tensor = code + _on_new_axis(distances.to(code.dtype), code) * (direction / length)
    return line


def great_circle(code: Tensor, direction: Tensor, angles: Tensor) -> Tensor:
    """The codes at ``angles`` from ``code`` on the great circle that leaves it along ``direction``.

    With u the part of ``direction`` (..., m) orthogonal to the unit vector ``code`` (..., m),

        cos(a) code + sin(a) u / |u|    for each a of ``angles`` (A,), in radians: (A, ..., m).

    Raises UnsupportedError when ``code`` is not of unit length, or ``direction`` is zero or
    parallel to it.

    >>> north, east = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0])
    >>> great_circle(north, east, torch.tensor([0.0, torch.pi / 6]))
    tensor([[0.0000, 1.0000],
            [0.5000, 0.8660]])
    """
    code, direction = _broadcast(code, direction)
    _check_unit(code, "code")
    _check_amounts(angles)
    tangent = _orthogonal(_orthogonal(direction, code), code)  # the second removes rounding
    length: Tensor = torch.linalg.vector_norm(tangent, dim=-1, keepdim=True)  # (..., 1)
    whole = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    if bool((length <= _tolerance(code) * whole).any()):
        raise UnsupportedError(
            "a direction is zero or parallel to its code, so that it points nowhere on the "
            "sphere; choose one with a part orthogonal to the code"
        )
    angle = _on_new_axis(angles.to(code.dtype), code)  # (A, 1, ..., 1)
    return angle.cos() * code + angle.sin() * (tangent / length)


def _around_middle(start: Tensor, end: Tensor, position: Tensor) -> Tensor:
    """cos(p w/2) middle + sin(p w/2) across at each ``position`` p from -1 (start) to 1 (end).

    ``middle`` and ``across`` are the unit vectors along start + end and end - start. At equal
    vectors ``across`` does not exist, but sin(p w/2) / |end - start| tends to p/2.
    """
    total, difference = start + end, end - start
    width: Tensor = torch.linalg.vector_norm(total, dim=-1, keepdim=True)  # (..., 1)
    if bool((width <= _tolerance(start)).any()):
        raise UnsupportedError(
            "start and end are opposite, so that no shortest path is unique; go by way of a third "
            "code, or choose the plane with great_circle"
        )
    square = difference.square().sum(-1, keepdim=True)  # (..., 1)
    # At least rounding: a square root has no derivative at 0.
    gap = square.clamp_min(torch.finfo(start.dtype).eps ** 2).sqrt()
    angle = position * torch.atan2(gap, width)  # (steps - 2, ..., 1)
    return angle.cos() * (total / width) + (angle.sin() / gap) * difference


def _orthogonal(vector: Tensor, code: Tensor) -> Tensor:
    along = (vector * code).sum(-1, keepdim=True) / code.square().sum(-1, keepdim=True)  # (..., 1)
    return vector - along * code


def _check_amounts(amounts: Tensor) -> None:
    if not isinstance(amounts, Tensor) or amounts.ndim != 1:
        shape = tuple(amounts.shape) if isinstance(amounts, Tensor) else type(amounts).__name__
        raise UnsupportedError(f"distances or angles must be a tensor of shape (A,), got {shape}")


def _fractions(steps: int, like: Tensor) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=like.dtype, device=like.device)


def _on_new_axis(values: Tensor, code: Tensor) -> Tensor:
    """From (S,) to (S, 1, ..., 1), one axis more than ``code``."""
    return values.reshape(-1, *(1 for _ in code.shape))


def _tolerance(code: Tensor) -> float:
    """Sines below which a direction has lost half of its digits to rounding."""
    return float(torch.finfo(code.dtype).eps ** 0.5)


def _broadcast(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if not (first.is_floating_point() and first.dtype == second.dtype):
        raise UnsupportedError(
            f"codes must be floating-point and of one dtype, got {first.dtype} and {second.dtype}"
        )
    if not first.ndim or not second.ndim or first.shape[-1] != second.shape[-1]:
        raise UnsupportedError(
            "codes must have the same width on their last axis, got shapes "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    shape = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
    return first.expand(shape), second.expand(shape)


def _check_steps(steps: int) -> None:
    is_whole = isinstance(steps, Integral) and not isinstance(steps, bool)
    if not is_whole or not 2 <= steps <= MOST_STEPS:
        raise UnsupportedError(
            f"a path has at least 2 steps, its ends, and at most {MOST_STEPS:,}, got {steps!r:.100}"
        )


def _check_unit(code: Tensor, name: str) -> None:
    if not bool(sphere.check(code).all()):
        raise UnsupportedError(
            f"{name} must hold unit vectors; divide them by their length with "
            "torch.nn.functional.normalize(codes, dim=-1), or use linear_path for flat codes"
        )
