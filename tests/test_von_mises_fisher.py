"""The von Mises-Fisher distribution: its draws, their gradients, densities and divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, kl_divergence
from torch.nn.functional import normalize

from zoo.distributions import (
    HypersphericalUniform,
    TabulatedVonMisesFisher,
    VonMisesFisher,
    polar,
)
from zoo.distributions.bessel_ratio import (
    kl_from_uniform,
    log_growth,
    log_surface_area,
    mean_resultant,
    mean_resultant_complement,
    mean_resultant_derivative,
)
from zoo.distributions.meridian import meridian_rate
from zoo.distributions.polar import TABLE_RANGE, angle_at, angle_table, draw_polar, draw_tabulated

Array = NDArray[np.float64]
CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.float64]
PAIRS = list(product([2, 3, 4, 5, 11, 20, 64, 100, 500, 1000], [0.0, 0.3, 5.0, 11.5, 200.0, 1e5]))
LAWS = [(2, 0.0), (2, 0.7), (2, 1e5), (3, 2.0), (4, 0.1), (11, 10.0), (40, 1e3), (100, 11.5)]
precise = {torch.float64: 1e-12, torch.float32: 2e-6}


def direction(m: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(m, dtype=torch.float64, generator=generator), dim=-1).to(dtype)


def build(m: int, k: float, dtype: torch.dtype = torch.float64, seed: int = 0) -> VonMisesFisher:
    return VonMisesFisher(direction(m, dtype, seed), torch.tensor([k], dtype=dtype))


def kl(q: VonMisesFisher) -> Tensor:
    return kl_divergence(q, HypersphericalUniform(q.m - 1))


def number(function: Callable[[Tensor, int], Tensor], m: int, k: float) -> float:
    return function(torch.tensor(k, dtype=torch.float64), m).item()


def assert_mean(draws: Tensor, expected: float, slack: float = 1e-6, label: object = None) -> None:
    """Within 4 standard errors, and rounding."""
    draws = draws.double()
    allowed = 4 * draws.std().item() / math.sqrt(len(draws)) + slack * abs(expected)
    assert abs(draws.mean().item() - expected) <= allowed + 1e-12, label


# Draws of the polar coordinate.


def draw_looking(m: int, k: float, n: int, dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_polar(torch.full((n,), k, dtype=dtype), m, generator)


def draw_blind(m: int, k: float, n: int, dtype: torch.dtype, seed: int) -> Tensor:
    """As on an accelerator or in a compiled graph, where one cannot look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        return draw_looking(m, k, n, dtype, seed)


def draw_table(m: int, k: float, n: int, dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_tabulated(angle_table(k, m, dtype, CPU), torch.Size([n]), generator)


SAMPLERS = [(draw_looking, 1_000_000), (draw_blind, 40_000), (draw_table, 1_000_000)]
every_sampler = pytest.mark.parametrize("draw, n", SAMPLERS)
Sampler = Callable[[int, float, int, torch.dtype, int], Tensor]


@every_sampler
@pytest.mark.parametrize("dtype", DTYPES)
def test_polar_moments(draw: Sampler, n: int, dtype: torch.dtype) -> None:
    """Of 1 - w and its square: E[(1-w)^2] = (1-A)^2 + A'."""
    for seed, (m, k) in enumerate(PAIRS):
        gap = draw(m, k, n, dtype, seed)
        assert gap.dtype == dtype
        assert gap.min() >= 0
        assert gap.max() <= 2
        mean = number(mean_resultant_complement, m, k)
        assert_mean(gap, mean, label=(m, k))
        square = mean**2 + number(mean_resultant_derivative, m, k)
        assert_mean(gap.double().square(), square, label=(m, k))


@every_sampler
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", [*LAWS, (20, 11.5), (3, 1e7), (1000, 1e3), (10_000, 1e7)])
def test_polar_distribution(draw: Sampler, n: int, dtype: torch.dtype, m: int, k: float) -> None:
    """Kolmogorov and Smirnov's distance, which exceeds the bound once in 5,000 times."""
    n = min(n, 100_000)
    gap = draw(m, k, n, dtype, 1).double().sort().values.numpy()
    below = distribution_function(2 * np.arcsin(np.sqrt(gap / 2)), m, k)
    steps = np.arange(n + 1) / n
    distance = max(np.abs(below - steps[1:]).max(), np.abs(below - steps[:-1]).max())
    assert distance < 2.15 / math.sqrt(n)


def distribution_function(angle: Array, m: int, k: float) -> Array:
    """Of the angle to the mean direction, by the trapezoid rule."""
    coarse = np.concatenate([np.geomspace(1e-8, 0.1, 3000), np.linspace(0.1, np.pi, 3000)])
    logs = log_density(coarse, m, k)
    inside = coarse[logs > logs.max() - 50]
    low = 0.0 if inside[0] == coarse[0] else inside[0]
    grid = np.linspace(low, inside[-1], 200_001)
    logs = log_density(grid, m, k)
    density = np.exp(logs - logs.max())
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    result: Array = np.interp(angle, grid, mass / mass[-1])
    return result


def log_density(angle: Array, m: int, k: float) -> Array:
    sine = np.maximum(np.sin(angle), 1e-300)
    result: Array = -2 * k * np.sin(angle / 2) ** 2 + (m - 2) * np.log(sine)
    return result


@pytest.mark.parametrize("m, k", [*LAWS, (2, 6.0), (4, 20.0), (3, 1e7), (1000, 1e3), (64, 100.0)])
def test_the_table_holds_quantiles(m: int, k: float) -> None:
    """At its entries, and half-way between them.

    On the circle the density does not vanish at the ends, where the finest cell counts as a point.
    """
    table = angle_table(k, m, torch.float64, CPU)
    normal = torch.linspace(-TABLE_RANGE, TABLE_RANGE, len(table), dtype=torch.float64)
    for angle, place in ((table, normal), *[(0.5 * (x[1:] + x[:-1]) for x in (table, normal))]):
        below = torch.from_numpy(distribution_function(angle.numpy(), m, k))
        assert (below - torch.special.ndtr(place)).abs().max() < (1e-4 if m == 2 else 1e-6)


def test_the_blind_sampler_is_another_one() -> None:
    """Otherwise the tests above would try the same one twice."""
    looking, blind = (f(5, 3.0, 10_000, torch.float32, 0) for f in (draw_looking, draw_blind))
    assert not torch.equal(looking, blind)


@pytest.mark.parametrize("draw", [draw_looking, draw_blind])
def test_each_draw_has_its_own_concentration(draw: Sampler) -> None:
    k = torch.logspace(-2, 4, 7).repeat_interleave(10_000).view(7, 10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: draw is draw_blind)
        gap = draw_polar(k, 6, torch.Generator().manual_seed(0))
    assert gap.shape == k.shape
    for own, draws in zip(k[:, 0].tolist(), gap, strict=True):
        assert_mean(draws, number(mean_resultant_complement, 6, own))


@pytest.mark.parametrize("draw, n", [(draw_looking, 1_000_000), (draw_blind, 50_000)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "m, k", list(product([2, 3, 4, 11, 300], [0.0, 1e3, 8.5e6, 1e7, 1e12, 1e30]))
)
def test_draws_stay_where_the_density_is(
    draw: Sampler, n: int, dtype: torch.dtype, m: int, k: float
) -> None:
    """k (1 - w) is at most about Gamma((m-1)/2). Opposite to mu the log density would be -2k."""
    n = n // max(1, m // 10)
    gap = k * draw(m, k, n, dtype, 4).double().max()
    beyond = torch.special.gammaincc(torch.tensor(0.5 * (m - 1)).double(), 0.9 * gap)
    assert n * beyond > 1e-6, gap


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("m, k", list(product([2, 4, 5, 11, 300], [1e3, 8.5e6, 1e7, 1e12])))
def test_no_random_number_leads_far_away(
    m: int, k: float, blind: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All combinations of their extremes, 0 and the numbers next to 1/2 and 1, proposed first."""
    step = 0.5 * torch.finfo(dtype).eps
    ends = torch.tensor([0.0, step, 0.5 - step, 0.5, 0.5 + step, 1 - step], dtype=dtype)
    extremes = torch.cartesian_prod(ends, ends, ends).T  # (3, N)

    def uniform(shape: torch.Size, *rest: object) -> Tensor:
        numbers = torch.rand(shape, dtype=dtype)
        if shape[-1] == extremes.shape[1]:
            numbers[:, 0] = extremes
        return numbers

    monkeypatch.setattr(polar, "uniform", uniform)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: blind)
    gap = draw_polar(torch.full((extremes.shape[1],), k, dtype=dtype), m)
    assert bool(gap.isfinite().all())
    # What a random number of 24 (53) bits can reach.
    far = torch.special.gammaincc(torch.tensor(0.5 * (m - 1)).double(), 0.5 * k * gap.double())
    assert far.min() > step**2 * 1e-3


# Draws on the sphere.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", LAWS)
def test_moments_of_vectors(m: int, k: float, dtype: torch.dtype) -> None:
    """Mean A mu and covariance, in the direction of mu and in two others."""
    torch.manual_seed(2)
    q = build(m, k, dtype)
    z, loc = q.sample((100_000,)), q.loc.double()
    assert (z.double().norm(dim=-1) - 1).abs().max() < 8 * torch.finfo(dtype).eps
    z = z.double()
    gap = 0.5 * (z - loc).square().sum(-1)
    assert_mean(gap, number(mean_resultant_complement, m, k))
    variance = q.variance.double()
    for i in {0, 1, m - 1}:
        centred = z[:, i] - loc[i] * (1 - number(mean_resultant_complement, m, k))
        assert_mean(centred, 0, label=i)
        assert_mean(centred.square(), variance[i].item(), slack=1e-5, label=i)


@pytest.mark.parametrize("m", [2, 3, 11])
def test_noise_along_the_mean_direction_does_no_harm(m: int) -> None:
    """Little is left of it across, and that little must not point along."""
    noise = torch.randn(m, generator=torch.Generator().manual_seed(5))
    loc = normalize(noise, dim=-1).requires_grad_()
    z = VonMisesFisher(loc, torch.ones(1)).rsample((), torch.Generator().manual_seed(5))
    assert abs(z.norm().item() - 1) < 1e-6
    (gradient,) = torch.autograd.grad(z.sum(), loc)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("k", [0.0, 2.0, 1e4])
def test_draws_on_the_circle_are_fine_near_the_mean(k: float) -> None:
    """1 - cos of a float32 angle would put one draw in 10^4 exactly on the mean."""
    torch.manual_seed(6)
    z = VonMisesFisher(torch.tensor([1.0, 0.0]), torch.tensor([k])).sample((300_000,))
    assert ((z[:, 0] > 0) & (z[:, 1] == 0)).sum() <= 2


@pytest.mark.parametrize("m, k", [(2, 3.0), (3, 0.5), (4, 8.0), (4, 1e6)])
def test_the_tangent_part_is_uniform(m: int, k: float) -> None:
    torch.manual_seed(3)
    q = build(m, k)
    z = q.rsample((200_000,))
    w = z @ q.loc
    tangent = z - w[:, None] * q.loc
    unit = normalize(tangent, dim=-1)
    assert (unit @ q.loc).abs().max() < 1e-8
    isotropic = (torch.eye(m, dtype=torch.float64) - torch.outer(q.loc, q.loc)) / (m - 1)
    for i in range(m):
        assert_mean(unit[:, i], 0)
        assert_mean(unit[:, i] * (w - w.mean()), 0)
        for j in range(i + 1):
            assert_mean(unit[:, i] * unit[:, j], isotropic[i, j].item())


def test_the_angle_around_the_mean_is_uniform() -> None:
    torch.manual_seed(4)
    n = 200_000
    z = VonMisesFisher(torch.eye(3)[2], torch.tensor([4.0])).sample((n,))
    turn = (torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) + 0.5).double().sort().values
    assert (turn - torch.arange(n) / n).abs().max() < 2.15 / math.sqrt(n)


@pytest.mark.parametrize("m, k", [(2, 2.0), (3, 5.0), (8, 20.0)])
def test_turning_the_mean_direction_turns_the_distribution(m: int, k: float) -> None:
    torch.manual_seed(5)
    n = 100_000
    turn = torch.linalg.qr(torch.randn(m, m, dtype=torch.float64)).Q
    q, axis = build(m, k), direction(m, seed=8)
    turned = VonMisesFisher(turn @ q.loc, q.scale, validate_args=False)
    first = (q.sample((n,)) @ turn.T @ axis).sort().values
    second = (turned.sample((n,)) @ axis).sort().values
    between = torch.searchsorted(second, first) - torch.arange(n)
    assert between.abs().max().item() / n < 2.15 * math.sqrt(2 / n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", list(product([2, 3, 4, 1000], [0.0, 1e-30, 1e-4, 1.0, 1e3, 1e7])))
def test_nothing_overflows_or_is_undefined(m: int, k: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    loc = direction(m, dtype).requires_grad_()
    scale = torch.tensor([k], dtype=dtype, requires_grad=True)
    q = VonMisesFisher(loc, scale)
    z = q.rsample((50,))
    assert (z.norm(dim=-1) - 1).abs().max() < 8 * torch.finfo(dtype).eps
    points = torch.cat([z, loc[None], -loc[None]])
    for result in (z, q.log_prob(points), q.entropy(), kl(q), q.mean, q.variance):
        assert result.dtype == dtype
        gradients = torch.autograd.grad(
            result.square().sum(), (loc, scale), retain_graph=True, allow_unused=True
        )
        finite = [result, *(g for g in gradients if g is not None)]
        assert all(bool(each.isfinite().all()) for each in finite)


def test_no_gradient_is_undefined_at_widths_where_bessel_functions_underflow() -> None:
    torch.manual_seed(0)
    for m in sorted({59, 60, 69, 110, 271, 300, *range(59, 300, 12)}):
        raw = torch.randn(8, m, requires_grad=True)
        scale = torch.full((8, 1), 1.69, requires_grad=True)
        q = VonMisesFisher(normalize(raw, dim=-1), scale)
        z = q.rsample()
        (kl(q) + q.log_prob(z) + z[:, 0]).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in (raw, scale):
            assert parameter.grad is not None
            assert bool(parameter.grad.isfinite().all())
            assert bool((parameter.grad != 0).any())


# Gradients through draws.

GRADIENT_PAIRS = list(product([2, 3, 4, 11, 100], [0.0, 0.3, 3.0, 11.5, 200.0, 1e4]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", GRADIENT_PAIRS)
def test_pathwise_gradients(m: int, k: float, dtype: torch.dtype) -> None:
    """Of E[1 - w], and of E[exp(b.z)] = exp(F(|k mu + b|) - F(k)), by both parameters."""
    torch.manual_seed(m)
    n = min(20_000, 1_000_000 // m)
    b, tangent = 2 * direction(m, seed=1), direction(m, seed=2)
    raw = direction(m, dtype).expand(n, m).clone().requires_grad_()
    scale = torch.full((n, 1), k, dtype=dtype, requires_grad=True)
    z = VonMisesFisher(normalize(raw, dim=-1), scale, validate_args=False).rsample()
    gap = 0.5 * (z - direction(m, dtype)).square().sum(-1)
    (by_scale,) = torch.autograd.grad(-gap.sum(), scale, retain_graph=True)
    assert_mean(by_scale[:, 0], number(mean_resultant_derivative, m, k), slack=2e-5)

    by_loc, by_scale = torch.autograd.grad((z @ b.to(dtype)).exp().sum(), (raw, scale))
    single = direction(m).requires_grad_()
    own = torch.tensor(k, dtype=torch.float64, requires_grad=True)
    shifted = torch.linalg.vector_norm(own * normalize(single, dim=-1) + b)
    mean = (log_growth(shifted, m) - log_growth(own, m)).exp()
    exact_loc, exact_scale = torch.autograd.grad(mean, (single, own))
    assert_mean(by_loc.double() @ tangent, (exact_loc @ tangent).item(), slack=2e-5)
    assert_mean(by_scale[:, 0], exact_scale.item(), slack=2e-5)


def test_pathwise_gradients_of_tabulated_draws() -> None:
    torch.manual_seed(0)
    m, k, n = 7, 20.0, 50_000
    b, tangent = 2 * direction(m, seed=1), direction(m, seed=2)
    raw = direction(m).expand(n, m).clone().requires_grad_()
    z = TabulatedVonMisesFisher(normalize(raw, dim=-1), k, validate_args=False).rsample()
    (by_loc,) = torch.autograd.grad((z @ b).exp().sum(), raw)
    single = direction(m).requires_grad_()
    shifted = torch.linalg.vector_norm(k * normalize(single, dim=-1) + b)
    mean = (log_growth(shifted, m) - number(log_growth, m, k)).exp()
    (exact,) = torch.autograd.grad(mean, single)
    assert_mean(by_loc @ tangent, (exact @ tangent).item())


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_gradient_by_the_direction_is_bounded(m: int) -> None:
    """Projecting the noise anew would have infinite variance at m = 3 (and worse at m = 2)."""
    torch.manual_seed(6)
    loc = torch.eye(m)[0].expand(300_000, m).clone().requires_grad_()
    scale = torch.ones(300_000, 1, requires_grad=True)
    z = VonMisesFisher(loc, scale, validate_args=False).rsample()
    by_loc, by_scale = torch.autograd.grad((z @ direction(m, torch.float32)).sum(), (loc, scale))
    assert by_loc.norm(dim=-1).max() < 1.001
    assert by_scale.abs().max() < 5


def test_a_draw_turns_with_loc_by_the_smallest_rotation() -> None:
    loc, scale = direction(5), torch.tensor([2.0], dtype=torch.float64)
    turn = direction(5, seed=1)
    turn = turn - (turn @ loc) * loc

    def draw(mu: Tensor) -> Tensor:
        q = VonMisesFisher(mu, scale, validate_args=False)
        return q.rsample((), torch.Generator().manual_seed(3))

    z = draw(loc)
    jacobian = torch.autograd.functional.jacobian(draw, loc)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(jacobian @ turn, (z @ loc) * turn - (z @ turn) * loc)


def exact_rate(gap: float, k: float, m: int) -> float:
    """By Gauss-Legendre quadrature over panels that shrink towards the draw's angle."""
    theta = 2 * math.asin(math.sqrt(gap / 2))
    excess = number(mean_resultant_complement, m, k) - gap
    length, sign = (theta, -1.0) if excess > 0 else (math.pi - theta, 1.0)
    edges = np.concatenate([[0.0], length * 2.0 ** np.arange(-45, 1)])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = 0.5 * np.diff(edges)[:, None]
    away = sign * (0.5 * (edges[1:] + edges[:-1])[:, None] + half * nodes)  # t - theta
    middle = theta + 0.5 * away
    change = -2 * np.sin(middle) * np.sin(0.5 * away)  # cos t - cos theta
    ratio = 2 * np.cos(middle) * np.sin(0.5 * away) / math.sin(theta)  # sin t / sin theta - 1
    log_ratio = k * change + (m - 2) * np.log1p(np.maximum(ratio, -1 + 1e-15))
    integral = float((half * weights * (excess + change) * np.exp(log_ratio)).sum())
    return -sign * integral


CONCENTRATIONS = [1e-3, 0.5, 5.0, 60.0, 1e3, 1e5, 1e7]


@pytest.mark.parametrize("m, k", list(product([6, 7, 11, 16, 100, 1000], CONCENTRATIONS)))
def test_the_fitted_rate_along_the_meridian(m: int, k: float) -> None:
    """By quantiles: within three standard deviations, and within five."""
    for reach, accuracy in ((3.0, 1.5e-3), (5.0, 1e-2)):
        angle = angle_at(np.linspace(-reach, reach, 25), k, m)
        gap = torch.tensor(2 * np.sin(0.5 * angle) ** 2, dtype=torch.float32)
        sine = torch.tensor(np.sin(angle), dtype=torch.float32)
        rate = meridian_rate(gap, sine, torch.tensor(k), m)
        exact = torch.tensor([exact_rate(g, torch.tensor(k).item(), m) for g in gap.tolist()])
        torch.testing.assert_close(rate, exact, rtol=accuracy, atol=0)


@pytest.mark.parametrize(
    "m, dtype, accuracy",
    [(m, torch.float64, 1e-9) for m in (2, 3, 4, 10, 100, 1000)]
    + [(m, torch.float32, 2e-4) for m in (2, 3, 4)],
)
@pytest.mark.parametrize("k", CONCENTRATIONS)
def test_the_rate_along_the_meridian(m: int, k: float, dtype: torch.dtype, accuracy: float) -> None:
    """At typical draws, and far out."""
    mean, spread = (
        number(mean_resultant_complement, m, k),
        math.sqrt(number(mean_resultant_derivative, m, k)),
    )
    near = mean + spread * np.linspace(-5, 7, 25)
    far = mean * np.array([1e-3, 0.03, 0.3, 1.0, 3.0])
    gap = torch.tensor([g for g in [*near, *far] if 0 < g < 2], dtype=dtype)
    rate = meridian_rate(gap, (gap * (2 - gap)).sqrt(), torch.tensor(k, dtype=dtype), m)
    assert rate.dtype == dtype
    exact = [exact_rate(g, torch.tensor(k, dtype=dtype).item(), m) for g in gap.tolist()]
    torch.testing.assert_close(
        rate.double(), torch.tensor(exact, dtype=torch.float64), rtol=accuracy, atol=0
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", list(product([2, 3, 4, 1000], [0.0, 1e-6, 1.0, 1e3, 1e7])))
def test_the_rate_is_finite_at_the_ends(m: int, k: float, dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype)
    gap = torch.tensor([0.0, tiny.tiny, 1e-30, 1e-12, 1e-6, 1.0, 2 - 1e-6, 2 - tiny.eps, 2.0]).to(
        dtype
    )
    rate = meridian_rate(gap, (gap * (2 - gap)).sqrt(), torch.tensor(k, dtype=dtype), m)
    assert bool(rate.isfinite().all())
    assert rate.min() >= -1e-6
    typical = math.sqrt(number(mean_resultant_derivative, m, k)) * 4
    assert rate[:2].max() <= 1e-3 * max(1.0, typical)


# Densities.


@pytest.mark.parametrize("m, k", [(2, 0.0), (2, 0.3), (2, 40.0), (3, 7.5), (6, 2.0), (31, 90.0)])
def test_the_density_integrates_to_one(m: int, k: float) -> None:
    """Over the angle to loc; a ring has the area of a sphere one dimension lower."""
    angle = (torch.arange(20_000, dtype=torch.float64) + 0.5) * (math.pi / 20_000)
    z = torch.zeros(len(angle), m, dtype=torch.float64)
    z[:, 0], z[:, 1] = angle.cos(), angle.sin()
    q = VonMisesFisher(torch.eye(m, dtype=torch.float64)[0], torch.tensor([k]).double())
    density = (
        torch.exp(q.log_prob(z) + log_surface_area(m - 1)) if m > 2 else 2 * q.log_prob(z).exp()
    )
    total = (density * angle.sin() ** (m - 2)).sum().item() * math.pi / 20_000
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("m, k", list(product([2, 3, 16, 1000], [0.0, 0.01, 3.0, 1e3])))
def test_log_prob_is_linear_in_the_vector(m: int, k: float) -> None:
    q, z = build(m, k), normalize(torch.stack([direction(m, seed=s) for s in range(5)]), dim=-1)
    expected = k * (z @ q.loc) - log_surface_area(m) - number(log_growth, m, k)
    torch.testing.assert_close(q.log_prob(z), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("m, k", list(product([2, 3, 16, 1000], [1.0, 1e4, 1e6, 1e7])))
def test_log_prob_in_single_precision(m: int, k: float) -> None:
    """The vectors rounded to float32 are the exact input; what is computed may lose nothing."""
    torch.manual_seed(m)
    q = build(m, k, torch.float32)
    z = q.sample((50,))
    exact = VonMisesFisher(q.loc.double(), q.scale.double(), validate_args=False)
    torch.testing.assert_close(
        q.log_prob(z).double(), exact.log_prob(z.double()), rtol=2e-6, atol=2e-5
    )


@pytest.mark.parametrize("m, k", list(product([2, 3, 16, 1000], [1.0, 1e4, 1e6, 1e7])))
def test_the_slope_of_log_prob_in_single_precision(m: int, k: float) -> None:
    """d/dk at the mean direction is 1 - A, which is not what remains of 1 - (1 + rounding)."""
    q = build(m, k, torch.float32)
    scale = q.scale.clone().requires_grad_()
    peak = VonMisesFisher(q.loc, scale).log_prob(q.loc)
    (slope,) = torch.autograd.grad(peak, scale)
    assert slope.item() == pytest.approx(number(mean_resultant_complement, m, k), rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", [*LAWS, (64, 1e5), (300, 20.0)])
def test_entropy_and_kl_are_means_of_log_densities(m: int, k: float, dtype: torch.dtype) -> None:
    torch.manual_seed(7)
    q = build(m, k, dtype)
    log_prob = q.log_prob(q.sample((50_000,)))
    rounding = 1e-12 if dtype == torch.float64 else 2e-6 * log_prob.abs().max().item()
    entropy, divergence = q.entropy().item(), kl(q).item()
    noise = 4 * log_prob.double().std().item() / math.sqrt(50_000)
    assert abs(log_prob.double().mean().item() + entropy) <= noise + rounding
    assert divergence == pytest.approx(log_surface_area(m) - entropy, rel=1e-5, abs=4e-5)


def test_gradients_of_the_closed_forms() -> None:
    z = torch.stack([direction(4, seed=s) for s in range(3)])
    raw = direction(4, seed=9).requires_grad_()
    scale = torch.tensor([[1e-3], [0.8], [25.0]], dtype=torch.float64, requires_grad=True)

    def results(raw: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        q = VonMisesFisher(normalize(raw, dim=-1), scale, validate_args=False)
        return q.log_prob(z), q.entropy(), kl(q), q.mean, q.variance

    assert torch.autograd.gradcheck(results, (raw, scale))
    assert torch.autograd.gradgradcheck(results, (raw, scale))


# Divergences.


@pytest.mark.parametrize(
    "m, k, expected",
    [
        (4, 20, 3.258), (6, 20, 4.02), (6, 80, 7.34), (11, 20, 4.85),
        (16, 32, 7.58), (32, 13, 2.17), (50, 35, 7.74), (64, 100, 24.4),
    ],
)  # fmt: skip
def test_kl_from_the_uniform_distribution(m: int, k: float, expected: float) -> None:
    digits = len(str(expected).split(".")[1])
    for dtype in DTYPES:
        assert kl(build(m, k, dtype)).item() == pytest.approx(expected, abs=0.6 * 10**-digits)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [2, 5, 11, 1000])
def test_kl_is_relatively_right_where_it_vanishes(m: int, dtype: torch.dtype) -> None:
    """k^2 / (2 m): 1e-7 at m = 5, k = 1e-3."""
    for k in (1e-9, 1e-5, 1e-3):
        assert kl(build(m, k, dtype)).item() == pytest.approx(k * k / (2 * m), rel=2e-6)
    assert kl(build(m, 0.0, dtype)).item() == 0


BETWEEN = [
    (2, 0.5, 3.0),
    (3, 4.0, 1.0),
    (3, 0.0, 2.0),
    (5, 2.0, 0.0),
    (11, 30.0, 25.0),
    (64, 9, 80),
]


@pytest.mark.parametrize("m, k_q, k_p", BETWEEN)
def test_kl_between_two(m: int, k_q: float, k_p: float) -> None:
    torch.manual_seed(8)
    q, p = build(m, k_q), build(m, k_p, seed=1)
    z = q.sample((50_000,))
    exact = kl_divergence(q, p).item()
    assert_mean(q.log_prob(z) - p.log_prob(z), exact)
    own, other = (torch.tensor(k, dtype=torch.float64) for k in (k_q, k_p))
    closed = own * mean_resultant(own, m) - log_growth(own, m) + log_growth(other, m)
    closed -= other * mean_resultant(own, m) * (q.loc @ p.loc)
    assert exact == pytest.approx(closed.item(), rel=1e-11)
    if k_p == 0:
        assert exact == pytest.approx(kl(q).item(), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.floats(-6, 7), st.sampled_from(DTYPES))
def test_kl_of_a_distribution_from_itself_is_zero(
    m: int, exponent: float, dtype: torch.dtype
) -> None:
    q = build(m, 10**exponent, dtype)
    assert kl_divergence(q, q).item() == 0


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([2, 3, 11, 64]), st.floats(-6, 7), st.floats(-0.5, 0.5))
def test_kl_between_neighbours_in_single_precision(m: int, exponent: float, step: float) -> None:
    """Against float64 with the same numbers: the error is one of rounding, and not below 0."""
    scales = torch.tensor([10**exponent, 10**exponent * (1 + step)])
    loc = direction(m, torch.float32)

    def divergence(loc: Tensor, scales: Tensor) -> float:
        q, p = (VonMisesFisher(loc, each[None], validate_args=False) for each in scales)
        return kl_divergence(q, p).item()

    exact = divergence(loc.double(), scales.double())
    size = max(kl_from_uniform(scales, m).max().item(), 1e-12)
    assert exact >= -1e-12 * size
    assert divergence(loc, scales) == pytest.approx(exact, rel=1e-5, abs=4e-6 * size)


@pytest.mark.parametrize("other", [HypersphericalUniform(3), build(4, 1.0)])
def test_kl_between_different_spheres_is_refused(other: Distribution) -> None:
    with pytest.raises(ValueError, match="R\\^3 and R\\^4"):
        kl_divergence(build(3, 1.0), other)


# A citizen of torch.distributions.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [2, 3, 11])
def test_mean_mode_and_variance(m: int, dtype: torch.dtype) -> None:
    for k in (0.0, 1e-3, 2.0, 50.0, 1e4, 1e6):
        q = build(m, k, dtype)
        a = number(mean_resultant, m, k)
        torch.testing.assert_close(q.mean.double(), a * q.loc.double(), rtol=2e-6, atol=1e-12)
        assert torch.equal(q.mode, q.loc)
        across = a / k if k else 1 / m
        square = q.loc.double().square()
        variance = number(mean_resultant_derivative, m, k) * square + across * (1 - square)
        torch.testing.assert_close(q.variance.double(), variance, rtol=1e-5, atol=0)


shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(shapes, shapes, st.integers(2, 5), st.lists(st.booleans(), min_size=6, max_size=6))
def test_shapes(batch: tuple[int, ...], sample: tuple[int, ...], m: int, kept: list[bool]) -> None:
    """The batch shapes of loc and scale broadcast either way."""
    own, other = (
        tuple(n if keep else 1 for n, keep in zip(batch, part, strict=False))
        for part in (kept[:3], [not a or b for a, b in zip(kept[:3], kept[3:], strict=True)])
    )
    q = VonMisesFisher(normalize(torch.ones(*own, m), dim=-1), torch.ones(*other, 1))
    assert q.batch_shape == batch
    wide = q.expand((2, *batch))
    for each, shape in ((q, batch), (wide, (2, *batch))):
        assert each.batch_shape == shape
        assert each.event_shape == (m,)
        assert each.rsample(sample).shape == (*sample, *shape, m)
        assert each.log_prob(each.sample(sample)).shape == (*sample, *shape)
        assert each.entropy().shape == kl(each).shape == kl_divergence(each, q).shape == shape
        assert each.mean.shape == each.mode.shape == each.variance.shape == (*shape, m)
    independent = torch.distributions.Independent(q, len(batch))
    assert independent.log_prob(independent.sample()).shape == ()  # type: ignore[no-untyped-call]


def test_names_and_arguments_of_the_reference_implementation() -> None:
    """hyperspherical_vae's: loc (B, m), scale (B, 1), the uniform's dim one less than m."""
    q = VonMisesFisher(loc=torch.eye(5)[:4], scale=torch.full((4, 1), 3.0))
    p = HypersphericalUniform(dim=4)
    assert kl_divergence(q, p).shape == (4,)
    assert q.rsample().shape == (4, 5)
    assert (q.has_rsample, q.loc.shape, q.scale.shape) == (True, (4, 5), (4, 1))
    assert p.sample((4,)).shape == (4, 5)


def test_draws_of_a_batch_belong_to_their_own_parameters() -> None:
    torch.manual_seed(9)
    loc = torch.stack([direction(6, torch.float32, seed) for seed in range(3)])[:, None]
    scale = torch.tensor([0.5, 7.0, 300.0, 1e5])[:, None]
    q = VonMisesFisher(loc, scale)
    z = q.expand((3, 4)).sample((20_000,)).double()
    gap = 0.5 * (z - q.loc.double()).square().sum(-1)
    for i, (j, k) in product(range(3), enumerate(scale[:, 0].tolist())):
        assert_mean(gap[:, i, j], number(mean_resultant_complement, 6, k))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_draws_are_reproducible_and_leave_the_global_generator_alone(m: int) -> None:
    for q in (build(m, 3.0), TabulatedVonMisesFisher(direction(m), 3.0)):
        state = torch.get_rng_state()
        first, second = (q.rsample((6,), torch.Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(first, q.sample((6,), torch.Generator().manual_seed(1)))
        assert torch.equal(state, torch.get_rng_state())
        assert not torch.equal(first, q.sample((6,), torch.Generator().manual_seed(2)))
        torch.manual_seed(5)
        third = q.sample((6,))
        torch.manual_seed(5)
        assert torch.equal(third, q.sample((6,)))


def test_gradients_only_when_asked() -> None:
    q = VonMisesFisher(torch.eye(3)[0], torch.ones(1, requires_grad=True))
    assert q.rsample().requires_grad
    assert not q.sample().requires_grad


@pytest.mark.parametrize(
    "loc, scale, message",
    [
        (torch.ones(3), torch.ones(1), "loc"),
        (torch.full((3,), math.nan), torch.ones(1), "loc"),
        (torch.eye(3)[0], -torch.ones(1), "scale"),
        (torch.eye(3)[0], torch.full((1,), math.nan), "scale"),
        (torch.eye(3), torch.ones(3), "unsqueeze"),
        (torch.eye(3), torch.tensor(1.0), "unsqueeze"),
        (torch.ones(1), torch.ones(1), "m >= 2"),
    ],
)
def test_wrong_parameters_are_refused(loc: Tensor, scale: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VonMisesFisher(loc, scale, validate_args=True)


def test_wrong_values_are_refused() -> None:
    q = VonMisesFisher(torch.eye(3)[0], torch.ones(1), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.ones(3))
    with pytest.raises(ValueError, match="support"):
        q.expand((2,)).log_prob(torch.ones(3))
    unchecked = VonMisesFisher(torch.eye(3)[0], torch.ones(1), validate_args=False)
    assert bool(unchecked.expand((2,)).log_prob(torch.ones(3)).isfinite().all())
    with pytest.raises(ValueError, match="dim"):
        HypersphericalUniform(0)


@pytest.mark.parametrize("m", [2, 3, 11])
def test_the_uniform_distribution(m: int) -> None:
    torch.manual_seed(10)
    p = HypersphericalUniform(m - 1, dtype=torch.float64)
    z = p.sample((100_000,))
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-15 * 8
    for i, j in product(range(2), range(2)):
        assert_mean(z[:, i], 0)
        assert_mean(z[:, i] * z[:, j], float(p.variance[i]) if i == j else 0.0)
    torch.testing.assert_close(p.log_prob(z[:3]), -p.entropy().expand(3))
    q = build(m, 0.0)
    torch.testing.assert_close(q.log_prob(z[:3]), p.log_prob(z[:3]), rtol=1e-13, atol=1e-13)
    assert p.expand((2, 3)).sample((4,)).shape == (4, 2, 3, m)


Loss = Callable[[Tensor, Tensor], Tensor]


def loss(raw: Tensor, scale: Tensor) -> Tensor:
    q = VonMisesFisher(normalize(raw, dim=-1), scale, validate_args=False)
    uniform = HypersphericalUniform(raw.shape[-1] - 1, validate_args=False)
    z = q.rsample()
    return z[:, 0].sum() + (kl_divergence(q, uniform) - q.log_prob(z)).sum()


def tabulated_loss(raw: Tensor, scale: Tensor) -> Tensor:
    q = TabulatedVonMisesFisher(normalize(raw, dim=-1), 4.0, validate_args=False)
    return (scale * q.rsample()).sum() + q.entropy().sum()


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("function, m", [(loss, 3), (tabulated_loss, 6)])
def test_a_loss_compiles_without_graph_breaks(function: Loss, m: int) -> None:
    """With the same draws, where those do not depend on how often one looks."""
    raw = torch.randn(8, m, requires_grad=True)
    scale = torch.full((8, 1), 3.0, requires_grad=True)
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    results = []
    for each in (function, compiled):
        torch.manual_seed(9)
        results.append(torch.autograd.grad(each(raw, scale), (raw, scale)))
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(eager, graph)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("m", [3, 5])
def test_a_compiled_loss_takes_batches_of_any_size(m: int) -> None:
    """After the second size torch traces with a symbolic one."""
    torch.compiler.reset()  # else sizes seen by an earlier test count as changing
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for n in (8, 5, 3):
        raw, scale = torch.randn(n, m, requires_grad=True), torch.ones(n, 1, requires_grad=True)
        for gradient in torch.autograd.grad(compiled(raw, scale), (raw, scale)):
            assert bool(gradient.isfinite().all())


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_compiled_draws_have_the_right_mean_and_gradient() -> None:
    torch.manual_seed(11)
    m, k, n = 5, 3.0, 30_000
    loc = direction(m, torch.float32)

    def draw(loc: Tensor, scale: Tensor) -> Tensor:
        return VonMisesFisher(loc, scale, validate_args=False).rsample()

    scale = torch.full((n, 1), k, requires_grad=True)
    torch.compiler.reset()
    compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
    w = compiled(loc, scale) @ loc
    (slope,) = torch.autograd.grad(w.sum(), scale)
    assert_mean(w, number(mean_resultant, m, k))
    assert_mean(slope[:, 0], number(mean_resultant_derivative, m, k), slack=2e-5)
