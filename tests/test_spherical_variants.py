"""What is special to models whose codes lie on the unit sphere, beyond every variant's contract."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import zoo
from zoo.distributions import PowerSpherical, TabulatedVonMisesFisher, VonMisesFisher
from zoo.distributions.bessel_ratio import kl_from_uniform, log_surface_area
from zoo.errors import ConfigError, UnsupportedError
from zoo.priors import Given
from zoo.storage import checkpoint
from zoo.variants.vae import VAE

VARIANTS = ["vmf-vae", "vmf-vae-fixed", "power-spherical-vae"]
every_variant = pytest.mark.parametrize("variant", VARIANTS)
SMALL: dict[str, object] = {"name": "mlp", "hidden": [16]}


def create(variant: str, latent_dim: int = 5, concentration: float | None = None) -> VAE:
    """A small model whose weights are large enough for its terms to vary."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {} if concentration is None else {"concentration": concentration}
    model = zoo.create(variant, latent_dim=latent_dim, backbone=SMALL, **settings)
    assert isinstance(model, VAE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


def pixels(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 2, (batch, 1, 8, 8), generator=generator).float()


def lengths(codes: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(codes, dim=-1)
    return found


def assert_unit(codes: Tensor) -> None:
    assert (lengths(codes) - 1).abs().max() < 1e-6


def assert_same_mean(a: Tensor, b: Tensor) -> None:
    """Over the first dimension, within 4 standard errors."""
    a, b = a.double(), b.double()
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() <= 4 * error + 1e-4).all()


@every_variant
@pytest.mark.parametrize("latent_dim", [2, 3, 11, 128])
def test_codes_have_unit_length(variant: str, latent_dim: int) -> None:
    model, x = create(variant, latent_dim), pixels(200)
    torch.manual_seed(1)
    codes = [model.encode(x), model.infer(x).z[0], model.sample_codes(2000)]
    for each in codes:
        assert each.shape[-1] == latent_dim
        assert_unit(each)
    assert model.sample(3).shape == (3, 1, 8, 8)
    # The prior is uniform: mean 0, variance 1 / m.
    assert codes[2].mean(0).norm() < 5 / math.sqrt(2000)
    assert codes[2].square().mean(0).max() < 1.3 / latent_dim + 0.05


def test_each_variant_has_its_own_posterior() -> None:
    kinds = [VonMisesFisher, TabulatedVonMisesFisher, PowerSpherical]
    assert [type(create(variant).infer(pixels(1)).posteriors[0]) for variant in VARIANTS] == kinds


@pytest.mark.parametrize("variant", ["vmf-vae", "power-spherical-vae"])
def test_the_concentration_is_at_least_one_and_depends_on_x(variant: str) -> None:
    """exp(.) + 1."""
    model, x = create(variant), pixels(50)
    (q,) = model.infer(x).posteriors
    assert isinstance(q, VonMisesFisher | PowerSpherical)
    head = model.posterior.get_submodule("projection")
    raw = head(model.encoder(x))
    torch.testing.assert_close(q.scale, raw[:, -1:].exp() + 1)
    torch.testing.assert_close(q.loc, normalize(raw[:, :-1], dim=-1))
    assert q.scale.min() >= 1
    assert q.scale.std() > 0.01
    assert model.infer(x).kl.std() > 1e-4


@pytest.mark.parametrize("variant", ["vmf-vae", "power-spherical-vae"])
@pytest.mark.parametrize("extreme", [-1e30, -200.0, 200.0, 1e30])
def test_extreme_features_give_finite_bounds(variant: str, extreme: float) -> None:
    """The concentration stays between 1 and 1e7."""
    model, x = create(variant), pixels(4)
    head = model.posterior.get_submodule("projection")
    bias = head.get_parameter("bias")
    with torch.no_grad():
        bias[-1] = extreme
    terms = model.infer(x)
    assert bool(terms.elbo.isfinite().all())
    gradients = torch.autograd.grad(terms.elbo.sum(), list(head.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    (q,) = model.infer(x).posteriors
    assert isinstance(q, VonMisesFisher | PowerSpherical)
    assert 1 <= q.scale.min() <= q.scale.max() <= 1.0001e7


@pytest.mark.parametrize("latent_dim, k", [(2, 1.0), (5, 0.0), (11, 20.0), (64, 100.0), (3, 1e7)])
def test_the_divergence_of_the_fixed_variant_is_a_constant(latent_dim: int, k: float) -> None:
    model = create("vmf-vae-fixed", latent_dim, concentration=k)
    kl = model.infer(pixels(40)).kl
    assert kl.shape == (40, 1)
    expected = kl_from_uniform(torch.tensor(k, dtype=torch.float64), latent_dim).item()
    assert (kl.double() - expected).abs().max() <= 2e-6 * expected
    assert not kl.requires_grad


def test_posterior_and_prior_are_the_same_without_concentration() -> None:
    model, x = create("vmf-vae-fixed", concentration=0.0), pixels(3)
    torch.manual_seed(2)
    weights = model.infer(x, 4).log_weights
    torch.manual_seed(2)
    z = model.infer(x, 4).z
    torch.testing.assert_close(weights, model.decode(z).log_prob(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "variant, latent_dim, concentration",
    [
        ("vmf-vae", 11, None),
        ("vmf-vae", 64, None),
        ("power-spherical-vae", 40, None),
        ("vmf-vae-fixed", 11, None),
        ("vmf-vae-fixed", 3, 0.0),
        ("vmf-vae-fixed", 40, 300.0),
        ("vmf-vae-fixed", 4, 1e6),
    ],
)
def test_weights_and_bound_agree(
    variant: str, latent_dim: int, concentration: float | None
) -> None:
    """The table, the density and the closed-form divergence are one distribution's."""
    model, x, draws = create(variant, latent_dim, concentration), pixels(2), 4000
    torch.manual_seed(3)
    with torch.no_grad():
        weights = model.infer(x, draws).log_weights
        elbos = model.infer(x.repeat(draws, 1, 1, 1)).elbo.view(draws, 2)
    assert_same_mean(weights, elbos)


@every_variant
def test_more_samples_give_a_higher_estimate(variant: str) -> None:
    model, x = create(variant), pixels(1).repeat(500, 1, 1, 1)
    torch.manual_seed(4)
    few, some, many = (model.log_prob(x, samples).double() for samples in (1, 10, 100))
    assert few.mean() < some.mean() < many.mean()
    assert few.std() > some.std() > many.std()


@every_variant
def test_estimates_approach_the_evidence(variant: str) -> None:
    """Which on the circle is a mean over equally spaced codes."""
    model, x = create(variant, 2, 2.0 if variant == "vmf-vae-fixed" else None), pixels(4)
    angle = torch.arange(4000) * (2 * math.pi / 4000)
    circle = torch.stack([angle.cos(), angle.sin()], -1)[:, None].expand(-1, 4, -1)
    with torch.no_grad():
        evidence = model.decode(circle).log_prob(x).logsumexp(0) - math.log(4000)
        torch.manual_seed(5)
        weights = model.infer(x, 40_000).log_weights.double()
    peak = weights.max(0).values
    ratios = (weights - peak).exp()
    error = ratios.std(0) / ratios.mean(0) / math.sqrt(40_000)
    assert ((peak + ratios.mean(0).log() - evidence).abs() <= 4 * error + 1e-4).all()


@every_variant
def test_paths_stay_on_the_sphere(variant: str) -> None:
    model = create(variant)
    start, end = model.encode(pixels(2)).detach()
    path = model.interpolate(start, end, 9)
    assert_unit(path)
    assert torch.equal(path[0], start)
    assert torch.equal(path[-1], end)
    steps = lengths(path.diff(dim=0))
    torch.testing.assert_close(steps, steps[:1].expand(8))
    angles = torch.linspace(-math.pi, math.pi, 7)
    circle = model.traverse(start, end, angles)
    assert_unit(circle)
    torch.testing.assert_close(circle @ start, angles.cos(), rtol=0, atol=1e-6)
    torch.testing.assert_close(circle[0], -start)
    assert model.decode(path).mean.shape == (9, 1, 8, 8)


@every_variant
@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_another_temperature_is_refused(variant: str, temperature: float) -> None:
    model = create(variant)
    for draw in (model.sample_codes, model.sample):
        with pytest.raises(UnsupportedError, match=f"must be 1, got {temperature}"):
            draw(3, temperature)


@every_variant
@pytest.mark.parametrize("latent_dim", [1, 0, 4097])
def test_other_widths_are_refused(variant: str, latent_dim: int) -> None:
    limits = {1: "codes of at least 2 numbers", 0: "'latent_dim': .*greater than or equal to 1"}
    limit = limits.get(latent_dim, "'latent_dim': .*less than or equal to 4096")
    with pytest.raises(ConfigError, match=f"{limit}.*got {latent_dim}"):
        zoo.create(variant, latent_dim=latent_dim)


@pytest.mark.parametrize("concentration", [-1.0, 1.1e7, math.inf, math.nan, "high"])
def test_other_concentrations_are_refused(concentration: float | str) -> None:
    with pytest.raises(ConfigError, match="'concentration'"):
        zoo.create("vmf-vae-fixed", concentration=concentration)


@pytest.mark.parametrize("variant", ["vmf-vae", "power-spherical-vae"])
def test_a_learned_concentration_cannot_be_set(variant: str) -> None:
    with pytest.raises(ConfigError, match="unknown option 'concentration'"):
        zoo.create(variant, concentration=5.0)


def test_a_checkpoint_of_the_fixed_variant_holds_no_table(tmp_path: Path) -> None:
    model = create("vmf-vae-fixed", concentration=35.0)
    x = pixels(3)
    before = set(model.state_dict())
    model.infer(x)
    state = model.state_dict()
    assert set(state) == before == {name for name, _ in model.named_parameters()}
    assert all(tensor.numel() <= 64 * 16 for tensor in state.values())
    checkpoint.save(tmp_path / "m.safetensors", model, variant="vmf-vae-fixed", dataset="digits")
    loaded = zoo.load(tmp_path / "m.safetensors")
    assert isinstance(loaded, VAE)
    assert loaded.config == model.config
    torch.testing.assert_close(loaded.infer(x).kl, model.infer(x).kl)


@every_variant
@pytest.mark.parametrize("latent_dim", [2, 3, 60, 300])
def test_gradients_reach_every_weight(variant: str, latent_dim: int) -> None:
    """Also at widths from where Bessel functions underflow at the first concentrations."""
    model = create(variant, latent_dim).train()
    (-model.infer(pixels(16)).elbo.mean()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


@every_variant
def test_codes_are_of_single_precision_under_autocast(variant: str) -> None:
    """bfloat16 has 8 bits: its unit vectors are none, its concentrations coarse."""
    model, x = create(variant), pixels(20)
    with torch.autocast("cpu", torch.bfloat16):
        (q,) = model.infer(x).posteriors
        terms = model.infer(x)
    assert q.mode.dtype == terms.kl.dtype == torch.float32
    assert_unit(q.mode)
    assert bool(terms.elbo.isfinite().all())


@every_variant
def test_the_prior_has_the_density_of_the_sphere(variant: str) -> None:
    model = create(variant, 7)
    z = model.sample_codes(5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(z, model.sample_codes(5, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(
        model.prior(Given(z)).log_prob(z), torch.full((5,), -log_surface_area(7))
    )


@every_variant
def test_training_improves_the_bound(variant: str, tmp_path: Path) -> None:
    run = zoo.train(
        variant,
        directory=tmp_path,
        epochs=8,
        latent_dim=6,
        backbone={"name": "mlp", "hidden": [64]},
        lr=3e-3,
        progress=False,
    )
    bounds = [record["validation_elbo"] for record in run.history]
    assert bounds[-1] > bounds[0] + 5
    divergences = [record["validation_kl"] for record in run.history]
    if variant == "vmf-vae-fixed":
        expected = kl_from_uniform(torch.tensor(20.0), 6).item()
        assert divergences == pytest.approx([expected] * 8, rel=1e-5)
    else:
        assert divergences[-1] > 0.02
    assert_unit(run.model.encode(pixels(10)))
