r"""Draws of w = mu.z for the von Mises-Fisher distribution, as the gap 1 - w.

The density of w on [-1, 1] is p(w) ~ exp(k w) (1 - w^2)^((m-3)/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.distributions.bessel_ratio import Point, locate
from zoo.distributions.constants import constant_in_graphs, constants
from zoo.distributions.derivative import is_transformed
from zoo.distributions.noise import standard_normal, uniform

Array = NDArray[np.float64]
ROUNDS = 40
"""Of proposals where one cannot look: each is taken with probability 0.656 at least (m = 2 and
large k), so that less than one draw in 10^18 is left without, and takes its last proposal."""
CHUNK = 4096
"""Proposals drawn at a time where one can look."""


def draw_polar(
    k: Tensor, m: int, generator: torch.Generator | None = None, point: Point | None = None
) -> Tensor:
    """Exact draws of 1 - w, one for each concentration ``k`` (any shape).

    ``point`` is ``locate(k, m)``, where it is known, or of the last axes along which k differs.
    """
    if m == 3:
        return _draw_on_s2(k, generator)
    x, r, _ = point or locate(k, m)
    if k.ndim == 1 and x.shape == k.shape:
        return _draw_vector(x, r, m, generator)
    x, r = (each.expand(k.shape).reshape(-1) for each in (x, r))  # (B,) each
    return _draw_vector(x, r, m, generator).view(k.shape)


def _draw_vector(x: Tensor, r: Tensor, m: int, generator: torch.Generator | None) -> Tensor:
    draw = _draw_until_accepted if _may_branch(x) else _draw_fixed_rounds
    return draw(x, r, m, generator)


def _may_branch(k: Tensor) -> bool:
    """Whether what is done may depend on the numbers: not in a graph or under torch.vmap."""
    return k.device.type == "cpu" and not is_transformed()


def _draw_on_s2(k: Tensor, generator: torch.Generator | None) -> Tensor:
    """m = 3: p(w) ~ exp(k w), whose quantiles have a closed form."""
    k = k.clamp_min(1e-30)
    u = uniform(k.shape, k.dtype, k.device, generator)
    return -torch.log1p(u * torch.expm1(-2 * k)) / k


def _propose(
    x: Tensor, r: Tensor, m: int, rounds: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    r"""``rounds`` proposals of 1 - w for each (B,), and whether each is rejected: (R, B) both.

    e is a coordinate of a uniform vector on the sphere (Ulrich 1984), w = (x + e) / (1 + x e) its
    image under the Moebius map that takes the centre to x. With t = x e the ratio of densities,
    at most 1, is exp((m-1) (t / (1+t) - log(1+t))): Wood's (1994) sampler, without cancellation.
    """
    shape = torch.Size([3, rounds, *x.shape])
    phase, u, v = uniform(shape, x.dtype, x.device, generator)  # (R, B) each
    step = 0.5 * torch.finfo(x.dtype).eps  # of random numbers, and of those just below 1
    one, two_pi, exponent, factor = _numbers(m, x.dtype, x.device)
    if m == 2:
        gap = phase.mul_(math.pi).sin_().square().mul_(2)  # 1 - cos would cancel
        e = one - gap
    else:
        radius = u.log_().mul_(exponent).expm1_().neg_().sqrt_()
        e = phase.mul_(two_pi).cos_().mul_(radius)
        gap = one - e
    t = (x * e).clamp(min=step - 1)  # at -1, which x rounded to 1 leads to, the ratio is nan
    one_plus_t = t + one
    log_ratio = (t / one_plus_t).sub_(t.log1p_()).mul_(factor)
    # A v of 0 would accept what is never to be. For a concentration of nan all is accepted.
    rejected = log_ratio < v.clamp(min=step).log_()
    gap = (r / (x + one) * gap).div_(one_plus_t)
    return gap.clamp(max=2), rejected


@constant_in_graphs
def _numbers(m: int, dtype: torch.dtype, device: torch.device) -> Sequence[Tensor]:
    """1, 2 pi, 2 / (m-2) and m - 1 as tensors, see bessel_ratio."""
    numbers = 1, 2 * math.pi, 2 / max(m - 2, 1), m - 1
    return constants(("polar", m), lambda: [np.array(each) for each in numbers], dtype, device)


def _draw_fixed_rounds(x: Tensor, r: Tensor, m: int, generator: torch.Generator | None) -> Tensor:
    """The first accepted of a fixed number of proposals: the host never waits for the device."""
    proposed, rejected = _propose(x, r, m, ROUNDS, generator)
    rejected[-1] = False
    return _first_accepted(proposed, rejected)[0]


def _draw_until_accepted(x: Tensor, r: Tensor, m: int, generator: torch.Generator | None) -> Tensor:
    """A few proposals at a time, for those still without."""
    gap, pending = _first_accepted(*_propose(x, r, m, _rounds(len(x)), generator))
    while pending.any():
        remaining = pending.nonzero().squeeze(-1)
        proposals = _propose(x[remaining], r[remaining], m, _rounds(len(remaining)), generator)
        gap[remaining], pending[remaining] = _first_accepted(*proposals)
    return gap


def _rounds(count: int) -> int:
    return min(8, max(1, CHUNK // max(1, count)))


def _first_accepted(proposed: Tensor, rejected: Tensor) -> tuple[Tensor, Tensor]:
    """Of the rows of (R, B) the first not rejected in each column, and whether there is none."""
    if len(proposed) == 1:
        return proposed[0], rejected[0]
    pending, index = rejected.min(0)  # (B,) each
    return proposed.gather(0, index.unsqueeze(0)).squeeze(0), pending  # (B,) each


TABLE_RANGE = 8.0
"""Of the table below, in standard deviations of a normal variate: 1e-15 lies beyond."""
TABLE_CELLS = 4096


def draw_tabulated(table: Tensor, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Draws of 1 - w from a table made by :func:`angle_table`: one lookup, no rejection."""
    normal = standard_normal(shape, table.dtype, table.device, generator)
    cells = len(table) - 1
    position = ((normal + TABLE_RANGE) * (0.5 * cells / TABLE_RANGE)).clamp(0, cells)
    index = position.long().clamp_max(cells - 1)
    angle = torch.lerp(table[index], table[index + 1], position - index)
    return 2 * torch.sin(0.5 * angle).square()


@constant_in_graphs
def angle_table(k: float, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The angle arccos w as a function of a standard normal variate, at equal steps.

    That function, Q(Phi(g)) with Q the quantiles, is smooth and close to linear: interpolating
    linearly between the (CELLS + 1,) entries changes no probability by more than 1e-6 (1e-4 at
    m = 2).
    """
    return constants(("angles", k, m), lambda: [_angle_table(k, m)], dtype, device)[0]


@lru_cache(maxsize=64)
def _angle_table(k: float, m: int) -> Array:
    return angle_at(np.linspace(-TABLE_RANGE, TABLE_RANGE, TABLE_CELLS + 1), k, m, points=2**17)


def angle_at(normal: Array, k: float, m: int, points: int = 2**12) -> Array:
    """The angles whose probability is that of standard ``normal`` variates, for one k."""
    angle = _support(k, m, points)  # (points + 1,)
    middle = 0.5 * (angle[1:] + angle[:-1])
    logs = np.stack([_log_density(each, k, m) for each in (angle[:-1], middle, angle[1:])])
    mass = np.diff(angle) * (np.array([1, 4, 1]) @ np.exp(logs - logs.max()))  # Simpson's rule
    below = np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum()  # (points + 1,)
    above = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]]) / mass.sum()
    quantile = np.where(below < 0.5, _normal_quantile(below), -_normal_quantile(above))
    return np.interp(normal, quantile[1:-1], angle[1:-1])


def _normal_quantile(probability: Array) -> Array:
    quantile: Array = torch.special.ndtri(torch.from_numpy(probability)).numpy()
    return quantile


def _support(k: float, m: int, points: int) -> Array:
    """Angles that cover all but e^-60 of the density at its peak, finely."""
    coarse = np.concatenate([np.geomspace(1e-9, 0.01, 4000), np.linspace(0.01, np.pi, 4000)[1:-1]])
    logs = _log_density(coarse, k, m)
    inside = np.flatnonzero(logs > logs.max() - 60)
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(coarse) - 1)
    low = 0.0 if inside[0] == 0 else coarse[first]
    high = np.pi if inside[-1] == len(coarse) - 1 else coarse[last]
    grid: Array = np.linspace(low, high, points + 1)
    return grid


def _log_density(angle: Array, k: float, m: int) -> Array:
    """Of the angle: k (cos t - 1) + (m-2) log sin t."""
    with np.errstate(divide="ignore"):
        log_sine = np.log(np.maximum(np.sin(angle), 0)) if m > 2 else 0.0
    value: Array = -2 * k * np.sin(0.5 * angle) ** 2 + (m - 2) * log_sine
    return value
