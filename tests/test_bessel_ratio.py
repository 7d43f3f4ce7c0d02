"""The Bessel ratio and its integrals against 60-digit values, closed forms and recurrences."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from functools import cache
from itertools import groupby
from pathlib import Path

import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.distributions import constants
from zoo.distributions.bessel_ratio import (
    kl_from_uniform,
    log_growth,
    log_surface_area,
    mean_resultant,
    mean_resultant_complement,
    mean_resultant_derivative,
    series,
)

Row = dict[str, float]
FILE = Path(__file__).parent / "data" / "vmf.json"
DTYPES = [torch.float64, torch.float32]
tolerance = {torch.float64: 1e-12, torch.float32: 2e-6}
FUNCTIONS = [mean_resultant, kl_from_uniform, log_growth, mean_resultant_derivative]
WIDTHS = [2, 3, 4, 5, 11, 64, 1000, 10_000]


def slope_of_kl(k: Tensor, m: int) -> Tensor:
    k = k.clone().requires_grad_()
    (slope,) = torch.autograd.grad(kl_from_uniform(k, m).sum(), k)
    return slope


def slope_of_mean(k: Tensor, m: int) -> Tensor:
    k = k.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mean_resultant(k, m).sum(), k)
    return slope


QUANTITIES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "log_normalizer": lambda k, m: -log_surface_area(m) - log_growth(k, m),
    "mean_resultant": mean_resultant,
    "complement": mean_resultant_complement,
    "entropy": lambda k, m: log_surface_area(m) - kl_from_uniform(k, m),
    "kl_uniform": kl_from_uniform,
    "dkl_dkappa": slope_of_kl,
    "dmean_resultant_dkappa": slope_of_mean,
}


def file_rows() -> list[Row]:
    rows = json.loads(FILE.read_text())
    return [{key: float(value) for key, value in row.items()} for row in rows]


def exact_row(m: int, kappa: float) -> Row:
    """From the hypergeometric function with 40 digits."""
    with mpmath.workdps(40):
        k, half = mpmath.mpf(kappa), mpmath.mpf(m) / 2
        below, above = (mpmath.hyp0f1(b, k * k / 4, maxterms=10**6) for b in (half, half + 1))
        a, growth = k / m * above / below, mpmath.log(below)
        area = mpmath.log(2) + half * mpmath.log(mpmath.pi) - mpmath.loggamma(half)
        kl, variance = k * a - growth, 1 - a * a - (m - 1) * a / k
        named = {
            "m": m, "kappa": k, "log_normalizer": -area - growth,
            "mean_resultant": a, "complement": 1 - a, "entropy": area - kl, "kl_uniform": kl,
            "dkl_dkappa": k * variance, "dmean_resultant_dkappa": variance,
        }  # fmt: skip
        return {key: float(value) for key, value in named.items()}


@cache
def random_rows() -> list[Row]:
    """At 400 points that float32 holds exactly, m from 2 to 10,000 and kappa from 1e-6 to 1e7."""
    draw = random.Random(20)
    rows = []
    for _ in range(400):
        m = round(math.exp(draw.uniform(math.log(2), math.log(10_000))))
        kappa = torch.tensor(10 ** draw.uniform(-6, 7), dtype=torch.float32).item()
        rows.append(exact_row(m, kappa))
    return rows


def check(rows: Iterable[Row], dtype: torch.dtype) -> None:
    for m, group in groupby(sorted(rows, key=by_width), key=by_width):
        points = list(group)
        k = torch.tensor([row["kappa"] for row in points], dtype=dtype)
        for name in QUANTITIES.keys() & points[0].keys():
            values = QUANTITIES[name](k, int(m))
            assert values.dtype == dtype
            assert bool(values.isfinite().all()), (name, m)
            for row, value in zip(points, values.tolist(), strict=True):
                error = abs(value - row[name])
                assert error <= allowed(name, row, dtype), (name, m, row["kappa"])


def by_width(row: Row) -> float:
    return row["m"]


def allowed(name: str, row: Row, dtype: torch.dtype) -> float:
    """Relative, but sums with the log of the area, which cross zero, round by its size."""
    relative = tolerance[dtype] * abs(row[name])
    if name in ("log_normalizer", "entropy"):
        return relative + 2 * torch.finfo(dtype).eps * max(1, abs(log_surface_area(int(row["m"]))))
    return relative


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sixty_digit_values(dtype: torch.dtype) -> None:
    rows = file_rows()
    assert len(rows) == 361
    check(rows, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_points(dtype: torch.dtype) -> None:
    check(random_rows(), dtype)


def test_the_forty_digit_values_are_right() -> None:
    """What the random points are compared with, at points of the file where it is quick."""
    for row in file_rows()[::3]:
        if row["kappa"] < 1e5:
            exact = exact_row(int(row["m"]), row["kappa"])
            assert all(math.isclose(exact[key], row[key], rel_tol=1e-15) for key in row)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10_000), st.floats(-6, 7), st.sampled_from(DTYPES))
def test_any_point(m: int, exponent: float, dtype: torch.dtype) -> None:
    kappa = torch.tensor(10**exponent, dtype=dtype).item()
    if kappa > 100 * m or kappa < 3000:  # elsewhere the exact values take seconds
        check([exact_row(m, kappa)], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", WIDTHS)
def test_no_concentration(m: int, dtype: torch.dtype) -> None:
    """A = k / m + ..., so that A'(0) = 1 / m, K''(0) = 1 / m and F''(0) = 1 / m."""
    k = torch.zeros((), dtype=dtype, requires_grad=True)
    for function in (mean_resultant, kl_from_uniform, log_growth):
        assert function(k, m).item() == 0
    assert mean_resultant_complement(k, m).item() == 1
    slopes = [torch.autograd.grad(f(k, m), k, create_graph=True)[0] for f in FUNCTIONS]
    assert slopes[0].item() == pytest.approx(1 / m, rel=tolerance[dtype])
    assert [slope.item() for slope in slopes[1:3]] == [0, 0]
    assert abs(slopes[3].item()) < 8 * torch.finfo(dtype).eps / m
    curves = [torch.autograd.grad(slope, k, retain_graph=True)[0].item() for slope in slopes[:3]]
    assert curves == pytest.approx(
        [0, 1 / m, 1 / m], rel=tolerance[dtype], abs=8 * torch.finfo(dtype).eps / m
    )
    # A = k / m - k^3 / (m^2 (m + 2)) + ...
    (curve,) = torch.autograd.grad(slopes[3], k)
    assert curve.item() == pytest.approx(
        -6 / (m * m * (m + 2)), rel=1e-8 if dtype == torch.float64 else 1e-3
    )


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("m", [2, 3, 4, 11, 300])
def test_gradients(function: Callable[[Tensor, int], Tensor], m: int) -> None:
    values = [0.0, 1e-3, 0.7, 3.0, 20.0, 250.0]
    k = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: function(k, m), k)
    assert torch.autograd.gradgradcheck(lambda k: function(k, m), k)


@pytest.mark.parametrize("kappa", [1e4, 1e7])
def test_second_derivatives_at_large_concentrations(kappa: float) -> None:
    """At m = 3 A = 1 - 1/k up to e^-2k, so that A'' = -2/k^3, K' = 1/k and K'' = -1/k^2."""
    for dtype in DTYPES:
        k = torch.tensor(kappa, dtype=dtype, requires_grad=True)
        for function, expected in (
            (mean_resultant, -2 / kappa**3),
            (kl_from_uniform, -(kappa**-2)),
        ):
            (slope,) = torch.autograd.grad(function(k, 3), k, create_graph=True)
            (curve,) = torch.autograd.grad(slope, k)
            assert curve.item() == pytest.approx(expected, rel=100 * tolerance[dtype])


concentrations = st.floats(-6, 7).map(lambda exponent: 10**exponent)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 10_000), concentrations)
def test_the_recurrence_over_dimensions(m: int, kappa: float) -> None:
    k = torch.tensor(kappa, dtype=torch.float64)
    expected = 1 / (m / k + mean_resultant(k, m + 2))
    torch.testing.assert_close(mean_resultant(k, m), expected, rtol=1e-13, atol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 10_000), concentrations)
def test_bounds(m: int, kappa: float) -> None:
    """Of Amos (1974), those nearest for large and for small concentrations."""
    order, k = 0.5 * m - 1, torch.tensor(kappa, dtype=torch.float64)
    value = mean_resultant(k, m).item()
    lower = kappa / (order + 0.5 + math.hypot(kappa, order + 1.5))
    upper = kappa / (order + 0.5 + math.hypot(kappa, order + 0.5))
    other = kappa / (order + math.hypot(kappa, order + 2))
    assert lower * (1 - 1e-13) <= value <= min(upper, other) * (1 + 1e-13)
    assert value < 1
    assert 0 < mean_resultant_derivative(k, m).item() <= (1 + 1e-13) / m
    assert 0 < kl_from_uniform(k, m).item() <= kappa * value <= kappa
    assert log_growth(k, m).item() > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10_000), concentrations, st.floats(1e-3, 3))
def test_everything_grows_with_the_concentration(m: int, kappa: float, step: float) -> None:
    k = torch.tensor([kappa, kappa * (1 + step)], dtype=torch.float64)
    for function in (mean_resultant, kl_from_uniform, log_growth):
        low, high = function(k, m).tolist()
        assert low < high or (function is mean_resultant and high > 1 - 1e-12)
    for shrinking in (mean_resultant_complement, mean_resultant_derivative):
        high, low = shrinking(k, m).tolist()
        assert low <= high * (1 + 1e-13)
    assert mean_resultant(k[:1], m) > mean_resultant(k[:1], m + 1)


def test_closed_form_on_the_sphere_in_three_dimensions() -> None:
    """F = log(sinh k / k), A = coth k - 1/k."""
    k = torch.logspace(-1, 7, 200, dtype=torch.float64)
    torch.testing.assert_close(mean_resultant(k, 3), 1 / k.tanh() - 1 / k, rtol=1e-12, atol=0)
    growth = k + torch.log(-torch.expm1(-2 * k) / (2 * k))
    torch.testing.assert_close(log_growth(k, 3), growth, rtol=1e-12, atol=1e-14)


def test_closed_form_on_the_circle() -> None:
    k = torch.logspace(-6, 7, 300, dtype=torch.float64)
    expected = torch.special.i1e(k) / torch.special.i0e(k)
    torch.testing.assert_close(mean_resultant(k, 2), expected, rtol=1e-13, atol=0)
    growth = torch.special.i0e(k).log() + k
    torch.testing.assert_close(log_growth(k, 2), growth, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", WIDTHS)
def test_the_complement_adds_to_one(m: int, dtype: torch.dtype) -> None:
    k = torch.logspace(-6, 7, 200, dtype=dtype)
    total = mean_resultant(k, m) + mean_resultant_complement(k, m)
    assert (total - 1).abs().max() <= 2 * torch.finfo(dtype).eps


def test_single_precision_at_very_large_concentrations() -> None:
    """1 - A = (m-1) / (2k) - (m-1)(m-3) / (8 k^2) - ..., of which 1 - A(k) keeps not one digit."""
    k = torch.tensor([1e7, 1e12, 1e18])
    for m in (2, 3, 64):
        exact = (m - 1) / (2 * k.double()) - (m - 1) * (m - 3) / (8 * k.double().square())
        torch.testing.assert_close(
            mean_resultant_complement(k, m).double(), exact, rtol=1e-6, atol=0
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kappa", [1e-30, 1e-12, 1e12, 1e18])
def test_nothing_overflows_far_outside_the_range(kappa: float, dtype: torch.dtype) -> None:
    for m in (2, 3, 1000):
        k = torch.tensor(kappa, dtype=dtype, requires_grad=True)
        for function in FUNCTIONS:
            value = function(k, m)
            (slope,) = torch.autograd.grad(value, k)
            assert math.isfinite(value.item()) and math.isfinite(slope.item()), (function, m)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 0, 3)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    k = torch.full(shape, 2.5)
    for function in (*FUNCTIONS, mean_resultant_complement):
        value = function(k, 7)
        assert value.shape == shape
        single = function(torch.tensor(2.5), 7)
        torch.testing.assert_close(value, single.expand(shape), rtol=1e-6, atol=0)


def test_gradients_after_a_first_use_in_inference_mode() -> None:
    """What is kept for later must not be inference tensors."""
    constants._made.clear()
    with torch.inference_mode():
        assert all(bool(f(torch.tensor([3.0]), 23).isfinite()) for f in FUNCTIONS)
        assert not any(
            each.is_inference() for each in series(23, torch.float32, torch.device("cpu"))
        )
    k = torch.tensor([3.0], requires_grad=True)
    for function in FUNCTIONS:
        (slope,) = torch.autograd.grad(function(k, 23).sum(), k, create_graph=True)
        (curve,) = torch.autograd.grad(slope, k)
        assert bool(curve.isfinite().all())


@pytest.mark.parametrize("m", [1, 0, -3])
def test_a_sphere_needs_two_dimensions(m: int) -> None:
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match=f"at least 2, got {m}"):
            function(torch.ones(1), m)


@pytest.mark.parametrize("m, area", [(2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)])
def test_surface_areas(m: int, area: float) -> None:
    assert log_surface_area(m) == pytest.approx(math.log(area), rel=1e-15)
