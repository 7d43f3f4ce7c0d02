"""KL between two power sphericals against mpmath, closed forms, draws and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import normalize

from zoo.distributions import HypersphericalUniform, PowerSpherical, power_spherical

DTYPES = [torch.float32, torch.float64]
COSINES = [-1.0, -0.999, -0.3, 0.0, 0.6, 0.99999, 1.0]
LAWS = [(2, 0.3, 2.0), (3, 4.0, 0.7), (5, 30.0, 12.0), (40, 500.0, 90.0), (512, 1e4, 3e3)]


def along(cosine: float, m: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A direction at an angle to the first axis."""
    loc = torch.zeros(m, dtype=torch.float64)
    loc[0], loc[1] = cosine, math.sqrt(1 - cosine**2)
    return loc.to(dtype)


def build(loc: Tensor, k: float) -> PowerSpherical:
    return PowerSpherical(loc, loc.new_tensor([k]))


def pair(m: int, k: float, other: float, cosine: float) -> tuple[PowerSpherical, PowerSpherical]:
    return build(along(1.0, m), k), build(along(cosine, m), other)


def reference_kl(m: int, k: float, other: float, log_mean: mpmath.mpf) -> mpmath.mpf:
    """From E_q[log (1 + mu_p.z) / 2], by the normalisers."""
    c = mpmath.mpf(m - 1) / 2

    def log_beta(k: float) -> mpmath.mpf:
        return mpmath.loggamma(c + k) - mpmath.loggamma(2 * c + k)

    own = mpmath.digamma(c + k) - mpmath.digamma(2 * c + k)
    return k * own - log_beta(k) - other * log_mean + log_beta(other)


def log_mean_by_series(m: int, k: float, x: float) -> mpmath.mpf:
    """By Funk-Hecke: both functions' Gegenbauer coefficients, term by term."""
    k, x, coefficient = mpmath.mpf(k), mpmath.mpf(x), mpmath.mpf(1)
    before, now, total = mpmath.mpf(1), x, mpmath.mpf(0)
    half = mpmath.mpf(m - 2) / 2
    for n in range(1, 4000):
        coefficient *= (k - n + 1) / (m - 2 + k + n)
        term = (mpmath.mpf(1) / n + mpmath.mpf(1) / (n + m - 2)) * coefficient
        total -= (-1) ** n * term * now
        before, now = now, (2 * (n + half) * x * now - n * before) / (n + 2 * half)
        if abs(term) < mpmath.mpf(10) ** -24:
            return total + mpmath.digamma(mpmath.mpf(m - 1) / 2) - mpmath.digamma(m - 1)
    raise AssertionError("the series has not converged")


TINY = mpmath.mpf(10) ** -60


def ring_mean(m: int, angle: mpmath.mpf, turn: mpmath.mpf) -> mpmath.mpf:
    """Of log (1 + mu_p.z) / 2, z on the ring at ``angle`` around mu_q."""
    low, high = (2 * mpmath.cos((angle + s * turn) / 2) ** 2 + TINY for s in (1, -1))
    if m == 2:  # two points
        return mpmath.log(low * high / 4) / 2
    if m == 3:  # equal steps around the ring
        return 2 * mpmath.log((mpmath.sqrt(low) + mpmath.sqrt(high)) / 2) - mpmath.log(2)
    if abs(high - low) < mpmath.mpf(10) ** -15:
        return mpmath.log(low / 2)
    area = high * mpmath.log(high) - low * mpmath.log(low)  # equal steps across
    return area / (high - low) - 1 - mpmath.log(2)


def log_mean_by_quadrature(m: int, k: float, x: float) -> mpmath.mpf:
    """Over the angle to mu_q, with a corner where it meets -mu_p."""
    turn = mpmath.acos(x)
    corner, half = mpmath.pi - turn, mpmath.pi / 2

    def density(angle: mpmath.mpf) -> mpmath.mpf:
        return mpmath.cos(angle / 2) ** (2 * k) * mpmath.sin(angle) ** (m - 2)

    points = sorted({mpmath.mpf(0), min(corner, half), max(corner, half), mpmath.pi})
    total = mpmath.quad(lambda angle: density(angle) * ring_mean(m, angle, turn), points)
    return total / mpmath.quad(density, points)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_it_matches_quadrature_on_small_spheres(m: int) -> None:
    for k, x in product([0.0, 0.2, 3.7, 40.0], [-0.7, 0.95]):
        with mpmath.workdps(25):
            exact = reference_kl(m, k, 2.5, log_mean_by_quadrature(m, k, x))
        found = kl_divergence(*pair(m, k, 2.5, x)).item()
        assert abs(found - exact) <= 1e-12 * max(1, exact), (k, x)


@pytest.mark.parametrize("m", [2, 3, 8, 21, 64, 512])
@pytest.mark.parametrize("k", [1.0, 7.0, 60.0, 333.25, 1e4])
def test_it_matches_the_series_in_every_dimension(m: int, k: float) -> None:
    """The series of a concentration that is no integer ends nowhere, but falls beyond it."""
    with mpmath.workdps(40):
        for x in COSINES:
            p = build(along(x, m), 45.0)
            true_x = float(p.loc[0])
            exact = reference_kl(m, k, 45.0, log_mean_by_series(m, k, true_x))
            found = kl_divergence(build(along(1.0, m), k), p).item()
            assert abs(found - exact) <= 2e-13 * max(1, exact), x


@pytest.mark.parametrize("m, k, other", LAWS)
def test_it_is_the_mean_of_the_log_ratio(m: int, k: float, other: float) -> None:
    q = build(along(1.0, m), k)
    z = q.sample((50_000,), torch.Generator().manual_seed(3))
    own = q.log_prob(z)
    for x in (-0.95, 0.4, 0.99):
        p = build(along(x, m), other)
        ratio = own - p.log_prob(z)
        error = ratio.std().item() / math.sqrt(len(ratio))
        assert abs(ratio.mean().item() - kl_divergence(q, p).item()) <= 4 * error, x


@pytest.mark.parametrize("m", [2, 3, 100])
@pytest.mark.parametrize("x", COSINES)
def test_without_concentration_either_is_uniform(m: int, x: float) -> None:
    q, p = pair(m, 6.5, 0.0, x)
    uniform = HypersphericalUniform(m - 1, dtype=torch.float64)
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, uniform), rtol=1e-13, atol=0)
    torch.testing.assert_close(kl_divergence(p, q), kl_divergence(uniform, q), rtol=1e-13, atol=0)


def test_equal_directions_have_a_closed_form() -> None:
    """At m = 3: log (k + 1) / (l + 1) + (l - k) / (k + 1)."""
    for k, other in product([0.0, 0.5, 9.0, 1e4], repeat=2):
        expected = math.log((k + 1) / (other + 1)) + (other - k) / (k + 1)
        found = kl_divergence(*pair(3, k, other, 1.0)).item()
        assert found == pytest.approx(expected, rel=1e-13, abs=1e-15)
        if k == other:
            assert found == 0


@pytest.mark.parametrize("m", [2, 3, 512])
def test_opposite_directions_cost_the_whole_of_the_concentration(m: int) -> None:
    """E[log 1 - t] = psi(c) - psi(2c + k): finite."""
    for k in (0.0, 0.4, 20.0, 1e4):
        with mpmath.workdps(30):
            c = mpmath.mpf(m - 1) / 2
            exact = reference_kl(m, k, 3.0, mpmath.digamma(c) - mpmath.digamma(2 * c + k))
        assert kl_divergence(*pair(m, k, 3.0, -1.0)).item() == pytest.approx(
            float(exact), rel=1e-12
        )


@pytest.mark.parametrize("m", [2, 3, 512])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_finite_with_its_gradients_everywhere(m: int, dtype: torch.dtype) -> None:
    for k, other, x in product([0.0, 1e-6, 0.4, 1e4, 1e7], [0.0, 1e4], COSINES):
        inputs = along(1.0, m, dtype), along(x, m, dtype)
        scales = torch.tensor([k], dtype=dtype), torch.tensor([other], dtype=dtype)
        leaves = [each.requires_grad_() for each in (*inputs, *scales)]
        q, p = (PowerSpherical(*each) for each in zip(leaves[:2], leaves[2:], strict=True))
        value = kl_divergence(q, p)
        assert value.dtype == dtype
        assert value.item() >= -8 * torch.finfo(dtype).eps * (1 + other)
        for each in (value, *torch.autograd.grad(value, leaves)):
            assert bool(each.isfinite().all()), (k, other, x)


@pytest.mark.parametrize("m", [2, 4, 12])
def test_gradients_are_those_of_finite_differences(m: int) -> None:
    torch.manual_seed(0)
    locs = [torch.randn(4, m, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    scales = [torch.tensor([[0.7], [2.0], [11.0], [90.0]], dtype=torch.float64) for _ in range(2)]
    scales = [scales[0].requires_grad_(), scales[1].flip(0).requires_grad_()]

    def divergence(*inputs: Tensor) -> Tensor:
        loc_q, loc_p, k_q, k_p = inputs
        q = PowerSpherical(normalize(loc_q, dim=-1), k_q, validate_args=False)
        p = PowerSpherical(normalize(loc_p, dim=-1), k_p, validate_args=False)
        return kl_divergence(q, p)

    assert torch.autograd.gradcheck(divergence, (*locs, *scales))
    assert torch.autograd.gradgradcheck(divergence, (*locs, *scales))


def test_single_precision_and_devices_without_double(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = torch.stack([kl_divergence(*pair(m, k, other, -0.2)) for m, k, other in LAWS]).flatten()

    def found() -> Tensor:
        pairs = (
            [build(each.loc.float(), each.scale.item()) for each in pair(m, k, other, -0.2)]
            for m, k, other in LAWS
        )
        return torch.stack([kl_divergence(q, p) for q, p in pairs]).flatten().double()

    torch.testing.assert_close(found(), exact, rtol=3e-7, atol=0)
    monkeypatch.setattr(power_spherical, "widen", lambda x: x)
    torch.testing.assert_close(found(), exact, rtol=3e-6, atol=0)


def test_batches_broadcast() -> None:
    torch.manual_seed(1)
    loc = normalize(torch.randn(5, 4, 3), dim=-1)
    q = PowerSpherical(loc, torch.rand(5, 4, 1) * 9)
    p = PowerSpherical(normalize(torch.randn(2, 1, 1, 3), dim=-1), torch.tensor([3.0]))
    together = kl_divergence(q, p)
    assert together.shape == (2, 5, 4)
    one = kl_divergence(
        PowerSpherical(loc[3, 2], q.scale[3, 2]), PowerSpherical(p.loc[1, 0, 0], p.scale[1, 0, 0])
    )
    torch.testing.assert_close(together[1, 3, 2], one)
    none = PowerSpherical(loc[:0], torch.ones(0, 4, 1))
    assert kl_divergence(none, PowerSpherical(loc[0, 0], torch.ones(1))).shape == (0, 4)
    with pytest.raises(ValueError, match=r"R\^3 and R\^4"):
        kl_divergence(q, build(along(0.0, 4), 1.0))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("how", ["compile", "vmap"])
def test_it_is_compiled_and_vectorised(how: str) -> None:
    torch.manual_seed(2)
    raw = torch.randn(8, 5, requires_grad=True)
    scale = torch.full((8, 1), 3.0, requires_grad=True)
    prior = torch.eye(5)[0]

    def divergence(raw: Tensor, scale: Tensor) -> Tensor:
        q = PowerSpherical(normalize(raw, dim=-1), scale, validate_args=False)
        p = PowerSpherical(prior, torch.ones(1), validate_args=False)
        return kl_divergence(q, p)

    other: Callable[..., Tensor] = torch.vmap(divergence)
    if how == "compile":
        other = torch.compile(divergence, fullgraph=True, backend="aot_eager")
    results = [torch.autograd.grad(f(raw, scale).sum(), (raw, scale)) for f in (divergence, other)]
    for plain, changed in zip(*results, strict=True):
        torch.testing.assert_close(plain, changed)
