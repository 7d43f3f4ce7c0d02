"""Distributions, likelihoods and heads against closed forms, in single and double precision."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from zoo.backbones.mlp import MLP
from zoo.core.component import Selected
from zoo.core.latent_space import Euclidean
from zoo.distributions import DiscretizedLogistic
from zoo.likelihoods import Likelihood
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.likelihoods.discretized_logistic import DiscretizedLogisticPixels
from zoo.likelihoods.gaussian import Gaussian as GaussianLikelihood
from zoo.posteriors.gaussian import MIN_SCALE, Gaussian
from zoo.priors import Given
from zoo.priors.standard_normal import StandardNormal
from zoo.registry import registry
from zoo.settings import Settings

HALF_STEP = 1 / 510
locs = st.floats(-2, 3)
log_scales = st.floats(-7, 3)


def levels(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.arange(256, dtype=dtype) / 255


def discretized(
    loc: float, log_scale: float, dtype: torch.dtype = torch.float64
) -> DiscretizedLogistic:
    return DiscretizedLogistic(torch.tensor(loc, dtype=dtype), torch.tensor(log_scale, dtype=dtype))


def masses(distribution: DiscretizedLogistic) -> Tensor:
    """The 256 masses, normalised: they are checked to sum to one elsewhere."""
    log_masses = distribution.log_prob(levels(distribution.loc.dtype)).double()
    return log_masses.softmax(0)


class TestDiscretizedLogistic:
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-4), (torch.float64, 1e-9)])
    @given(loc=locs, log_scale=log_scales)
    @settings(max_examples=60, deadline=None)
    def test_masses_sum_to_one(
        self, dtype: torch.dtype, tolerance: float, loc: float, log_scale: float
    ) -> None:
        log_masses = discretized(loc, log_scale, dtype).log_prob(levels(dtype))
        assert log_masses.dtype == dtype
        assert log_masses.isfinite().all()
        assert log_masses.double().exp().sum().item() == pytest.approx(1, abs=tolerance)

    @given(loc=locs, log_scale=st.floats(-4, 3))
    @settings(max_examples=60, deadline=None)
    def test_equals_the_difference_of_two_sigmoids(self, loc: float, log_scale: float) -> None:
        """The definition, where subtracting does not cancel; in the tails it has no digits left."""
        edges = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
        below = torch.sigmoid((edges - loc) / math.exp(log_scale))
        below = torch.cat([torch.zeros(1), below, torch.ones(1)])
        expected = below.diff()
        stable = expected > 1e-8
        found = discretized(loc, log_scale).log_prob(levels()).exp()
        torch.testing.assert_close(found[stable], expected[stable], rtol=1e-6, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("loc", [-1e30, -1e6, 0.0, 0.5, 1.0, 1e6, 1e30])
    @pytest.mark.parametrize("log_scale", [-1e6, -7.0, 0.0, 20.0, 60.0, 90.0, 200.0, 1e4])
    def test_finite_with_finite_gradients_for_extreme_parameters(
        self, dtype: torch.dtype, loc: float, log_scale: float
    ) -> None:
        parameters = [torch.tensor(p, dtype=dtype, requires_grad=True) for p in (loc, log_scale)]
        distribution = DiscretizedLogistic(*parameters)
        log_masses = distribution.log_prob(levels(dtype))
        assert log_masses.isfinite().all()
        assert (log_masses <= 1e-6).all()
        for parameter in parameters:
            (gradient,) = torch.autograd.grad(log_masses.sum(), parameter, retain_graph=True)
            assert gradient.isfinite()
        for image in (distribution.mean, distribution.sample((50,))):
            assert ((image >= 0) & (image <= 1)).all()

    @pytest.mark.parametrize("log_scale", [-6.5, -3.0, 0.0, 4.0, 40.0])
    def test_gradients_agree_with_finite_differences(self, log_scale: float) -> None:
        loc = torch.tensor([-0.4, 0.02, 0.5, 0.99, 1.7], dtype=torch.float64, requires_grad=True)
        raw = torch.full((5,), log_scale, dtype=torch.float64, requires_grad=True)
        values = torch.tensor([0, 1, 100, 254, 255], dtype=torch.float64)[:, None] / 255

        def log_prob(loc: Tensor, raw: Tensor) -> Tensor:
            return DiscretizedLogistic(loc, raw).log_prob(values)

        torch.autograd.gradcheck(log_prob, (loc, raw), eps=1e-7, rtol=1e-4, atol=1e-6)

    def test_a_scale_that_ran_away_is_pulled_back(self) -> None:
        """Far beyond the range an inner level's mass falls as 1 / scale: the slope is -1."""
        raw = torch.tensor([50.0, 90.0, 300.0], requires_grad=True)
        distribution = DiscretizedLogistic(torch.tensor(0.5), raw)
        distribution.log_prob(torch.tensor(100 / 255)).sum().backward()
        assert raw.grad is not None
        torch.testing.assert_close(raw.grad, -torch.ones(3))

    @pytest.mark.parametrize("loc", [-0.3, 0.02, 0.5, 0.97])
    @pytest.mark.parametrize("log_scale", [-8.0, -4.0, -1.0])
    def test_samples_follow_the_mass_function(self, loc: float, log_scale: float) -> None:
        distribution, n = discretized(loc, log_scale), 20_000
        torch.manual_seed(0)
        drawn = distribution.sample((n,))
        assert torch.equal((drawn * 255).round() / 255, drawn)
        mass = masses(distribution)
        mean = (mass * levels()).sum()
        deviations = levels() - mean
        variance = (mass * deviations**2).sum()
        fourth = (mass * deviations**4).sum()
        # A bin so rare that n draws may well hold none has no normal error: hence the 2 / n.
        assert abs(drawn.mean() - mean) <= 4 * (variance / n).sqrt() + 2 / n / 255
        found = (drawn - mean).square().mean()
        assert abs(found - variance) <= 4 * ((fourth - variance**2) / n).sqrt() + 2 / n / 255**2

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @given(loc=locs, log_scale=st.floats(-9, 40))
    @settings(max_examples=80, deadline=None)
    def test_mean_is_within_half_a_step_of_the_exact_mean(
        self, dtype: torch.dtype, loc: float, log_scale: float
    ) -> None:
        exact = (masses(discretized(loc, log_scale)) * levels()).sum().item()
        found = discretized(loc, log_scale, dtype).mean
        assert found.dtype == dtype
        tolerance = HALF_STEP if log_scale < math.log(1 / 255) else 2e-4
        assert found.item() == pytest.approx(exact, abs=tolerance + 1e-5)

    def test_shapes_broadcast_and_expand(self) -> None:
        loc, log_scale = torch.rand(4, 1, 5), torch.randn(3, 1)
        distribution = DiscretizedLogistic(loc, log_scale)
        assert distribution.batch_shape == (4, 3, 5)
        assert distribution.sample((2,)).shape == distribution.sample([2]).shape == (2, 4, 3, 5)
        wider = distribution.expand((2, 4, 3, 5))
        value = torch.randint(0, 256, (2, 4, 3, 5)) / 255
        assert wider.batch_shape == wider.sample().shape == (2, 4, 3, 5)
        torch.testing.assert_close(wider.log_prob(value), distribution.log_prob(value))
        torch.testing.assert_close(wider.mean[1], distribution.mean)
        together = Independent(distribution, 2)
        torch.testing.assert_close(
            together.log_prob(value), distribution.log_prob(value).sum((-2, -1))
        )

    def test_validates_like_a_distribution_of_torch(self) -> None:
        half = torch.tensor(0.5)
        with pytest.raises(ValueError, match="loc"):
            DiscretizedLogistic(torch.tensor(math.nan), half, validate_args=True)
        checked = DiscretizedLogistic(half, half, validate_args=True)
        for distribution in (checked, checked.expand((2,))):
            with pytest.raises(ValueError, match="support"):
                distribution.log_prob(torch.tensor(1.5))
        DiscretizedLogistic(half, half, validate_args=False).log_prob(torch.tensor(1.5))

    def test_sampling_takes_no_gradient_and_follows_the_global_seed(self) -> None:
        loc = torch.tensor(0.5, requires_grad=True)
        distribution = DiscretizedLogistic(loc, torch.tensor(-1.0))
        torch.manual_seed(3)
        first = distribution.sample((20,))
        torch.manual_seed(3)
        assert torch.equal(first, distribution.sample((20,)))
        assert not torch.equal(first, distribution.sample((20,)))
        assert not first.requires_grad


def gaussian(shape: tuple[int, ...], **settings: Any) -> GaussianLikelihood:
    return GaussianLikelihood(GaussianLikelihood.Config(**settings), shape)


def head(features: int, dim: int) -> Gaussian:
    return Gaussian(Settings(), partial(nn.Linear, features), dim)


class TestLikelihoods:
    def test_bernoulli_sums_to_one_over_all_images(self) -> None:
        torch.manual_seed(0)
        logits = 3 * torch.randn(1, 1, 2, 3, dtype=torch.float64)
        images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).double()
        images = images.unflatten(1, (1, 2, 3))
        log_prob = Bernoulli(Settings(), (1, 2, 3))(logits).log_prob(images)
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-12)
        logsigmoid = nn.functional.logsigmoid
        expected = images * logsigmoid(logits) + (1 - images) * logsigmoid(-logits)
        torch.testing.assert_close(log_prob, expected.sum((1, 2, 3)))

    def test_gaussian_integrates_to_one(self) -> None:
        likelihood = gaussian((1, 1, 1), scale=0.3)
        grid = torch.linspace(-4, 5, 20_001, dtype=torch.float64).reshape(-1, 1, 1, 1)
        density = likelihood(torch.full((1, 1, 1, 1), 0.4).double()).log_prob(grid).exp()
        assert torch.trapezoid(density, grid.flatten()).item() == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("scale", [1e-3, 0.05, 0.5**0.5, 30.0, 100.0, 1e3])
    @pytest.mark.parametrize("learned", [False, True])
    def test_gaussian_starts_at_the_scale_of_its_configuration(
        self, scale: float, learned: bool
    ) -> None:
        likelihood = gaussian((3, 4, 5), scale=scale, learned=learned)
        assert likelihood.raw_scale.requires_grad is learned
        mean, x = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
        squares = ((x - mean) / scale).square().sum((1, 2, 3))
        expected = -0.5 * squares - 60 * (math.log(scale) + 0.5 * math.log(2 * math.pi))
        torch.testing.assert_close(likelihood(mean).log_prob(x), expected, rtol=1e-4, atol=1e-2)

    def test_a_learned_scale_finds_the_root_mean_square_error(self) -> None:
        likelihood = gaussian((1, 4, 4), scale=0.7, learned=True)
        torch.manual_seed(0)
        x = 0.2 * torch.randn(50, 1, 4, 4)
        optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            (-likelihood(torch.zeros_like(x)).log_prob(x).mean()).backward()
            optimizer.step()
        fitted = likelihood(x).base_dist.scale[0, 0, 0, 0].item()
        assert fitted == pytest.approx(x.square().mean().sqrt().item(), rel=1e-2)

    def test_discretized_logistic_pixels_are_normalised_and_channels_stay_apart(self) -> None:
        torch.manual_seed(0)
        maps = torch.randn(1, 6, 2, 2, dtype=torch.float64)
        pixels = DiscretizedLogisticPixels(Settings(), (3, 2, 2))(maps)
        assert pixels.event_shape == (3, 2, 2)
        per_pixel = pixels.base_dist.log_prob(levels().reshape(256, 1, 1, 1, 1)).exp().sum(0)
        torch.testing.assert_close(per_pixel, torch.ones_like(per_pixel))
        changed = maps.clone()
        changed[0, 1] += 1  # the location of channel 1
        changed[0, 5] += 1  # the scale of channel 2
        x = torch.randint(0, 256, (1, 3, 2, 2)).double() / 255
        before = pixels.base_dist.log_prob(x)
        after = DiscretizedLogisticPixels(Settings(), (3, 2, 2))(changed).base_dist.log_prob(x)
        assert [bool((before != after)[0, c].all()) for c in range(3)] == [False, True, True]

    def test_discretized_logistic_starts_in_mid_grey(self) -> None:
        pixels = DiscretizedLogisticPixels(Settings(), (1, 3, 3))(torch.zeros(1, 2, 3, 3))
        torch.testing.assert_close(pixels.mean, torch.full((1, 1, 3, 3), 0.5))

    @pytest.mark.parametrize("name", sorted({*registry().likelihoods} - {"categorical", "columns"}))
    def test_densities_are_never_taken_in_half_precision(self, name: str) -> None:
        likelihood: Likelihood = Selected.parse("likelihoods", name).build((3, 8, 8))
        torch.manual_seed(0)
        maps = torch.randn(2, likelihood.channels, 8, 8)
        x = torch.randint(0, 2, (2, 3, 8, 8)).float()
        for half in (torch.bfloat16, torch.float16):
            rounded = maps.to(half)
            expected = likelihood(rounded.float()).log_prob(x)
            found = likelihood(rounded).log_prob(x)
            assert found.dtype == torch.float32
            assert torch.equal(found, expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = likelihood(maps.bfloat16()).log_prob(x)
        assert found.dtype == torch.float32
        # A network within a likelihood is one of those that autocast lets compute in 16 bits.
        error = {"rtol": 1e-2, "atol": 0.0} if [*likelihood.parameters()] else {}
        expected = likelihood(maps.bfloat16().float()).log_prob(x)
        torch.testing.assert_close(found, expected, **error)
        double = likelihood.double()(maps.double())
        shown = likelihood.estimate(double)
        assert double.log_prob(x.double()).dtype == shown.dtype == torch.float64


def standard_normal(dim: int) -> StandardNormal:
    return StandardNormal(Settings(), Euclidean(dim), (1, 8, 8))


class TestHeads:
    def test_gaussian_head_has_the_mean_and_scale_of_its_projection(self) -> None:
        posterior = head(6, 4).double()
        features = torch.randn(3, 6, dtype=torch.float64)
        mean, raw = posterior.projection(features).chunk(2, -1)
        q = posterior(features, None)
        assert (q.batch_shape, q.event_shape) == ((3,), (4,))
        torch.testing.assert_close(q.mean, mean)
        torch.testing.assert_close(q.stddev, nn.functional.softplus(raw) + MIN_SCALE)

    def test_a_collapsed_posterior_stays_finite(self) -> None:
        posterior = head(1, 2)
        nn.init.constant_(posterior.projection.bias, -1000.0)
        q = posterior(torch.zeros(1, 1), None)
        assert q.log_prob(q.rsample()).isfinite().all()
        assert (q.stddev >= MIN_SCALE).all()

    def test_gaussian_head_is_float32_under_autocast(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            q = head(6, 4)(torch.randn(3, 6), None)
            log_prob = q.log_prob(q.rsample())
        assert q.mean.dtype == log_prob.dtype == torch.float32

    def test_divergence_from_the_prior_is_the_closed_form(self) -> None:
        mean, scale = torch.randn(3, 4).double(), torch.rand(3, 4).double() + 0.1
        q = Independent(Normal(mean, scale), 1)
        found = kl_divergence(q, standard_normal(4)(Given(mean)))
        expected = 0.5 * (mean**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
    def test_prior_samples_scale_with_temperature(self, temperature: float) -> None:
        prior, given = standard_normal(3), Given(torch.zeros((), dtype=torch.float64))
        one, scaled = (
            prior.sample(5000, given, t, torch.Generator().manual_seed(1)) for t in (1, temperature)
        )
        torch.testing.assert_close(scaled, temperature * one)
        error = 4 / math.sqrt(2 * one.numel())
        assert one.std().item() == pytest.approx(1, abs=error)


def test_a_fully_connected_decoder_mirrors_its_encoder() -> None:
    backbone = MLP(MLP.Config(hidden=(7, 5)))
    encoder, decoder = backbone.encoder((3, 4, 5)), backbone.decoder(2, (6, 4, 5))
    widths = [
        [tuple(layer.weight.shape) for layer in net.layers if isinstance(layer, nn.Linear)]
        for net in (encoder, decoder)
    ]
    assert widths == [[(7, 60), (5, 7)], [(5, 2), (7, 5), (120, 7)]]
    assert encoder(torch.zeros(2, 3, 4, 5)).shape == (2, encoder.out_features) == (2, 5)
    assert decoder(torch.zeros(2, 2)).shape == (2, 6, 4, 5)
