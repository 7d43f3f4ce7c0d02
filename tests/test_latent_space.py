"""Spaces of codes, and products of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo.core.component import component_class
from zoo.core.latent_space import Euclidean, LatentSpace, Product, Sphere
from zoo.errors import UnsupportedError
from zoo.registry import registry

MIXED = Product((Sphere(3), Euclidean(2), Sphere(2)))
NESTED = Product((Euclidean(1), Product((Sphere(2), Euclidean(1)))))
SPACES = [Euclidean(3), Sphere(3), MIXED, NESTED]


def code(space: LatentSpace, seed: int, *shape: int) -> Tensor:
    """Codes that live in a space."""
    if isinstance(space, Product):
        parts = [code(part, seed + i, *shape) for i, part in enumerate(space.parts)]
        return torch.cat(parts, dim=-1)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(*shape, space.dim, generator=generator).double()
    return normalize(drawn, dim=-1) if isinstance(space, Sphere) else drawn


def lengths(space: Product, codes: Tensor) -> list[Tensor]:
    """Of the parts of codes that are directions."""
    parts = codes.split([part.dim for part in space.parts], dim=-1)
    pairs = zip(space.parts, parts, strict=True)
    return [part.norm(dim=-1) for each, part in pairs if isinstance(each, Sphere)]


@pytest.mark.parametrize("space", SPACES, ids=str)
class TestAnySpace:
    @pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
    def test_paths_lead_from_one_code_to_the_other(
        self, space: LatentSpace, shape: tuple[int, ...]
    ) -> None:
        start, end = code(space, 0, *shape), code(space, 10, *shape)
        path = space.interpolate(start, end, 5)
        assert path.shape == (5, *shape, space.dim)
        torch.testing.assert_close(path[0], start)
        torch.testing.assert_close(path[-1], end)
        torch.testing.assert_close(path.flip(0), space.interpolate(end, start, 5))

    def test_a_traversal_of_nothing_stays(self, space: LatentSpace) -> None:
        start, direction = code(space, 0, 4), code(space, 10, 4)
        moved = space.traverse(start, direction, torch.zeros(2).double())
        torch.testing.assert_close(moved, start.expand(2, 4, -1))

    def test_a_direction_s_length_does_not_count(self, space: LatentSpace) -> None:
        start, direction = code(space, 0, 4), code(space, 10, 4)
        amounts = torch.tensor([-0.3, 0.7]).double()
        once, thrice = (space.traverse(start, c * direction, amounts) for c in (1, 3))
        torch.testing.assert_close(once, thrice)

    def test_a_path_is_a_traversal_by_the_way_between(self, space: LatentSpace) -> None:
        if isinstance(space, Product):
            return  # whose parts are differently far apart
        start, end = code(space, 0), code(space, 10)
        whole = (end - start).norm()
        if isinstance(space, Sphere):
            whole = torch.dot(start, end).acos()
        moved = space.traverse(start, end - start, torch.stack([whole / 2]))
        torch.testing.assert_close(moved[0], space.interpolate(start, end, 3)[1])

    def test_standardized_codes_have_the_shape_of_codes(self, space: LatentSpace) -> None:
        codes = code(space, 0, 2, 3)
        assert space.standardized(codes).shape == codes.shape

    @pytest.mark.parametrize("ask", ["interpolate", "traverse"])
    def test_codes_of_another_dtype_are_refused(self, space: LatentSpace, ask: str) -> None:
        ints = torch.ones(space.dim, dtype=torch.int64)
        third = 3 if ask == "interpolate" else torch.ones(1)
        with pytest.raises(UnsupportedError, match="floating-point"):
            getattr(space, ask)(ints, ints, third)


class TestSphere:
    def test_standardized_directions_have_unit_variance(self) -> None:
        scaled = Sphere(5).standardized(code(Sphere(5), 0, 20_000))
        torch.testing.assert_close(scaled.var(0), torch.ones(5).double(), rtol=0.05, atol=0)

    @pytest.mark.parametrize("m", [1, 0, -3])
    def test_a_sphere_of_no_dimension_is_refused(self, m: int) -> None:
        with pytest.raises(UnsupportedError, match=f"at least 2 numbers, got {m}"):
            Sphere(m)

    def test_what_is_no_direction_is_refused(self) -> None:
        with pytest.raises(UnsupportedError, match="unit vectors"):
            Sphere(3).interpolate(torch.ones(3), torch.ones(3), 3)


class TestProduct:
    def test_its_width_is_that_of_its_parts(self) -> None:
        assert MIXED.dim == 7
        assert NESTED.dim == 4
        assert Product(()).dim == 0

    def test_each_part_goes_its_own_way(self) -> None:
        start, end = code(MIXED, 0, 4), code(MIXED, 10, 4)
        path = MIXED.interpolate(start, end, 4)
        places = [0, 3, 5, 7]
        for part, first, last in zip(MIXED.parts, places, places[1:], strict=False):
            own = part.interpolate(start[:, first:last], end[:, first:last], 4)
            torch.testing.assert_close(path[..., first:last], own)
        assert all(torch.allclose(each, torch.ones_like(each)) for each in lengths(MIXED, path))

    def test_only_the_parts_with_a_direction_move(self) -> None:
        start = code(MIXED, 0, 4)
        direction = torch.zeros(7).double()
        direction[3] = 2.0  # of the flat part alone
        moved = MIXED.traverse(start, direction, torch.tensor([1.5]).double())
        expected = start.clone()
        expected[:, 3] += 1.5
        torch.testing.assert_close(moved[0], expected)

    def test_some_examples_may_move_where_others_stay(self) -> None:
        start = code(MIXED, 0, 2)
        direction = torch.zeros(2, 7).double()
        direction[0, 5:] = torch.stack([-start[0, 6], start[0, 5]])
        moved = MIXED.traverse(start, direction, torch.tensor([math.pi]).double())[0]
        torch.testing.assert_close(moved[0, 5:], -start[0, 5:])
        torch.testing.assert_close(moved[0, :5], start[0, :5])
        torch.testing.assert_close(moved[1], start[1])

    def test_gradients_of_parts_that_stay_are_finite(self) -> None:
        start = code(MIXED, 0).requires_grad_()
        direction = torch.zeros(7).double()
        direction[3] = 1.0
        MIXED.traverse(start, direction, torch.ones(1).double()).sum().backward()
        assert start.grad is not None and start.grad.isfinite().all()

    def test_parts_are_standardized_apart(self) -> None:
        codes = code(MIXED, 0, 5)
        scaled = MIXED.standardized(codes)
        torch.testing.assert_close(scaled[:, :3], 3**0.5 * codes[:, :3])
        torch.testing.assert_close(scaled[:, 3:5], codes[:, 3:5])
        torch.testing.assert_close(scaled[:, 5:], 2**0.5 * codes[:, 5:])


@pytest.mark.parametrize("space", [Euclidean, Sphere])
def test_the_usual_prior_of_a_space_is_registered_and_lives_there(space: type) -> None:
    assert space.usual_prior in registry().priors
    assert component_class("priors", space.usual_prior).space is space
