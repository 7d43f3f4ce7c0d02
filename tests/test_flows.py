"""Invertible maps, and the posteriors and priors made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import python
from torch import Tensor, nn
from torch.func import jacrev, vmap

import zoo
from zoo.core.component import Selected
from zoo.core.latent_space import Euclidean
from zoo.distributions.flow import Flow, Map
from zoo.distributions.planar import Planar
from zoo.errors import ConfigError
from zoo.nn.flows import START, Autoregressive
from zoo.posteriors.gaussian import diagonal_normal
from zoo.priors import Given
from zoo.testing.expect import seed
from zoo.variants import Variant

ROOT = Path(__file__).parents[1]
POSTERIORS = ("planar", "iaf", "spline")
PRIORS = ("realnvp", "spline")


def lively(module: nn.Module) -> nn.Module:
    """Far from the identity, at which maps start, and in double precision."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "hyper.4" in name or "phi" in name:
                parameter.div_(2 * START)
    return module.double()


def posterior(name: str, dim: int, features: int = 6) -> Any:
    torch.manual_seed(3)
    small = Selected.parse("posteriors", name).component.small
    chosen = Selected.parse("posteriors", {"name": name, **small})
    return lively(chosen.build(partial(nn.Linear, features), dim))


def prior(name: str, dim: int) -> Any:
    torch.manual_seed(3)
    small = Selected.parse("priors", name).component.small
    chosen = Selected.parse("priors", {"name": name, **small})
    return lively(chosen.build(Euclidean(dim), (1, 8, 8)))


GIVEN = Given(torch.zeros((), dtype=torch.float64))


def autoregressive(dim: int, groups: int | None, bins: int | None) -> tuple[Map, Map]:
    torch.manual_seed(1)
    flow: Any = lively(Autoregressive(dim, 4, 3, 16, groups, bins))
    context = torch.randn(4).double()
    return flow.map(context), flow.inverse(context)


def planar(dim: int) -> tuple[Map, Map]:
    torch.manual_seed(1)
    one = Planar(*(3 * torch.randn(n).double() for n in (dim, dim, 1)))
    return one.map, one.inverse


MAPS: dict[str, Callable[[], tuple[Map, Map]]] = {
    "affine": lambda: autoregressive(5, None, None),
    "affine coupling": lambda: autoregressive(5, 2, None),
    "affine of one": lambda: autoregressive(1, None, None),
    "spline": lambda: autoregressive(4, None, 5),
    "spline coupling": lambda: autoregressive(5, 2, 5),
    "spline of one": lambda: autoregressive(1, 2, 5),
    "planar": lambda: planar(4),
    "planar of one": lambda: planar(1),
}
DIMS = {"affine": 5, "affine coupling": 5, "spline": 4, "spline coupling": 5, "planar": 4}


@pytest.mark.parametrize("name", MAPS)
class TestMaps:
    def points(self, name: str) -> Tensor:
        return 2 * torch.randn(20, DIMS.get(name, 1), generator=seed(0)).double()

    def test_there_and_back(self, name: str) -> None:
        there, back = MAPS[name]()
        points = self.points(name)
        images, log_det = there(points)
        again, log_det_back = back(images)
        assert (images - points).abs().mean() > 0.1  # it is not the identity
        torch.testing.assert_close(again, points, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(log_det_back, -log_det, rtol=1e-7, atol=1e-7)

    def test_the_log_determinant_is_that_of_autograd_s_jacobian(self, name: str) -> None:
        there, back = MAPS[name]()
        points = self.points(name)
        for each, at in ((there, points), (back, there(points)[0])):
            found = each(at)[1]
            jacobian = vmap(jacrev(lambda p: each(p)[0]))(at)  # noqa: B023
            torch.testing.assert_close(found, torch.linalg.slogdet(jacobian)[1])


class TestPlanar:
    def test_it_is_invertible_however_its_parameters_lie(self) -> None:
        u, w = torch.eye(2).double() * 50
        for along in (-1.0, -1e-3, 0.0, 1e-3, 1.0):
            one = Planar(along * w, w, torch.zeros(1).double())
            points = torch.linspace(-3, 3, 40).double()[:, None] * torch.ones(2).double()
            images = one.map(points)[0]
            assert ((one.w * images).sum(-1).diff() > 0).all()
            torch.testing.assert_close(one.inverse(images)[0], points, rtol=1e-6, atol=1e-6)
        assert u is not w

    @pytest.mark.parametrize("size", [0.0, 1e-30, 1e-6])
    def test_a_direction_that_vanishes_moves_nothing_far(self, size: float) -> None:
        u = torch.tensor([0.3, -2.0], requires_grad=True)
        w = torch.tensor([size, -size], requires_grad=True)
        one = Planar(u, w, torch.zeros(1))
        assert one.v.norm() <= 2 * u.norm()
        sum(each.sum() for each in one.map(torch.ones(3, 2))).backward()  # type: ignore[union-attr]
        assert u.grad is not None and u.grad.isfinite().all()

    def test_the_constraint_is_the_paper_s(self) -> None:
        u, w = (torch.randn(100, 3, generator=seed(n)).double() for n in (0, 1))
        one = Planar(u, w, torch.zeros(100, 1).double())
        product = (one.v * w).sum(-1)
        expected = torch.log1p((math.e - 1) * (w * u).sum(-1).exp()) - 1
        torch.testing.assert_close(product, expected.clamp(min=-1 + 1e-4))
        across = one.v - u  # along w alone
        torch.testing.assert_close(
            across, (across * w).sum(-1, keepdim=True) * w / w.square().sum(-1, keepdim=True)
        )

    def test_the_inverse_has_the_derivatives_of_a_solution(self) -> None:
        torch.manual_seed(0)
        u, w, b, image = (torch.randn(n).double().requires_grad_() for n in (3, 3, 1, 3))
        assert torch.autograd.gradcheck(
            lambda *each: Planar(*each[:3]).inverse(each[3]), (u, w, b, image), atol=1e-6
        )


def grid(reach: float, count: int) -> tuple[Tensor, float]:
    """Points (count^2, 2) of a square, and the area of each."""
    line = torch.linspace(-reach, reach, count).double()
    return torch.cartesian_prod(line, line), (2 * reach / (count - 1)) ** 2


class TestPosteriors:
    @pytest.mark.parametrize("name", POSTERIORS)
    def test_the_density_integrates_to_one(self, name: str) -> None:
        q = posterior(name, 2)(torch.randn(1, 6, generator=seed(0)).double(), None)
        points, area = grid(12.0, 241)
        total = q.log_prob(points[:, None]).exp().sum(0) * area
        torch.testing.assert_close(total, torch.ones(1).double(), rtol=0, atol=5e-3)

    @pytest.mark.parametrize("name", POSTERIORS)
    def test_a_draw_s_density_is_the_density_at_the_draw(self, name: str) -> None:
        part = posterior(name, 5)
        features = torch.randn(4, 6, generator=seed(0)).double()
        q, p = part(features, None), diagonal_normal(*torch.tensor([[0.0] * 5, [1.0] * 5]).double())
        for shape in ((1, 4), (3, 4)):
            draw = part.draw(q, p, shape)
            z = draw.apart(draw.z)
            assert draw.log_q.shape == shape
            torch.testing.assert_close(draw.log_q, q.log_prob(z), rtol=1e-6, atol=1e-6)
        many = part(features.repeat(3, 1), None)  # one posterior for each draw
        draw = part.draw(many, p, (3, 4))
        assert draw.z.shape == (12, 5)
        torch.testing.assert_close(draw.log_q.flatten(), many.log_prob(draw.z))

    @pytest.mark.parametrize("name", POSTERIORS)
    def test_gradients_of_a_draw_s_density_are_those_at_the_draw(self, name: str) -> None:
        """With the draw's own dependence on the parameters, as the bound's gradient has it."""
        part = posterior(name, 3)
        features = torch.randn(4, 6, generator=seed(0)).double()
        found = []
        for inverts in (False, True):
            torch.manual_seed(0)
            q = part(features, None)
            z, log_q = q.rsample_with_log_prob()
            value = q.log_prob(z) if inverts else log_q
            found.append(torch.autograd.grad(value.sum(), list(part.parameters())))
        for own, inverted in zip(*found, strict=True):
            torch.testing.assert_close(own, inverted, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", POSTERIORS)
    def test_a_step_of_training_inverts_nothing(self, name: str) -> None:
        model = zoo.create("gaussian-vae", posterior=name)
        q = model.posterior(model.features(model.prepared(torch.rand(3, 1, 8, 8).round())), None)
        assert isinstance(q, Flow)

        def refuse(codes: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("inverted")

        q.to_noise = refuse
        draw = model.posterior.draw(q, model.prior(Given(torch.zeros(()))), (2, 3))
        assert draw.kl.shape == (3,)

    @pytest.mark.parametrize("name", ["iaf", "spline"])
    def test_at_the_start_it_is_nearly_a_gaussian(self, name: str) -> None:
        model = zoo.create("gaussian-vae", posterior=name)
        with torch.no_grad():
            draws = model.infer(torch.rand(8, 1, 8, 8).round(), 200)
        z = (draws.z - draws.z.mean(0)) / draws.z.std(0)
        assert z.pow(3).mean().abs() < 0.05
        assert (z.pow(4).mean() - 3).abs() < 0.1

    @pytest.mark.parametrize("name", ["iaf", "spline"])
    def test_an_entry_of_a_map_depends_on_those_before_it_alone(self, name: str) -> None:
        part = posterior(name, 4)
        (first, *_) = part.flow.transforms
        context = torch.randn(part.sizes[-1]).double()
        jacobian = jacrev(first(context))(torch.randn(4).double())
        assert (jacobian.triu(1) == 0).all()
        assert (jacobian[tuple(torch.tril_indices(4, 4))] != 0).all()


class TestPriors:
    @pytest.mark.parametrize("name", PRIORS)
    def test_the_density_integrates_to_one(self, name: str) -> None:
        points, area = grid(12.0, 241)
        total = prior(name, 2)(GIVEN).log_prob(points).exp().sum() * area
        assert total.item() == pytest.approx(1, abs=5e-3)

    @pytest.mark.parametrize("dim", [1, 2, 7])
    @pytest.mark.parametrize("name", PRIORS)
    def test_it_starts_close_to_a_standard_normal(self, name: str, dim: int) -> None:
        p = Selected.parse("priors", name).build(Euclidean(dim), (1, 8, 8))(Given(torch.zeros(())))
        z = torch.randn(500, dim, generator=seed(0))
        standard = diagonal_normal(torch.zeros(dim), torch.ones(dim))
        difference = p.log_prob(z) - standard.log_prob(z)
        assert 0 < difference.abs().mean() < 0.05

    @pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 3.0])
    @pytest.mark.parametrize("name", PRIORS)
    def test_the_generator_s_noise_is_scaled(self, name: str, temperature: float) -> None:
        part = prior(name, 4)
        codes = part.sample(6, GIVEN, temperature, seed(2))
        noise = torch.randn(6, 4, generator=seed(2), dtype=torch.float64)
        torch.testing.assert_close(part(GIVEN).to_noise(codes)[0], temperature * noise)
        assert not codes.requires_grad
        assert part.sample(0, GIVEN, temperature, None).shape == (0, 4)

    @pytest.mark.parametrize("name", PRIORS)
    def test_samples_have_the_density(self, name: str) -> None:
        """The share of samples in a region is the density's integral over it."""
        part = prior(name, 2)
        points, area = grid(12.0, 241)
        density = part(GIVEN).log_prob(points).exp() * area
        codes = part.sample(20_000, GIVEN, 1.0, seed(0))
        for inside in (lambda z: z[:, 0] > 0.35, lambda z: z.sum(-1) < -0.55):
            share, expected = inside(codes).double().mean(), density[inside(points)].sum()
            assert share.item() == pytest.approx(expected.item(), abs=0.015)


WITHOUT = """
import sys
sys.modules["zuko"] = None
import zoo
from zoo.core.component import component_class
assert component_class("priors", "realnvp").section == "priors"
assert zoo.create("gaussian-vae", posterior="planar").code_dim == 20
for part in ("prior=realnvp", "prior=spline", "posterior=iaf", "posterior=spline"):
    try:
        zoo.create("gaussian-vae", **dict([part.split("=")]))
    except zoo.ZooError as error:
        assert "pip install zuko" in str(error), error
    else:
        raise AssertionError(part)
"""
VALIDATION = """
import torch, zoo
zoo.create("flow-prior-vae")
import zuko
try:
    torch.distributions.Normal(0.0, -1.0)
except ValueError:
    print("refused")
"""


def test_without_zuko_the_message_names_the_extra() -> None:
    done = python("-c", WITHOUT)
    assert done.returncode == 0, done.stderr


def test_zuko_does_not_switch_off_what_other_distributions_check() -> None:
    done = python("-c", VALIDATION)
    assert done.stdout.strip() == "refused", done.stderr


class TestBadCombinations:
    @pytest.mark.parametrize("name", [*POSTERIORS, "mixture"])
    def test_a_flat_posterior_s_prior_is_not_the_sphere_s(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"{name!r} lives in a space Euclidean, the prior"):
            zoo.create("gaussian-vae", posterior=name, prior="uniform-sphere")

    @pytest.mark.parametrize("name", [*PRIORS, "mixture", "vamp"])
    def test_a_flat_prior_is_not_for_the_sphere(self, name: str) -> None:
        with pytest.raises(ConfigError, match="choose the prior 'uniform-sphere', or of the pos"):
            zoo.create("vmf-vae", prior=name)

    def test_a_flow_on_a_sphere_is_refused_with_what_lives_there(self) -> None:
        for name in (*POSTERIORS, "mixture"):
            with pytest.raises(ConfigError, match="fit 'uniform-sphere' one of vmf, vmf-fixed, "):
                zoo.create("vmf-vae", posterior=name, prior="uniform-sphere")

    def test_a_flow_in_the_place_of_a_sphere_s_posterior_is_called_what_it_is(self) -> None:
        flat = zoo.create("vmf-vae", posterior="iaf")
        assert isinstance(flat.space, Euclidean)
        assert Variant.find("vmf-vae").described(flat.config) == "vmf-vae with posterior iaf"


def test_vectorised_maps_agree_with_each() -> None:
    """A whole batch of contexts, as a network makes them, is what each makes alone."""
    flow: Any = lively(Autoregressive(3, 4, 2, 16))
    context, points = (torch.randn(5, n, generator=seed(n)).double() for n in (4, 3))
    together = flow.map(context)(points)
    alone = vmap(lambda c, p: flow.map(c)(p))(context, points)
    torch.testing.assert_close(together, alone)
