r"""The ratio of Bessel functions behind the von Mises-Fisher distribution, and its integrals.

For a sphere in R^m and a concentration k >= 0 let

    A(k) = I_{m/2}(k) / I_{m/2-1}(k)                        the length of the mean vector
    F(k) = int_0^k A(s) ds = log 0F1(m/2; k^2/4)            minus the log of C(k) / C(0)
    K(k) = k A(k) - F(k) = int_0^k s A'(s) ds               KL from the uniform distribution

Evaluating I itself overflows, underflows and cancels. Instead, with c = (m-1)/2, put

    x = k / (c + sqrt(c^2 + k^2)),    q = x^2 in [0, 1),    1 - q = 2c / (c + sqrt(c^2 + k^2))

x is the leading term of A for large m and for large k (Amos 1974). Write

    A = x (1 + alpha(q)),    A' = x'(k) (1 + beta(q)),    K = -c log(1 - q) + q rho(q).

The Riccati equation A' = 1 - A^2 - (m-1) A / k becomes one for alpha, regular on all of [0, 1]:

    beta = alpha + 2 q alpha' = -1 - 2c (1+q) (1 + q + q alpha) alpha / (1-q)^2

and (q rho)' = c beta / (1-q). Its solution alpha = -(1-q)^2 a(q) is smooth, so a few Chebyshev
coefficients, found once for each m by collocation, give all three for every k from 0 to infinity
to the last digits, as sums of terms of one sign or of very different size: nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.distributions.constants import constant_in_graphs, constants
from zoo.distributions.derivative import with_derivative

Array = NDArray[np.floating[Any]]
DEGREE = 96
"""Of the polynomials solved for. m = 2 needs 90 for float64, m = 3 about 50, m >= 10 at most 24."""


class Series(NamedTuple):
    """Chebyshev coefficients in 2q - 1, shape (n,), of one dtype and device."""

    a: Tensor
    half: Tensor  # (1 + beta) / 2
    rho: Tensor
    orders: Tensor  # 0, 2, 4, ...


class Point(NamedTuple):
    """A concentration in the coordinates above: x, r = 1 - x^2 = 1 - q, h = sqrt(c^2 + k^2)."""

    x: Tensor
    r: Tensor
    h: Tensor


def mean_resultant(k: Tensor, m: int) -> Tensor:
    """A(k), the length of the mean of a von Mises-Fisher vector in R^m; differentiable twice.

    >>> mean_resultant(torch.tensor([0.0, 1.0, 1e7]), 3)  # coth k - 1 / k
    tensor([0.0000, 0.3130, 1.0000])
    """
    with torch.no_grad():
        (x, r, _), (a, _, _, orders) = locate(k, m), series(m, k.dtype, k.device)
        value = x * (1 - r.square() * _sum(a, _cosines(x, r, orders)))
    return with_derivative(value, k, mean_resultant_derivative, m)


def mean_resultant_complement(k: Tensor, m: int) -> Tensor:
    """1 - A(k) without cancellation where A is close to 1; differentiable twice.

    >>> round(mean_resultant_complement(torch.tensor(1e7), 3).item() * 1e7, 4)
    1.0
    """
    with torch.no_grad():
        (x, r, _), (a, _, _, orders) = locate(k, m), series(m, k.dtype, k.device)
        value = r * (1 / (1 + x)).addcmul(x * r, _sum(a, _cosines(x, r, orders)))
    return with_derivative(value, k, _complement_derivative, m)


def mean_resultant_derivative(k: Tensor, m: int) -> Tensor:
    """A'(k) = 1 - A^2 - (m-1) A / k, the variance along the mean direction; differentiable."""
    point, (_, half, _, orders) = locate(k, m), series(m, k.dtype, k.device)
    return _slope(point, _sum(half, _cosines(point.x, point.r, orders)))


def kl_from_uniform(k: Tensor, m: int, point: Point | None = None) -> Tensor:
    """K(k) = k A(k) - F(k), in nats; differentiable twice. ``point`` is ``locate(k, m)``, if known.

    >>> kl_from_uniform(torch.tensor([0.0, 20.0]), 4)
    tensor([0.0000, 3.2584])
    """
    with torch.no_grad():
        point, (_, half, rho, orders) = point or locate(k, m), series(m, k.dtype, k.device)
        cosines = _cosines(point.x, point.r, orders)
        value = _kl(k, m, point, _sum(rho, cosines))
        slope = k * _slope(point, _sum(half, cosines)) if k.requires_grad else None
    return with_derivative(value, k, _kl_derivative, m, slope)


def log_growth(k: Tensor, m: int) -> Tensor:
    """F(k) = log 0F1(; m/2; k^2 / 4), so that the log-normaliser is -log S_m - F(k)."""
    with torch.no_grad():
        value = k * mean_resultant(k, m) - kl_from_uniform(k, m)
    return with_derivative(value, k, mean_resultant, m)


def log_peak(k: Tensor, m: int) -> Tensor:
    """-log S_m + k - F(k) = -log S_m + k (1 - A) + K, the log-density at the mean direction.

    As written here nothing cancels.
    """
    with torch.no_grad():
        growth = k * mean_resultant_complement(k, m) + kl_from_uniform(k, m)
        value = growth - log_surface_area(m)
    return with_derivative(value, k, mean_resultant_complement, m)


def log_surface_area(m: int) -> float:
    """log S_m, of the unit sphere in R^m: log 2 + m/2 log pi - log Gamma(m/2).

    >>> round(math.exp(log_surface_area(3)) / math.pi, 6)
    4.0
    """
    return math.log(2) + 0.5 * m * math.log(math.pi) - math.lgamma(0.5 * m)


def _complement_derivative(k: Tensor, m: int) -> Tensor:
    return -mean_resultant_derivative(k, m)


def _kl_derivative(k: Tensor, m: int) -> Tensor:
    return k * mean_resultant_derivative(k, m)


def _kl(k: Tensor, m: int, point: Point, rho: Tensor) -> Tensor:
    c, twice = _half_width(m, k.dtype, k.device)
    leading = (k * point.x).div_(twice).log1p_()
    return leading.mul_(c).addcmul(point.x * point.x, rho)


def _slope(point: Point, half: Tensor) -> Tensor:
    """A' = x' (1 + beta), with x' = r / (2 h)."""
    return point.r / point.h * half


def locate(k: Tensor, m: int) -> Point:
    """The coordinates of a concentration."""
    c, twice = _half_width(m, k.dtype, k.device)
    h = torch.hypot(k, c)
    width = h + c
    return Point(k / width, twice / width, h)


@constant_in_graphs
def _half_width(m: int, dtype: torch.dtype, device: torch.device) -> Sequence[Tensor]:
    """c and 2c as tensors: a Python number beside a small tensor doubles the time it takes."""
    return constants(("half", m), lambda: [np.array(0.5 * (m - 1)), np.array(m - 1)], dtype, device)


def _cosines(x: Tensor, r: Tensor, orders: Tensor) -> Tensor:
    """Chebyshev's T_n(2q - 1) = cos(n angle), x = cos(angle / 2), for orders 2n: (..., count)."""
    return torch.cos(torch.atan2(r.sqrt(), x).unsqueeze(-1) * orders)


def _sum(coefficients: Tensor, cosines: Tensor) -> Tensor:
    """The Chebyshev series."""
    return (cosines * coefficients).sum(-1)  # (...)


@constant_in_graphs
def series(m: int, dtype: torch.dtype, device: torch.device) -> Series:
    """The series of R^m, m >= 2, cut off where the dtype no longer sees the rest."""
    return Series(*constants(("series", m), lambda: _shortened(m, dtype), dtype, device))


def _shortened(m: int, dtype: torch.dtype) -> tuple[Array, ...]:
    """All of one length, so that one table of cosines serves them; zeros behind the shorter."""
    tolerance = max(torch.finfo(dtype).eps / 8, 1e-15)  # 1e-15: what the solver's rounding leaves
    a, beta, rho = _solve(m)
    scale = 0.5 * (m - 1)  # what rho is added to; the others are added to 1
    kept = _cut(a, tolerance), _cut(beta, tolerance), _cut(rho, tolerance * scale)
    count = max(map(len, kept))
    a, beta, rho = (np.pad(each, (0, count - len(each))) for each in kept)
    beta[0] += 1
    return a, 0.5 * beta, rho, np.arange(0.0, 2 * count, 2)


def _cut(coefficients: Array, tolerance: float) -> Array:
    rest = np.cumsum(np.abs(coefficients[::-1]))[::-1]
    return coefficients[: max(1, int((rest > tolerance).sum()))]


@lru_cache(maxsize=256)
def _solve(m: int) -> tuple[Array, Array, Array]:
    """Chebyshev coefficients of a, beta and rho, by Newton's method on the Riccati equation."""
    if m < 2:
        raise ValueError(f"a sphere needs an ambient dimension of at least 2, got {m}")
    c = 0.5 * (m - 1)
    q, derivative = _collocation(DEGREE)  # (n,), (n, n), n = DEGREE + 1
    a = 1 / (1 + 2 * c * (1 + q) ** 2)  # right at q = 0, and at q = 1 up to 1 / m
    for _ in range(20):
        residual, jacobian = _riccati(a, q, derivative, c)  # (n,), (n, n)
        step = np.linalg.solve(jacobian, residual)
        a = a - step
        if np.abs(step).max() < 1e-15:
            break
    r = 1 - q
    # beta / (1 - q), from beta = alpha + 2 q alpha' with one factor 1 - q taken out by hand.
    quotient: Array = (4 * q - r) * a - 2 * q * r * (derivative @ a)
    rho = np.linalg.solve(np.eye(len(q)) + q[:, None] * derivative, c * quotient)
    return _coefficients(a), _coefficients(r * quotient), _coefficients(rho)


def _riccati(a: Array, q: Array, derivative: Array, c: float) -> tuple[Array, Array]:
    """The residual 2 q alpha' + alpha + 1 - 2c (1+q) (1 + q + q alpha) a, and its Jacobian in a."""
    r = 1 - q
    alpha = -r * r * a
    slope = 2 * r * a - r * r * (derivative @ a)
    factor = 1 + q + q * alpha
    residual = 2 * q * slope + alpha + 1 - 2 * c * (1 + q) * factor * a
    diagonal = 4 * q * r - r * r - 2 * c * (1 + q) * (factor - q * r * r * a)
    return residual, np.diag(diagonal) - (2 * q * r * r)[:, None] * derivative


def _collocation(degree: int) -> tuple[Array, Array]:
    """Chebyshev points on [0, 1], from 1 down to 0, and the matrix that differentiates there."""
    j = np.arange(degree + 1)
    weight = np.where(j % 2, -1.0, 1.0) * np.where((j == 0) | (j == degree), 2.0, 1.0)
    total, difference = j[:, None] + j[None, :], j[None, :] - j[:, None]  # (n, n), n = degree + 1
    half = 0.5 * np.pi / degree
    gap = np.sin(half * total) * np.sin(half * difference)  # q_i - q_j without cancellation
    matrix = np.outer(weight, 1 / weight) / (gap + np.eye(degree + 1))  # (n, n)
    return 0.5 * (1 + np.cos(2 * half * j)), matrix - np.diag(matrix.sum(1))


def _coefficients(values: Array) -> Array:
    """From values at the Chebyshev points to coefficients."""
    degree = len(values) - 1
    angles = np.pi * np.arange(degree + 1) / degree
    ends = np.where((angles == 0) | (np.arange(degree + 1) == degree), 0.5, 1.0)
    coefficients: Array = (
        2 / degree * np.cos(np.outer(angles, np.arange(degree + 1))).T @ (ends * values)
    )
    return coefficients * ends
