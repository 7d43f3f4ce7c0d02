"""The power spherical distribution against closed forms, mpmath and its own draws."""

from __future__ import annotations

import math
from itertools import product

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import normalize

from zoo.distributions import power_spherical
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.log_beta import (
    _divergence,
    _log_variance,
    _reverse_divergence,
    _reverse_slope,
    log_mean,
)
from zoo.distributions.power_spherical import PowerSpherical

DTYPES = [torch.float32, torch.float64]
WIDTHS = [2, 3, 4, 7, 20, 21, 22, 64, 1000, 10_000]
SCALES = [1e-8, 1e-4, 0.03, 0.5, 0.99, 1.01, 4.0, 9.5, 30.0, 777.0, 2e4, 1e7]
LAWS = [(2, 0.0), (2, 0.7), (3, 2.0), (4, 0.1), (10, 6.0), (40, 1e3), (5, 1e6)]
tolerance = {torch.float64: 1e-14, torch.float32: 2e-6}


def direction(m: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(m, dtype=torch.float64, generator=generator), dim=-1).to(dtype)


def build(m: int, k: float, dtype: torch.dtype = torch.float64) -> PowerSpherical:
    return PowerSpherical(direction(m, dtype), torch.tensor([k], dtype=dtype))


def kl(q: PowerSpherical) -> Tensor:
    return kl_divergence(q, HypersphericalUniform(q.m - 1))


def assert_mean(draws: Tensor, expected: float, errors: float = 4.0) -> None:
    draws = draws.double()
    stderr = draws.std().item() / math.sqrt(len(draws))
    assert abs(draws.mean().item() - expected) <= errors * stderr + 1e-7 * abs(expected)


def reference(name: str, k: float, m: int) -> mpmath.mpf:
    c, k = mpmath.mpf(m - 1) / 2, mpmath.mpf(k)
    if name == "variance":
        return mpmath.psi(1, c + k) - mpmath.psi(1, 2 * c + k)
    mean = mpmath.digamma(2 * c + k) - mpmath.digamma(c + k)
    if name == "mean":
        return mean
    growth = mpmath.loggamma(2 * c + k) + mpmath.loggamma(c)
    growth -= mpmath.loggamma(c + k) + mpmath.loggamma(2 * c)
    if name == "growth":
        return growth
    if name == "divergence":
        return growth - k * mean
    of_uniform = mpmath.digamma(2 * c) - mpmath.digamma(c)
    return of_uniform - mean if name == "reverse slope" else k * of_uniform - growth


FUNCTIONS = {
    "divergence": _divergence,
    "reverse divergence": _reverse_divergence,
    "reverse slope": _reverse_slope,
    "mean": log_mean,
    "variance": _log_variance,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_match_mpmath_everywhere(name: str, dtype: torch.dtype) -> None:
    with mpmath.workdps(50):
        for m in WIDTHS:
            k = torch.tensor(SCALES, dtype=dtype)
            for point, value in zip(k.tolist(), FUNCTIONS[name](k, m).tolist(), strict=True):
                exact = reference(name, point, m)
                assert abs(value - exact) <= tolerance[dtype] * exact, (m, point)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 10_000), st.floats(-6, 7))
def test_entropy_and_kl_match_mpmath_at_random(m: int, exponent: float) -> None:
    for dtype in DTYPES:
        q = PowerSpherical(torch.eye(m, dtype=dtype)[0], torch.tensor([10**exponent], dtype=dtype))
        with mpmath.workdps(50):
            exact = reference("divergence", q.scale.item(), m)
            log_area = mpmath.log(2) + m * mpmath.log(mpmath.pi) / 2 - mpmath.loggamma(m / 2)
        rounding = torch.finfo(dtype).eps
        assert abs(kl(q).item() - exact) <= 10 * rounding * exact
        largest = max(abs(log_area), exact, m * math.log(m))  # the logarithm's own terms
        assert abs(q.entropy().item() - (log_area - exact)) <= 12 * rounding * largest


@pytest.mark.parametrize("m, k", LAWS)
def test_kl_of_the_uniform_distribution_is_a_mean_of_log_densities(m: int, k: float) -> None:
    uniform, p = HypersphericalUniform(m - 1, dtype=torch.float64), build(m, k)
    z = uniform.sample((50_000,), torch.Generator().manual_seed(m))
    assert_mean(uniform.log_prob(z) - p.log_prob(z), kl_divergence(uniform, p).item())
    assert kl_divergence(uniform.expand((4, 1)), p.expand((3,))).shape == (4, 3)
    with pytest.raises(ValueError, match="different spheres"):
        kl_divergence(HypersphericalUniform(m), p)


@pytest.mark.parametrize("m", [2, 3, 11, 10_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_is_relatively_right_where_it_vanishes(m: int, dtype: torch.dtype) -> None:
    k = torch.tensor([[1e-15], [1e-9]], dtype=dtype)
    quadratic = 0.5 * k.squeeze(-1) ** 2 * float(reference("variance", 0, m))
    torch.testing.assert_close(kl(PowerSpherical(direction(m, dtype), k)), quadratic)
    assert kl(build(m, 0.0, dtype)).item() == 0


def test_closed_forms_on_the_sphere_in_three_dimensions() -> None:
    """p(z) = (k + 1) t^k / (4 pi), and KL = log(k + 1) - k / (k + 1)."""
    k = torch.tensor([[0.0], [0.5], [3.0], [50.0], [1e5]], dtype=torch.float64)
    loc, z = direction(3), direction(3, seed=1)
    q = PowerSpherical(loc, k)
    k = k.squeeze(-1)
    t = 0.5 * (1 + (loc * z).sum())
    expected = torch.log1p(k) + k * t.log() - math.log(4 * math.pi)
    torch.testing.assert_close(q.log_prob(z), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(kl(q), torch.log1p(k) - k / (k + 1), rtol=1e-13, atol=0)


def test_closed_forms_on_the_circle() -> None:
    """At k = 1 the density is (1 + cos a) / (2 pi), a cardioid."""
    angles = torch.linspace(-3, 3, 13, dtype=torch.float64)
    z = torch.stack([angles.cos(), angles.sin()], -1)
    q = PowerSpherical(torch.tensor([1.0, 0.0], dtype=torch.float64), torch.ones(1).double())
    expected = torch.log1p(angles.cos()) - math.log(2 * math.pi)
    torch.testing.assert_close(q.log_prob(z), expected, rtol=1e-13, atol=1e-13)
    assert kl(q).item() == pytest.approx(1 - math.log(2), rel=1e-14)
    assert q.entropy().item() == pytest.approx(math.log(4 * math.pi) - 1, rel=1e-14)


@pytest.mark.parametrize("m, k", [(2, 0.3), (2, 40.0), (3, 7.5), (6, 2.0), (31, 90.0)])
def test_the_density_integrates_to_one(m: int, k: float) -> None:
    """Over the angle to loc; a ring has the area of a sphere one dimension lower."""
    angle = (torch.arange(20_000, dtype=torch.float64) + 0.5) * (math.pi / 20_000)
    z = torch.zeros(len(angle), m, dtype=torch.float64)
    z[:, 0], z[:, 1] = angle.cos(), angle.sin()
    ring = math.log(2) + 0.5 * (m - 1) * math.log(math.pi) - math.lgamma(0.5 * (m - 1))
    q = PowerSpherical(torch.eye(m, dtype=torch.float64)[0], torch.tensor([k]).double())
    density = torch.exp(q.log_prob(z) + ring) * angle.sin() ** (m - 2)
    assert density.sum().item() * math.pi / 20_000 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("m, k", list(product([2, 16, 1000], [0.0, 3.0, 1e4, 1e7])))
def test_log_prob_of_single_precision_vectors_matches_mpmath(m: int, k: float) -> None:
    """The vectors rounded to float32 are the exact input; what is computed may lose nothing."""
    torch.manual_seed(m)
    q = build(m, k, torch.float32)
    z = q.sample()
    with mpmath.workdps(50):
        pairs = list(zip(map(mpmath.mpf, z.tolist()), q.loc.tolist(), strict=True))
        near, far = sum((a - b) ** 2 for a, b in pairs), sum((a + b) ** 2 for a, b in pairs)
        log_area = mpmath.log(2) + m * mpmath.log(mpmath.pi) / 2 - mpmath.loggamma(m / 2)
        slope, growth = k * mpmath.log1p(near / far), reference("growth", k, m)
        exact = growth - slope - log_area
    error = abs(q.log_prob(z).item() - exact)
    assert error <= 2e-6 * slope + 2 * 2**-24 * max(1, abs(exact))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", list(product([2, 3, 10_000], [0.0, 1e-30, 1e-4, 1.0, 1e3, 1e7])))
def test_nothing_overflows_or_is_undefined(m: int, k: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    loc = direction(m, dtype).requires_grad_()
    scale = torch.tensor([k], dtype=dtype, requires_grad=True)
    q = PowerSpherical(loc, scale)
    z = q.rsample((20,))
    assert (z.norm(dim=-1) - 1).abs().max() < 8 * torch.finfo(dtype).eps
    points = torch.cat([z, loc[None], -loc[None]])
    results = [z, q.log_prob(points), q.entropy(), kl(q), q.mean, q.variance]
    for result in results:
        assert result.dtype == dtype
        gradients = torch.autograd.grad(
            result.square().sum(), (loc, scale), retain_graph=True, allow_unused=True
        )
        finite = [result, *(g for g in gradients if g is not None)]
        assert all(bool(each.isfinite().all()) for each in finite)


@pytest.mark.parametrize("m, k", list(product([2, 3, 50, 10_000], [0.0, 0.1, 20.0, 1e7])))
def test_devices_without_double_precision(
    m: int, k: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = build(m, k)
    monkeypatch.setattr(power_spherical, "widen", lambda x: x)
    scale = torch.tensor([k], requires_grad=True)
    q = PowerSpherical(direction(m, torch.float32), scale)
    torch.testing.assert_close(kl(q).double(), kl(exact), rtol=2e-6, atol=0)
    torch.testing.assert_close(q.entropy().double(), exact.entropy(), rtol=2e-6, atol=2e-6)
    z = q.rsample((200,))
    far = 0.5 * (z - q.loc).square().sum(-1) * (m - 1 + k) / (m - 1)  # has mean 1
    assert_mean(far, 1)
    (gradient,) = torch.autograd.grad(far.sum() + q.log_prob(z).sum(), scale)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k", LAWS)
def test_moments_of_draws(m: int, k: float, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    q = build(m, k, dtype)
    z = q.sample((100_000,)).double()
    loc = q.loc.double()
    gap = 0.5 * (z - loc).square().sum(-1)  # 1 - w
    a, c = 0.5 * (m - 1) + k, 0.5 * (m - 1)
    assert_mean(gap, 2 * c / (a + c))
    assert_mean(gap**2, 4 * c * (c + 1) / ((a + c) * (a + c + 1)))
    # Any direction has the variance of the covariance matrix along it; so has each coordinate.
    other = torch.eye(m, dtype=torch.float64)[-1]
    assert_mean((z - q.mean.double())[:, -1], 0)
    assert_mean((z - q.mean.double())[:, -1] ** 2, q.variance[-1].item())
    across = normalize(other - loc[-1] * loc, dim=-1)
    assert_mean(z @ across, 0)


def test_variance_is_right_along_and_across() -> None:
    q = PowerSpherical(torch.tensor([1.0, 0, 0, 0]), torch.tensor([5.0]))
    a, c = 6.5, 1.5
    beta = torch.distributions.Beta(torch.tensor(a), torch.tensor(c))
    along = 4 * beta.variance.item()
    second = along + (2 * beta.mean.item() - 1) ** 2
    expected = torch.tensor([along, *[(1 - second) / 3] * 3])
    torch.testing.assert_close(q.variance, expected)


@pytest.mark.parametrize("k", [0.0, 0.4, 12.0])
def test_draws_have_the_right_distribution_function(k: float) -> None:
    """At m = 3, t^(k+1) is uniform, and so is the angle around loc."""
    torch.manual_seed(3)
    n = 200_000
    z = PowerSpherical(torch.eye(3, dtype=torch.float64)[2], torch.tensor([k]).double()).sample(
        (n,)
    )
    steps = torch.arange(n, dtype=torch.float64) / n
    level = (0.5 * (1 + z[:, 2])) ** (k + 1)
    turn = torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) + 0.5
    for uniform in (level, turn):
        assert (uniform.sort().values - steps).abs().max() < 1.95 / math.sqrt(n)  # p = 0.001


@pytest.mark.parametrize("m, k", [(2, 0.5), (3, 0.0), (3, 40.0), (12, 3.0), (100, 1e3)])
def test_pathwise_gradients_by_the_concentration(m: int, k: float) -> None:
    torch.manual_seed(4)
    n = 1_000_000 // (m + 4)
    loc = direction(m)
    scale = torch.full((n, 1), k, dtype=torch.float64, requires_grad=True)
    z = PowerSpherical(loc, scale, validate_args=False).rsample()
    gap = 0.5 * (z - loc).square().sum(-1)

    def by_scale(f: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(f.sum(), scale, retain_graph=True)
        return gradient.squeeze(-1)

    total = m - 1 + k
    assert_mean(by_scale(-gap), (m - 1) / total**2)
    # d E[log t] / dk = V
    assert_mean(by_scale(torch.log1p(-0.5 * gap)), float(reference("variance", k, m)))


@pytest.mark.parametrize("m, k", [(2, 1.0), (3, 5.0), (9, 4.0)])
def test_pathwise_gradients_by_the_direction(m: int, k: float) -> None:
    """Of f(z) = (e.z)^2, whose mean is that of a quadratic form in loc."""
    torch.manual_seed(5)
    n = 100_000
    axis, tangent = direction(m, seed=1), direction(m, seed=2)
    raw = direction(m).expand(n, m).clone().requires_grad_()
    scale = torch.tensor([k], dtype=torch.float64)
    z = PowerSpherical(normalize(raw, dim=-1), scale, validate_args=False).rsample()
    (draws,) = torch.autograd.grad((z @ axis).square().sum(), raw)

    single = direction(m).requires_grad_()
    q = PowerSpherical(normalize(single, dim=-1), scale)
    total = m - 1 + k
    across = (m - 1 + 2 * k) / (total * (total + 1))
    second = across + (1 - m * across) * (q.loc @ axis) ** 2  # trace E[z z^T] = 1
    (exact,) = torch.autograd.grad(second, single)
    assert_mean(draws @ tangent, (exact @ tangent).item())


def test_a_draw_turns_with_loc_by_the_smallest_rotation() -> None:
    torch.manual_seed(6)
    loc, scale = direction(5), torch.tensor([2.0], dtype=torch.float64)
    turn = direction(5, seed=1)
    turn = turn - (turn @ loc) * loc

    def draw(mu: Tensor) -> Tensor:
        return PowerSpherical(mu, scale, validate_args=False).rsample(
            (), torch.Generator().manual_seed(0)
        )

    z = draw(loc)
    jacobian = torch.autograd.functional.jacobian(draw, loc)
    torch.testing.assert_close(jacobian @ turn, (z @ loc) * turn - (z @ turn) * loc)


@pytest.mark.parametrize("m, k", LAWS)
def test_kl_is_the_mean_of_the_log_ratio(m: int, k: float) -> None:
    torch.manual_seed(7)
    q = build(m, k)
    z = q.sample((50_000,))
    ratio = q.log_prob(z) - HypersphericalUniform(m - 1).log_prob(z)
    assert_mean(ratio, kl(q).item())


def test_gradients_of_the_closed_forms() -> None:
    z = normalize(torch.stack([direction(4, seed=s) for s in range(3)]), dim=-1)
    raw = direction(4, seed=9).requires_grad_()
    scale = torch.tensor([[1e-3], [0.8], [25.0]], dtype=torch.float64, requires_grad=True)

    def results(raw: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        q = PowerSpherical(normalize(raw, dim=-1), scale, validate_args=False)
        of_uniform = kl_divergence(HypersphericalUniform(3), q)
        return q.log_prob(z), q.entropy(), kl(q), of_uniform, q.mean, q.variance

    assert torch.autograd.gradcheck(results, (raw, scale))
    assert torch.autograd.gradgradcheck(results, (raw, scale))


def test_the_gradient_of_the_log_density_lies_in_the_sphere() -> None:
    """So that a vector's length, which is one, does not enter."""
    loc, z = direction(6).requires_grad_(), direction(6, seed=1).requires_grad_()
    log_prob = PowerSpherical(loc, torch.tensor([9.0], dtype=torch.float64)).log_prob(z)
    for point, gradient in zip((loc, z), torch.autograd.grad(log_prob, (loc, z)), strict=True):
        assert gradient.norm() > 0.1
        assert abs((gradient @ point).item()) < 1e-13


shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(shapes, shapes, st.integers(2, 5), st.lists(st.booleans(), min_size=3, max_size=3))
def test_shapes(batch: tuple[int, ...], sample: tuple[int, ...], m: int, kept: list[bool]) -> None:
    narrowed = tuple(n if keep else 1 for n, keep in zip(batch, kept, strict=False))
    loc = normalize(torch.ones(*batch, m), dim=-1)
    q = PowerSpherical(loc, torch.ones(*narrowed, 1))
    wide = q.expand((2, *batch))
    for each, shape in ((q, batch), (wide, (2, *batch))):
        assert each.batch_shape == shape
        assert each.event_shape == (m,)
        assert each.rsample(sample).shape == (*sample, *shape, m)
        assert each.log_prob(each.sample(sample)).shape == (*sample, *shape)
        assert each.entropy().shape == kl(each).shape == shape
        assert each.mean.shape == each.mode.shape == each.variance.shape == (*shape, m)
    independent = torch.distributions.Independent(q, len(batch))
    assert independent.log_prob(independent.sample()).shape == ()


def test_draws_are_reproducible_and_leave_the_global_generator_alone() -> None:
    q = build(4, 3.0)
    state = torch.get_rng_state()
    first, second = (q.sample((6,), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, q.sample((6,), torch.Generator().manual_seed(2)))


def test_the_sampler_needs_gradients_only_when_asked() -> None:
    scale = torch.ones(1, requires_grad=True)
    q = PowerSpherical(torch.eye(3)[0], scale)
    assert q.rsample().requires_grad
    assert not q.sample().requires_grad


@pytest.mark.parametrize(
    "loc, scale, message",
    [
        (torch.ones(3), torch.ones(1), "loc"),
        (torch.eye(3)[0], -torch.ones(1), "scale"),
        (torch.eye(3)[0], torch.full((1,), math.nan), "scale"),
        (torch.eye(3), torch.ones(3), "unsqueeze"),
        (torch.ones(1), torch.ones(1), "m >= 2"),
    ],
)
def test_wrong_parameters_are_refused(loc: Tensor, scale: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PowerSpherical(loc, scale, validate_args=True)


def test_wrong_values_are_refused() -> None:
    q = PowerSpherical(torch.eye(3)[0], torch.ones(1), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.ones(3))
    with pytest.raises(ValueError, match="R\\^3 and R\\^4"):
        kl_divergence(q, HypersphericalUniform(3))
    assert q.expand((2,))._validate_args is True


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_a_loss_compiles_without_graph_breaks() -> None:
    scale = torch.full((8, 1), 3.0, requires_grad=True)
    raw = torch.randn(8, 5, requires_grad=True)

    def loss(raw: Tensor, scale: Tensor) -> Tensor:
        q = PowerSpherical(normalize(raw, dim=-1), scale, validate_args=False)
        uniform = HypersphericalUniform(4, validate_args=False)
        return q.rsample()[:, 0].sum() + (kl_divergence(q, uniform) - q.entropy()).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    results = []
    for function in (loss, compiled):
        torch.manual_seed(9)
        results.append(torch.autograd.grad(function(raw, scale), (raw, scale)))
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(eager, graph)
