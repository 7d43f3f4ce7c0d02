"""Codes on several spheres: their densities, closed forms, paths and training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal, kl_divergence
from torch.nn.functional import normalize

import zoo
from zoo.core.draws import closed_form_kl
from zoo.core.latent_space import Product, Sphere, Spheres
from zoo.distributions import HypersphericalUniform, ProductDistribution, VonMisesFisher
from zoo.distributions.bessel_ratio import kl_from_uniform, log_surface_area
from zoo.errors import ConfigError, UnsupportedError
from zoo.priors import Given
from zoo.variants.vae import VAE


def vmf(m: int, *concentrations: float, seed: int = 0) -> VonMisesFisher:
    generator = torch.Generator().manual_seed(seed)
    loc = torch.randn(len(concentrations), m, dtype=torch.float64, generator=generator)
    scale = torch.tensor(concentrations, dtype=torch.float64).unsqueeze(-1)
    return VonMisesFisher(normalize(loc, dim=-1), scale)


def uniform(*widths: int) -> ProductDistribution:
    return ProductDistribution([HypersphericalUniform(m - 1, dtype=torch.float64) for m in widths])


def circle(count: int) -> Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def create(latent_dim: int, spheres: int | list[int]) -> VAE:
    torch.manual_seed(0)
    model = zoo.create("vmf-product-vae", latent_dim=latent_dim, spheres=spheres, hidden=[16])
    assert isinstance(model, VAE)
    return model.eval()


def pixels(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 2, (count, 1, 8, 8), generator=generator).float()


class TestDistribution:
    def test_it_integrates_to_one_on_the_torus(self) -> None:
        q = ProductDistribution([vmf(2, 3.0), vmf(2, 0.5, seed=1)])
        around = circle(60)
        pairs = torch.cat([around.repeat_interleave(60, 0), around.repeat(60, 1)], dim=-1)
        cell = (2 * math.pi / 60) ** 2
        assert q.log_prob(pairs).exp().sum().item() * cell == pytest.approx(1, abs=1e-12)
        assert uniform(2, 2).log_prob(pairs).exp().sum().item() * cell == pytest.approx(1)

    def test_it_integrates_to_one_on_a_circle_beside_a_sphere(self) -> None:
        """Heights on the sphere of R^3 are uniform."""
        q = ProductDistribution([vmf(2, 2.0), VonMisesFisher(torch.eye(3)[2], torch.tensor([4.0]))])
        height = (torch.arange(4000) + 0.5) / 2000 - 1
        around = torch.stack([(1 - height**2).sqrt(), torch.zeros(4000), height], dim=-1)
        pairs = torch.cat([circle(40).float()[:, None].expand(-1, 4000, -1),
                           around.expand(40, -1, -1)], dim=-1)  # fmt: skip
        total = q.log_prob(pairs).exp().double().sum().item()
        assert total * (2 * math.pi / 40) * (4 * math.pi / 4000) == pytest.approx(1, abs=1e-5)

    def test_the_kl_is_the_sum_of_closed_forms(self) -> None:
        q = ProductDistribution([vmf(2, 0.3, 7.0), vmf(5, 20.0, 400.0), vmf(3, 1.0, 0.0)])
        expected = sum(
            kl_from_uniform(part.concentration, part.m)
            for part in q.parts  # type: ignore[attr-defined]
        )
        torch.testing.assert_close(kl_divergence(q, uniform(2, 5, 3)), expected)
        areas = sum(log_surface_area(m) for m in (2, 5, 3))
        torch.testing.assert_close(q.entropy(), areas - expected)
        other = ProductDistribution([vmf(m, 9.0, 9.0, seed=2) for m in (2, 5, 3)])
        pairs = zip(q.parts, other.parts, strict=True)
        expected = sum(kl_divergence(a, b) for a, b in pairs)
        torch.testing.assert_close(kl_divergence(q, other), expected)

    def test_draws_have_the_moments_of_the_parts(self) -> None:
        torch.manual_seed(0)
        q = ProductDistribution([vmf(2, 2.0), vmf(4, 9.0)])
        z = q.sample((40_000,))[:, 0]
        assert q.mode.tolist() == torch.cat([p.loc for p in q.parts], -1).tolist()  # type: ignore[attr-defined]
        error = (q.variance[0] / len(z)).sqrt()
        assert ((z.mean(0) - q.mean[0]).abs() < 5 * error).all()
        torch.testing.assert_close(z.var(0), q.variance[0], rtol=0.05, atol=0)
        kl, ratio = kl_divergence(q, uniform(2, 4)), q.log_prob(z) - uniform(2, 4).log_prob(z)
        assert abs(ratio.mean() - kl).item() < 5 * ratio.std().item() / 200

    def test_shapes(self) -> None:
        parts = [vmf(2, *[1.0] * 4), HypersphericalUniform(2, dtype=torch.float64)]
        q = ProductDistribution(parts)
        for each, batch in ((q, (4,)), (q.expand((3, 4)), (3, 4))):
            assert (each.batch_shape, each.event_shape) == (batch, (5,))
            assert each.rsample((6,)).shape == (6, *batch, 5)
            assert each.log_prob(each.sample()).shape == each.entropy().shape == batch
            assert kl_divergence(each, uniform(2, 3)).shape == batch

    @pytest.mark.parametrize("parts", [[], [Normal(0.0, 1.0)]])
    def test_what_is_no_product_of_vectors_is_refused(self, parts: list[Distribution]) -> None:
        with pytest.raises(ValueError, match="parts over vectors"):
            ProductDistribution(parts)

    def test_products_of_other_parts_have_no_kl(self) -> None:
        with pytest.raises(ValueError, match=r"widths \[2, 3\] and \[3, 2\]"):
            kl_divergence(uniform(2, 3), uniform(3, 2))

    def test_parts_without_a_closed_form_do_not_hide_those_of_others(self) -> None:
        flat = Independent(Laplace(torch.zeros(2), torch.ones(2)), 1)
        round_ = ProductDistribution([vmf(2, 1.0)])
        assert closed_form_kl(ProductDistribution([flat]), uniform(2)) is None
        assert closed_form_kl(round_, uniform(2)) is not None

    def test_parts_refuse_what_they_would_refuse_alone(self) -> None:
        q = ProductDistribution([VonMisesFisher(torch.eye(2)[0], torch.ones(1), True)] * 2)
        with pytest.raises(ValueError, match="support"):
            q.log_prob(torch.tensor([1.0, 0.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("latent_dim", "spheres", "widths"),
    [(12, 4, (3, 3, 3, 3)), (11, 4, (3, 3, 3, 2)), (2, 1, (2,)), (9, [2, 7], (2, 7))],
)
def test_where_codes_live(latent_dim: int, spheres: Any, widths: tuple[int, ...]) -> None:
    model = create(latent_dim, spheres)
    assert model.space == Spheres(*widths) != Product(tuple(Sphere(m) for m in widths))
    assert model.code_variance == (1 / widths[0] if len(set(widths)) == 1 else None)
    codes = model.sample_codes(500), model.encode(pixels(20)), model.infer(pixels(20), 3).z
    for part in (part for each in codes for part in each.split(widths, dim=-1)):
        torch.testing.assert_close(part.norm(dim=-1), torch.ones(part.shape[:-1]))
    area = sum(log_surface_area(m) for m in widths)
    density = model.prior(Given(codes[0])).log_prob(codes[0])
    torch.testing.assert_close(density, torch.full((500,), -area))
    torch.testing.assert_close(
        model.space.standardized(codes[0]).square().mean(0),
        torch.ones(latent_dim),
        rtol=0.3,
        atol=0,
    )


@pytest.mark.parametrize(
    ("latent_dim", "spheres", "said"),
    [
        (7, 4, "4 spheres need codes of at least 8 numbers, got 7; choose fewer"),
        (9, [3, 5], "spheres of 3, 5 numbers make codes of 8, and 'latent_dim' is 9"),
        (4, [3, 1], "'spheres"),
        (4, [], "'spheres"),
        (4, 0, "'spheres"),
    ],
)
def test_other_spheres_are_refused(latent_dim: int, spheres: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create(latent_dim, spheres)


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        ("vmf", "uniform-spheres"),
        ("vmf-product", "uniform-sphere"),
        ("gaussian", "uniform-spheres"),
    ],
)
def test_a_prior_of_another_space_is_refused(posterior: str, prior: str) -> None:
    with pytest.raises(ConfigError, match=f"{posterior!r} lives in .*{prior!r} in a space"):
        zoo.create("gaussian-vae", latent_dim=8, posterior=posterior, prior=prior)


def test_a_uniform_prior_has_no_temperature() -> None:
    with pytest.raises(UnsupportedError, match="temperature must be 1, got 0.5"):
        create(6, 2).sample_codes(3, 0.5)


def test_one_sphere_is_the_sphere() -> None:
    """The same numbers mean the same posterior as in vmf-vae."""
    several, one = create(5, 1), zoo.create("vmf-vae", latent_dim=5, hidden=[16]).eval()
    one.load_state_dict(several.state_dict())
    x = pixels(4)
    assert torch.equal(several.encode(x), one.encode(x))
    torch.testing.assert_close(several.infer(x).kl, one.infer(x).kl)
    torch.manual_seed(3)
    weights = several.infer(x, 5).log_weights
    torch.manual_seed(3)
    torch.testing.assert_close(weights, one.infer(x, 5).log_weights)


def test_paths_follow_a_great_circle_on_each_sphere() -> None:
    model = create(7, [3, 4])
    start, end = model.encode(pixels(2)).detach()
    path = model.interpolate(start, end, 9)
    assert torch.equal(path[0], start) and torch.equal(path[-1], end)
    for part in path.split([3, 4], dim=-1):
        steps = part.diff(dim=0).norm(dim=-1)
        torch.testing.assert_close(steps, steps[:1].expand(8))
    direction = torch.cat([torch.randn(3), torch.zeros(4)])
    moved = model.traverse(start, direction, torch.tensor([0.0, 1.0]))
    assert torch.equal(moved[:, 3:], start[3:].expand(2, -1))  # no direction there
    assert (moved[1, :3] @ start[:3]).item() == pytest.approx(math.cos(1), abs=1e-6)


def test_training_improves_the_bound_and_files_hold_the_spheres(tmp_path: Path) -> None:
    run = zoo.train(
        "vmf-product-vae", directory=tmp_path, epochs=8, latent_dim=7, spheres=3, hidden=[64],
        lr=3e-3, progress=False,
    )  # fmt: skip
    bounds = [record["validation_elbo"] for record in run.history]
    assert bounds[-1] > bounds[0] + 5
    assert run.history[-1]["validation_kl"] > 0.1
    loaded, x = zoo.load(tmp_path), pixels(5)
    assert loaded.space == Spheres(3, 2, 2)
    assert torch.equal(loaded.encode(x), run.model.encode(x))
    (q,) = loaded.infer(x).posteriors
    assert isinstance(q, ProductDistribution)
    concentrations = torch.cat([part.scale for part in q.parts], dim=-1)  # type: ignore[attr-defined]
    assert concentrations.unique().numel() == 15  # each sphere its own, for each example
