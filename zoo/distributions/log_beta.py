r"""What the power spherical distribution's densities and divergences are made of.

t = (1 + mu.z) / 2, the squared cosine of half the angle to mu, is Beta(c + k, c), and Beta(c, c)
for uniform z, with the concentration k and c = (m-1)/2. Of log t follow

    K = int_0^k s V(s) ds             KL from the uniform distribution
    U = int_0^k (k - s) V(s) ds       KL of the uniform distribution from it
    D = psi(2c+k) - psi(c+k)          -E[log t]; U' = D(0) - D
    V = psi'(c+k) - psi'(2c+k)        the variance of log t; K' = k V and D' = -V

and R = log Gamma(2c+k) Gamma(c) / (Gamma(c+k) Gamma(2c)) = K + k D, with R' = D.

As written, all of these cancel for large arguments, and K and U also for small k. Each is a sum
over j = 0, 1, ... instead, whose terms are positive:

    K = sum G(c+j) - G(2c+j),    G(b) = log(1 + k/b) - k/(b+k)
    U = sum H(c+j) - H(2c+j),    H(b) = k/b - log(1 + k/b)
    D = sum 1/(c+k+j) - 1/(2c+k+j),    V = sum 1/(c+k+j)^2 - 1/(2c+k+j)^2

The first few terms are added one by one, the others by the Euler-Maclaurin formula, with its
integral and corrections rewritten so that no two nearly equal numbers are subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.distributions.derivative import with_derivative

# B_2, B_4, ..., and the argument from which eight terms give double precision.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
ASYMPTOTIC = 10.0


def kl_from_uniform(k: Tensor, m: int) -> Tensor:
    """K, in nats; differentiable any number of times."""
    with torch.no_grad():
        value = _divergence(k, m)
    return with_derivative(value, k, _divergence_slope, m)


def kl_of_uniform(k: Tensor, m: int) -> Tensor:
    """U, in nats; differentiable any number of times."""
    with torch.no_grad():
        value = _reverse_divergence(k, m)
    return with_derivative(value, k, _reverse_slope, m)


def log_growth(k: Tensor, m: int) -> Tensor:
    """R, differentiable any number of times."""
    with torch.no_grad():
        value = _divergence(k, m) + k * log_mean(k, m)
    return with_derivative(value, k, log_mean, m)


def log_mean(k: Tensor, m: int) -> Tensor:
    """D = -E[log t]; differentiable any number of times."""
    c, n = 0.5 * (m - 1), _first_terms(m)
    near = k + (c + n)
    far = near + c
    mean = torch.log1p(c / near) + 0.5 * c / near / far
    for order, b in enumerate(BERNOULLI, start=1):
        mean = mean + b / (2 * order) * (near ** (-2 * order) - far ** (-2 * order))
    if n == 0:
        return mean
    base = k.unsqueeze(-1) + (c + torch.arange(n, dtype=k.dtype, device=k.device))  # (..., n)
    return mean + (c / base / (base + c)).sum(-1)


def _divergence_slope(k: Tensor, m: int) -> Tensor:
    return k * _log_variance(k, m)


def _reverse_slope(k: Tensor, m: int) -> Tensor:
    """D(0) - D(k), which would cancel, as (U + K) / k."""
    with torch.no_grad():
        total = _reverse_divergence(k, m) + _divergence(k, m)
        value = total / k.clamp_min(torch.finfo(k.dtype).tiny)
    return with_derivative(value, k, _log_variance, m)


def _divergence(k: Tensor, m: int) -> Tensor:
    """K: the integral of G from c + n to 2c + n is c G(2c+n) + (c+n) excess(delta)."""
    c, n = 0.5 * (m - 1), _first_terms(m)
    near, far = c + n, 2 * c + n
    g_near, g_far = _term(k / near), _term(k / far)
    delta = k * c / (near * (far + k))
    tail = c * g_far + near * _excess(delta) + 0.5 * (g_near - g_far)
    tail = tail + _correction(k, near) - _correction(k, far)
    if n == 0:
        return tail
    return _first_sum(_term, k, c, n) + tail


def _reverse_divergence(k: Tensor, m: int) -> Tensor:
    """U: the integral of H from c + n to 2c + n, with delta as in :func:`_divergence`."""
    c, n = 0.5 * (m - 1), _first_terms(m)
    near, far = c + n, 2 * c + n
    h_far = _reverse_term(k / far)
    delta = k * c / (near * (far + k))
    tail = k * c / far * delta + c * h_far - (near + k) * _excess(delta)
    tail = tail + 0.5 * (_reverse_term(k / near) - h_far)
    tail = tail + _reverse_correction(k, near) - _reverse_correction(k, far)
    if n == 0:
        return tail
    return _first_sum(_reverse_term, k, c, n) + tail


def _first_sum(term: Callable[[Tensor], Tensor], k: Tensor, c: float, n: int) -> Tensor:
    """The first n terms at c + j, less those at 2c + j, in the shape of k."""
    base = c + torch.arange(n, dtype=k.dtype, device=k.device)  # (n,)
    first = k.unsqueeze(-1)  # (..., 1)
    return (term(first / base) - term(first / (base + c))).sum(-1)


def _log_variance(k: Tensor, m: int) -> Tensor:
    """V."""
    c, n = 0.5 * (m - 1), _first_terms(m)
    near = k + (c + n)
    far = near + c
    ratio = c / near / far
    variance = ratio * (1 + 0.5 * (1 / near + 1 / far))
    for order, b in enumerate(BERNOULLI, start=1):
        power = -(2 * order + 1)
        variance = variance + b * (near**power - far**power)
    if n == 0:
        return variance
    base = k.unsqueeze(-1) + (c + torch.arange(n, dtype=k.dtype, device=k.device))  # (..., n)
    return variance + (c / base / (base + c) * (1 / base + 1 / (base + c))).sum(-1)


def _first_terms(m: int) -> int:
    """How many terms of the sums are added one by one, so that the rest is asymptotic."""
    return max(0, math.ceil(ASYMPTOTIC - 0.5 * (m - 1)))


def _term(a: Tensor) -> Tensor:
    """log(1 + a) - a / (1 + a), about a^2 / 2 for small a."""
    share = a / (1 + a)
    return torch.where(a < 1, _excess(-share), torch.log1p(a) - share)


def _reverse_term(a: Tensor) -> Tensor:
    """a - log(1 + a), about a^2 / 2 for small a."""
    return torch.where(a < 1, _excess(a.clamp(max=1)), a - torch.log1p(a))


def _excess(x: Tensor) -> Tensor:
    """x - log(1 + x), about x^2 / 2, for x from -1/2 to 1: log(1 + x) = 2 artanh r."""
    r = x / (2 + x)
    square = r.square()
    series = torch.zeros_like(r)
    for power in range(35, 1, -2):
        series = series * square + 1 / power
    return r * x - 2 * r * square * series


def _correction(k: Tensor, b: float) -> Tensor:
    """Minus the sum over p = 2, 4, ... of B_p / p! times the derivative p - 1 of G at b.

    With r = b / (b + k) that derivative is -(p-2)! b^(1-p) (1 - p r^(p-1) + (p-1) r^p), and the
    last factor is (1 - r)^2 (1 + 2r + ... + (p-1) r^(p-2)).
    """
    r = b / (b + k)
    polynomial, total = torch.zeros_like(r), torch.zeros_like(r)
    power = torch.ones_like(r)
    for order, bernoulli in enumerate(BERNOULLI, start=1):
        p = 2 * order
        if order > 1:
            polynomial = polynomial + (p - 2) * power
            power = power * r
        polynomial = polynomial + (p - 1) * power
        power = power * r
        total = total + bernoulli / (p * (p - 1)) * b ** (1 - p) * polynomial
    return (k / (b + k)).square() * total


def _reverse_correction(k: Tensor, b: float) -> Tensor:
    """The same of H: the derivative is -(p-2)! b^(1-p) ((p-1) (1-r) / r + r^(p-1) - 1).

    The last factor is (1 - r)^2 / r (p-1 + (p-2) r + ... + r^(p-2)).
    """
    r = b / (b + k)
    polynomial, total = torch.zeros_like(r), torch.zeros_like(r)
    partial, power = torch.zeros_like(r), torch.ones_like(r)
    for p in range(2, 2 * len(BERNOULLI) + 1):
        partial, power = partial + power, power * r
        polynomial = polynomial + partial
        if p % 2 == 0:
            total = total + BERNOULLI[p // 2 - 1] / (p * (p - 1)) * b ** (1 - p) * polynomial
    return k.square() / (b * (b + k)) * total
