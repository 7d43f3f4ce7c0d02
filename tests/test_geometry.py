"""Paths through latent space: what makes a great circle one, and what has none."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from zoo.errors import UnsupportedError
from zoo.geometry import geodesic_path, great_circle, linear_path, straight_line

seeds = st.integers(0, 10_000)
widths = st.integers(2, 40)
DTYPES = [torch.float32, torch.float64]


def units(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=-1).to(
        dtype
    )


def rotation(seed: int, m: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(m, m, dtype=torch.float64, generator=generator)).Q


def angle(a: Tensor, b: Tensor) -> Tensor:
    return 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))


@settings(max_examples=50, deadline=None)
@given(seeds, widths, st.integers(2, 9))
def test_a_geodesic_is_on_the_sphere_at_constant_speed(seed: int, m: int, steps: int) -> None:
    start, end = units(seed, 2, 3, m)
    path = geodesic_path(start, end, steps)
    assert path.shape == (steps, 3, m)
    assert torch.equal(path[0], start)
    assert torch.equal(path[-1], end)
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(steps, 3).double(), atol=1e-14, rtol=0)
    step = (angle(start, end) / (steps - 1)).expand(steps - 1, 3)
    torch.testing.assert_close(angle(path[1:], path[:-1]), step, atol=1e-12, rtol=1e-10)


@settings(max_examples=50, deadline=None)
@given(seeds, widths, st.integers(2, 6))
def test_a_geodesic_back_is_the_geodesic_reversed(seed: int, m: int, steps: int) -> None:
    start, end = units(seed, 2, m)
    back = geodesic_path(end, start, steps).flip(0)
    torch.testing.assert_close(geodesic_path(start, end, steps), back, atol=1e-15, rtol=0)


@settings(max_examples=50, deadline=None)
@given(seeds, widths)
def test_paths_turn_with_the_sphere(seed: int, m: int) -> None:
    start, end = units(seed, 2, m)
    turn = rotation(seed, m)
    angles = torch.linspace(-4, 7, 5).double()
    for path in (
        lambda a, b: geodesic_path(a, b, 5),
        lambda a, b: great_circle(a, b, angles),
        lambda a, b: linear_path(a, b, 5),
    ):
        turned, original = path(start @ turn.T, end @ turn.T), path(start, end) @ turn.T
        torch.testing.assert_close(turned, original, atol=1e-9, rtol=0)


@settings(max_examples=50, deadline=None)
@given(seeds, widths, st.floats(0.01, math.pi - 0.01))
def test_a_geodesic_is_the_great_circle_towards_its_end(seed: int, m: int, length: float) -> None:
    code, direction = units(seed, 2, m)
    end = great_circle(code, direction, torch.tensor([length]))[0]
    arc = torch.linspace(0, length, 6, dtype=torch.float64)
    expected = great_circle(code, direction, arc)
    torch.testing.assert_close(geodesic_path(code, end, 6), expected, atol=1e-6, rtol=0)


def test_the_formula_of_spherical_interpolation() -> None:
    start, end = units(3, 2, 5)
    w = torch.acos(start @ end)
    t = torch.linspace(0, 1, 7, dtype=torch.float64).unsqueeze(-1)
    expected = (torch.sin((1 - t) * w) * start + torch.sin(t * w) * end) / torch.sin(w)
    torch.testing.assert_close(geodesic_path(start, end, 7), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-6, 1e-9, 1e-30, 0.0])
def test_nearly_equal_codes_are_interpolated_accurately(gap: float, dtype: torch.dtype) -> None:
    """Differences survive: a path of tiny steps moves by equal tiny steps."""
    start = torch.tensor([1.0, 0.0, 0.0], dtype=dtype)
    end = torch.tensor([math.cos(gap), math.sin(gap), 0.0], dtype=dtype)
    path = geodesic_path(start, end, 5)
    expected = torch.sin(gap * torch.linspace(0, 1, 5, dtype=torch.float64)).to(dtype)
    torch.testing.assert_close(path[:, 1], expected, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", [0.0, 1e-20, 1e-8, 1e-6, 1e-4, 1e-2])
def test_gradients_at_nearly_equal_codes(gap: float, dtype: torch.dtype) -> None:
    """In the limit the path is a straight one: (1 - t) of a change at the start, t at the end."""
    start = torch.tensor([1.0, 0.0, 0.0], dtype=dtype).requires_grad_()
    end = torch.tensor([math.cos(gap), math.sin(gap), 0.0], dtype=dtype).requires_grad_()
    code = geodesic_path(start, end, 5)[1, 2]  # out of the plane
    by_start, by_end = torch.autograd.grad(code, (start, end))
    weight = math.sin(0.25 * gap) / math.sin(gap) if gap else 0.25
    other = math.sin(0.75 * gap) / math.sin(gap) if gap else 0.75
    rounding = 8 * torch.finfo(dtype).eps
    assert by_end[2].item() == pytest.approx(weight, rel=rounding)
    assert by_start[2].item() == pytest.approx(other, rel=rounding)
    along = geodesic_path(start, end, 5)[1, 1]
    by_start, by_end = torch.autograd.grad(along, (start, end))
    assert by_start[1].item() + by_end[1].item() == pytest.approx(1, abs=max(gap, rounding))
    assert bool(torch.cat([by_start, by_end]).isfinite().all())


def test_gradients_against_differences() -> None:
    raw_start, raw_end = units(1, 2, 4).unbind()
    raw_start.requires_grad_()
    raw_end.requires_grad_()
    angles = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)

    def geodesic(a: Tensor, b: Tensor) -> Tensor:
        return geodesic_path(normalize(a, dim=-1), normalize(b, dim=-1), 4)

    def circle(a: Tensor, b: Tensor, angles: Tensor) -> Tensor:
        return great_circle(normalize(a, dim=-1), b, angles)

    assert torch.autograd.gradcheck(geodesic, (raw_start, raw_end))
    assert torch.autograd.gradcheck(circle, (raw_start, raw_end, angles))


@settings(max_examples=50, deadline=None)
@given(seeds, widths, st.floats(1e-3, 1e3))
def test_a_great_circle(seed: int, m: int, length: float) -> None:
    code, direction = units(seed, 2, 2, m)
    angles = torch.linspace(-math.pi, math.pi, 9, dtype=torch.float64)
    circle = great_circle(code, length * direction, angles)
    assert circle.shape == (9, 2, m)
    torch.testing.assert_close(circle.norm(dim=-1), torch.ones(9, 2).double(), atol=1e-14, rtol=0)
    torch.testing.assert_close(circle[4], code, atol=1e-15, rtol=0)
    torch.testing.assert_close(circle[0], -code, atol=1e-14, rtol=0)
    turned = (circle @ code.mT).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(turned, angles.cos().unsqueeze(-1).expand(9, 2))
    # It leaves towards the direction, whatever that direction's part along the code.
    assert bool(((circle[6] * direction).sum(-1) > 0).all())
    shifted = great_circle(code, length * (direction + 3 * code), angles)
    torch.testing.assert_close(shifted, circle, atol=1e-8, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_a_straight_path(steps: int, first: float, last: float) -> None:
    start = torch.tensor([[first, 0.0], [1.0, last]])
    end = torch.tensor([last, -1.0])
    path = linear_path(start, end, steps)
    assert path.shape == (steps, 2, 2)
    assert torch.equal(path[0], start)
    assert torch.equal(path[-1], end.expand(2, 2))
    torch.testing.assert_close(path, linear_path(end, start, steps).flip(0), rtol=0, atol=1e-3)
    step = (end - start) / (steps - 1)
    torch.testing.assert_close(path.diff(dim=0), step.expand(steps - 1, 2, 2), rtol=0, atol=1e-3)


def test_codes_broadcast() -> None:
    start, ends = units(0, 6), units(1, 4, 3, 6)
    for path in (linear_path, geodesic_path):
        assert path(start, ends, 5).shape == (5, 4, 3, 6)
        torch.testing.assert_close(path(start, ends, 5)[:, 2, 1], path(start, ends[2, 1], 5))
    angles = torch.linspace(0, 1, 5)
    assert great_circle(start, ends, angles).shape == (5, 4, 3, 6)


@pytest.mark.parametrize("m", [2, 64, 10_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_opposite_codes_have_no_path_and_parallel_directions_no_circle(
    m: int, dtype: torch.dtype
) -> None:
    codes = units(0, 20, m, dtype=dtype)
    rounded = normalize(-3 * codes, dim=-1)
    for opposite in (-codes, rounded):
        with pytest.raises(UnsupportedError, match="opposite.*great_circle"):
            geodesic_path(codes, opposite, 3)
    angles = torch.linspace(0, 1, 3)
    for factor in (0.0, 1.0, -7.3, 1e-6):
        for code in codes:
            with pytest.raises(UnsupportedError, match="parallel"):
                great_circle(code, factor * code, angles)


def test_nearly_opposite_codes_still_have_a_path() -> None:
    gap = 1e-2
    start = torch.tensor([1.0, 0.0])
    end = torch.tensor([-math.cos(gap), math.sin(gap)])
    path = geodesic_path(start, end, 3)
    middle = torch.tensor([math.sin(gap / 2), math.cos(gap / 2)])
    torch.testing.assert_close(path[1], middle, atol=1e-4, rtol=0)
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(3))


CODE = torch.tensor([0.6, 0.8])
ANGLES = torch.zeros(2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: linear_path(CODE, CODE, 1), "at least 2 steps.*got 1"),
        (lambda: geodesic_path(CODE, CODE, 0), "at least 2 steps.*got 0"),
        (lambda: geodesic_path(2 * CODE, CODE, 3), "start.*normalize"),
        (lambda: geodesic_path(CODE, 0 * CODE, 3), "end.*normalize"),
        (lambda: geodesic_path(CODE, CODE * math.nan, 3), "end.*normalize"),
        (lambda: great_circle(2 * CODE, CODE, ANGLES), "code.*normalize"),
        (lambda: great_circle(CODE, CODE.flip(0), torch.tensor(1.0)), "shape \\(A,\\)"),
        (lambda: linear_path(CODE, CODE.double(), 3), "float32 and torch.float64"),
        (lambda: linear_path(CODE.long(), CODE.long(), 3), "floating-point"),
        (lambda: linear_path(CODE, torch.zeros(3), 3), "same width"),
        (lambda: linear_path(CODE, torch.tensor(1.0), 3), "same width"),
    ],
)
def test_mistakes_say_what_to_do(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        call()


def test_a_straight_line_keeps_its_distances_whatever_the_direction_s_length() -> None:
    code, direction = torch.zeros(3), torch.tensor([[0.0, 2.0, 0.0], [5.0, 0.0, 0.0]])
    line = straight_line(code, direction, torch.tensor([1.0, 4.0]))
    assert line.shape == (2, 2, 3)
    assert line.norm(dim=-1).tolist() == [[1.0, 1.0], [4.0, 4.0]]
    with pytest.raises(UnsupportedError, match="points nowhere"):
        straight_line(code, torch.zeros(3), torch.tensor([1.0]))
    with pytest.raises(UnsupportedError, match="got list"):
        straight_line(code, direction, [1.0])  # type: ignore[arg-type]
