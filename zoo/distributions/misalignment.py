r"""What E[log t] of a power spherical distribution loses around another direction.

For z with density ~ (1 + mu.z)^k on the sphere of R^m, c = (m-1)/2, and a direction nu at the angle
omega to mu, let t = (1 + mu.z) / 2, s = (1 + nu.z) / 2, g = sin^2(omega/2) and y = 1 - g. Then

    E[s^r] = B(c+k, c+r) / B(c+k, c) 2F1(-k, -r; c; y)

(both sides have the Gegenbauer coefficients (-1)^n (-k)_n / (2c+k)_n times those of r, by
Funk-Hecke). Its derivative by r at 0 is

    E[log s] = psi(c) - psi(2c+k) - sum_{n>=1} (-k)_n / (n (c)_n) y^n.

The sum, at y = 1 less at y, is an integral of a positive function of the odds a, which is all that
there is to compute. Nothing cancels in it, and it is finite for every angle:

    T = E[log t] - E[log s] = int_0^inf ((1 + g a)^k - 1) / (1 + a)^(c+k) da/a

In log a the integrand is analytic within pi/2 of the real axis, so that equal steps h leave a
relative error of about exp(-pi^2 / h). To the left it vanishes as a power of a; log a = u - exp(-u)
makes that doubly exponential. Derived here; De Cao & Aziz (2020, arXiv:2006.04437) leave it to
draws.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEP = 0.3
"""Of log a: an error of 1e-14 before rounding."""
LARGEST = 1e7
"""Concentration up to which steps are as short as that. They grow with the logarithm of larger
ones: an error of 1e-7 at 1e12, of 1e-4 at 1e20."""


def misalignment(k: Tensor, sine: Tensor, cosine: Tensor, m: int) -> Tensor:
    """T >= 0, of squares g and y of the ``sine`` and ``cosine`` of half the angle, 0 for g = 0.

    All have shape (...) or broadcast to it. Differentiable any number of times. In double precision
    right to 1e-13 of its value or to 1e-17, whichever is more, for concentrations up to 1e7.

    >>> half = torch.tensor(0.5)  # at m = 3 and k = 1, T = g
    >>> misalignment(torch.tensor(1.0), half, half, 3)
    tensor(0.5000)
    """
    c = 0.5 * (m - 1)
    odds, weight = _nodes(k, c)  # (..., N)
    k, sine, cosine = (each.unsqueeze(-1) for each in (k, sine, cosine))  # (..., 1) each
    ratio = torch.log1p(cosine * odds / (1 + sine * odds))  # log (1 + a) / (1 + g a)
    decay = torch.exp(-k * ratio - c * torch.log1p(odds))
    return -(weight * decay * torch.expm1(-k * torch.log1p(sine * odds))).sum(-1)


@torch.no_grad()
def _nodes(k: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """The odds a and their weights da/a, (..., N), N the same for every k.

    The integrand rises until a is about 1 / (k + c), and is below rounding where (1 + a)^c is its
    inverse.
    """
    digits = 3 - math.log(torch.finfo(k.dtype).eps)
    left, right = math.log(digits), _log_expm1(digits / c)
    count = math.ceil((left + right + math.log(LARGEST + c)) / STEP)
    rise = (k + c).log().neg().unsqueeze(-1)  # (..., 1)
    step = (left + right - rise) / count
    u = step * torch.arange(count + 1, dtype=k.dtype, device=k.device) - left  # (..., N)
    steep = u.neg().exp()
    return (rise + u - steep).exp(), step * (1 + steep)


def _log_expm1(x: float) -> float:
    return x + math.log(-math.expm1(-x))
