"""Mixtures as posterior and as prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal

import zoo
from zoo.core.latent_space import Euclidean
from zoo.distributions.finite_mixture import EqualMixture, FiniteMixture, normal_log_probs
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.posteriors.gaussian import diagonal_normal
from zoo.posteriors.mixture import MixturePosterior, UniformMixture, without_replacement
from zoo.priors import Given
from zoo.priors.mixture import Mixture
from zoo.priors.vamp import Vamp
from zoo.testing.expect import agree, seed

GIVEN = Given(torch.zeros((), dtype=torch.float64))


def three_components(batch: int = 1) -> UniformMixture:
    """On a line, some apart and some upon each other."""
    means = torch.tensor([[-1.5], [0.2], [0.5]]).double().expand(batch, 3, 1)
    scales = torch.tensor([[0.3], [1.0], [0.2]]).double().expand(batch, 3, 1)
    return UniformMixture(means, scales)


def posterior(components: int = 3) -> MixturePosterior:
    config = MixturePosterior.Config(components=components, width=16)
    return MixturePosterior(config, partial(nn.Linear, 6), 2)


def log_joint(z: Tensor) -> Tensor:
    """Of an x whose likelihood has two modes, and a standard normal prior: (...) of (..., 1)."""
    likelihood = torch.logaddexp(-8 * (z - 1).square(), -2 * (z + 1).square())
    return (likelihood + Normal(0.0, 1.0).log_prob(z)).squeeze(-1)


class TestPosterior:
    def test_the_density_is_that_of_all_components(self) -> None:
        q = three_components()
        z = torch.linspace(-3, 3, 50).double()[:, None]
        each = [
            Normal(m, s).log_prob(z[:, 0]).exp() for m, s in ((-1.5, 0.3), (0.2, 1), (0.5, 0.2))
        ]
        torch.testing.assert_close(q.log_prob(z[:, None])[:, 0].exp(), sum(each) / 3)

    def test_it_integrates_to_one(self) -> None:
        torch.manual_seed(0)
        q = posterior().double()(torch.randn(1, 6).double(), None)
        line = torch.linspace(-8, 8, 201).double()
        points = torch.cartesian_prod(line, line)[:, None]
        total = q.log_prob(points).exp().sum(0) * (16 / 200) ** 2
        torch.testing.assert_close(total, torch.ones(1).double(), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
    def test_no_component_comes_again_before_all_have(self, count: int) -> None:
        torch.manual_seed(0)
        chosen = without_replacement(count, three_components(500))
        assert chosen.shape == (count, 500)
        numbers = torch.stack([(chosen == a).sum(0) for a in range(3)])  # (A, B)
        assert numbers.sum(0).eq(count).all()
        assert (numbers.amax(0) - numbers.amin(0)).max() <= 1
        share = (chosen == 1).double().mean(1)  # of each draw: uniform
        torch.testing.assert_close(share, torch.full_like(share, 1 / 3), rtol=0, atol=0.1)
        assert count == 1 or len(set(map(tuple, chosen.T.tolist()))) > 3  # examples differ

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_the_estimate_of_the_bound_is_unbiased(self, count: int) -> None:
        """Against the sum over all components, each integrated over a grid."""
        torch.manual_seed(0)
        q = three_components(20_000)
        draw = posterior().draw(
            q, diagonal_normal(*torch.zeros(2, 1).double() + 1), (count, 20_000)
        )
        z = draw.apart(draw.z)
        estimates = (log_joint(z) - draw.log_q).mean(0)  # (B,)
        line = torch.linspace(-8, 8, 4001).double()[:, None]
        mixture = three_components()
        weights = [
            Normal(m, s).log_prob(line[:, 0]).exp()
            for m, s in zip(mixture.means[0, :, 0], mixture.scales[0, :, 0], strict=True)
        ]
        value = log_joint(line) - (sum(weights) / 3).log()
        exact = sum((w * value).sum() for w in weights) / 3 * (16 / 4000)
        agree(estimates, torch.full_like(estimates, float(exact)), "estimate of the bound")

    def test_drawing_all_components_varies_less_than_drawing_at_random(self) -> None:
        torch.manual_seed(0)
        q = three_components(20_000)
        p = diagonal_normal(torch.zeros(1).double(), torch.ones(1).double())
        without, at_random = posterior().draw(q, p, (3, 20_000)).z.mean(0), q.rsample((3,)).mean(0)
        # The variances of the components' means, 0.78, and within them, 0.38.
        assert without.var() < 0.5 * at_random.var()
        agree(without, at_random, "means of codes")

    def test_the_gradient_of_the_bound_is_that_of_the_enumeration(self) -> None:
        torch.manual_seed(0)
        count = 20_000
        means = torch.tensor([[-1.5], [0.2], [0.5]]).double().requires_grad_()
        scales = torch.tensor([[0.3], [1.0], [0.2]]).double().requires_grad_()
        many = [each.expand(count, 3, 1) for each in (means, scales)]
        q = UniformMixture(*many)
        p = diagonal_normal(torch.zeros(1).double(), torch.ones(1).double())
        draw = posterior().draw(q, p, (1, count))
        found = torch.autograd.grad(
            (log_joint(draw.z) - q.log_prob(draw.z)).mean(), [means, scales]
        )
        line = torch.linspace(-6, 6, 4001).double()[:, None]
        one = UniformMixture(means, scales)
        density = one.log_prob(line).exp()
        value = (density * (log_joint(line) - one.log_prob(line))).sum() * (12 / 4000)
        for a, b in zip(found, torch.autograd.grad(value, [means, scales]), strict=True):
            torch.testing.assert_close(a, b, rtol=0.1, atol=0.05)

    def test_the_head_is_one_layer_of_features_beside_a_one_hot_vector(self) -> None:
        torch.manual_seed(0)
        part, features = posterior(), torch.randn(4, 6)
        weight = torch.cat([part.of_features.weight, part.of_one_hot.weight], dim=1)
        q = part(features, None)
        for a, one_hot in enumerate(torch.eye(3)):
            inputs = torch.cat([features, one_hot.expand(4, 3)], dim=1)
            hidden = (inputs @ weight.T + part.of_features.bias).relu()
            mean, _ = part.to_parameters(hidden).chunk(2, dim=-1)
            torch.testing.assert_close(q.means[:, a], mean)
        assert (q.means[:, 0] - q.means[:, 1]).abs().min() > 1e-3

    def test_one_posterior_for_each_draw(self) -> None:
        """As in a hierarchy, where a draw decides the posteriors below it."""
        part = posterior()
        q = part(torch.randn(12, 6), None)
        p = diagonal_normal(torch.zeros(2), torch.ones(2))
        assert part.draw(q, p, (3, 4)).log_q.shape == (3, 4)


class TestPrior:
    def test_the_density_is_the_weighted_sum(self) -> None:
        torch.manual_seed(0)
        prior = Mixture(Mixture.Config(components=4), Euclidean(2), (5,)).double()
        with torch.no_grad():
            prior.logits.normal_()
            prior.log_scales.normal_()
        z = torch.randn(20, 2).double()
        weights = prior.logits.softmax(0)
        parts = zip(weights, prior.means, prior.scales, strict=True)
        each = [w * Normal(m, s).log_prob(z).sum(-1).exp() for w, m, s in parts]
        torch.testing.assert_close(prior(GIVEN).log_prob(z).exp(), sum(each))

    def test_codes_have_unit_variance_at_the_start(self) -> None:
        torch.manual_seed(0)
        prior = Mixture(Mixture.Config(components=500), Euclidean(8), (5,))
        codes = prior.sample(20_000, Given(torch.zeros(())), 1.0, seed(0))
        torch.testing.assert_close(codes.std(0), torch.ones(8), rtol=0.1, atol=0)

    def test_the_temperature_scales_the_components_alone(self) -> None:
        torch.manual_seed(0)
        prior = Mixture(Mixture.Config(components=3), Euclidean(2), (5,))
        with torch.no_grad():
            prior.logits.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
            prior.means.mul_(100)
        given = Given(torch.zeros(()))
        cold, usual, hot = (prior.sample(5000, given, t, seed(0)) for t in (0.0, 1.0, 2.0))
        assert len(cold.unique(dim=0)) == 3
        torch.testing.assert_close(hot - cold, 2 * (usual - cold), rtol=1e-3, atol=1e-3)
        shares = torch.stack([(cold == mean).all(-1).double().mean() for mean in prior.means])
        torch.testing.assert_close(
            shares, torch.tensor([0.5, 0.3, 0.2]).double(), rtol=0, atol=0.03
        )


def around(x: Tensor) -> Distribution:
    """A posterior of two numbers for each x."""
    x = x.reshape(*x.shape[: 1 if x.shape[1:] in ((4,), (1, 2, 2)) else 2], 4)
    return diagonal_normal(x[..., :2], 0.1 + x[..., 2:].abs())


class TestNormals:
    """K normals by one product of matrices, against torch's way, in double precision."""

    @pytest.mark.parametrize("shape", [(), (4,), (2, 4)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_densities_and_gradients_are_torch_s(
        self, shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        generator = seed(0)
        parts = {
            "logits": torch.randn(7, generator=generator, dtype=torch.float64),
            "mean": 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64),
            "scale": torch.logspace(-4, 1, 35, dtype=torch.float64).view(7, 5),
            "z": 3 * torch.randn(*shape, 5, generator=generator, dtype=torch.float64),
        }
        found, expected = ({k: v.to(t).requires_grad_() for k, v in parts.items()}
                           for t in (dtype, torch.float64))  # fmt: skip
        ours = FiniteMixture(
            Categorical(logits=found["logits"]), diagonal_normal(found["mean"], found["scale"])
        ).log_prob(found["z"])
        theirs = MixtureSameFamily(
            Categorical(logits=expected["logits"]),
            diagonal_normal(expected["mean"], expected["scale"]),
        ).log_prob(expected["z"])
        assert ours.shape == shape
        assert ours.dtype == dtype
        tolerance = 1e-9 if dtype == torch.float64 else 1e-3  # scales of 1e-4 are rounded
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
        gradients = (
            torch.autograd.grad(of.sum(), list(given.values()))
            for of, given in ((ours, found), (theirs, expected))
        )
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=10 * tolerance, atol=tolerance)

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
    @pytest.mark.parametrize("places", [(), (4,), (2, 1, 4), (0,)])
    def test_of_any_batch(self, batch: tuple[int, ...], places: tuple[int, ...]) -> None:
        generator = seed(1)
        mean = torch.randn(*batch, 7, 5, generator=generator)
        scale = torch.rand(*batch, 7, 5, generator=generator) + 0.1
        z = torch.randn(*places, *batch, 5, generator=generator)
        expected = Normal(mean.double(), scale.double()).log_prob(z.double().unsqueeze(-2)).sum(-1)
        found = normal_log_probs(z, mean, scale)
        assert found.shape == (*places, *batch, 7)
        torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)

    def test_they_are_not_rounded_by_autocast(self) -> None:
        mixture = EqualMixture(
            diagonal_normal(torch.randn(7, 5), torch.ones(7, 5)), torch.zeros(())
        )
        z = torch.randn(3, 5)
        with torch.autocast("cpu", torch.bfloat16):
            found = mixture.log_prob(z)
        torch.testing.assert_close(found, mixture.log_prob(z), rtol=0, atol=0)


class TestVamp:
    def prior(self, shape: Sequence[int] = (1, 2, 2)) -> Vamp:
        torch.manual_seed(0)
        return Vamp(Vamp.Config(components=3), Euclidean(2), tuple(shape)).double()

    def test_the_density_is_the_mean_of_the_posteriors_(self) -> None:
        prior = self.prior()
        z = torch.randn(10, 2).double()
        each = around(prior.pseudo_inputs).log_prob(z[:, None])  # (10, 3)
        expected = each.logsumexp(-1) - math.log(3)
        torch.testing.assert_close(prior(GIVEN._replace(posterior=around)).log_prob(z), expected)

    def test_pseudo_inputs_are_images_or_vectors(self) -> None:
        with torch.no_grad():
            image = self.prior()
            image.values.mul_(100)
            assert ((image.pseudo_inputs >= 0) & (image.pseudo_inputs <= 1)).all()
            vector = self.prior((4,))
            assert vector.pseudo_inputs is vector.values

    def test_samples_are_those_of_the_posteriors(self) -> None:
        prior = self.prior()
        given = GIVEN._replace(posterior=around)
        codes = prior.sample(20_000, given, 1.0, seed(0))
        p = around(prior.pseudo_inputs)
        centre = p.mean.mean(0)
        second = (p.variance + p.mean.square()).mean(0)
        agree(codes, centre.expand_as(codes), "means")
        agree(codes.square(), second.expand_as(codes), "squares")
        torch.testing.assert_close(codes, prior.sample(20_000, given, 1.0, seed(0)))
        with pytest.raises(UnsupportedError, match="temperature must be 1, got 0.5"):
            prior.sample(3, given, 0.5, None)

    @pytest.mark.parametrize("posterior", ["iaf", "planar", "mixture"])
    def test_any_posterior_with_a_density_will_do(self, posterior: str) -> None:
        settings: Any = {"prior": {"name": "vamp", "components": 4}, "latent_dim": 3}
        model = zoo.create("vamp-vae", posterior=posterior, **settings)
        x = torch.rand(5, 1, 8, 8).round()
        draws = model.infer(x, 2)
        q = model.posterior(model.encoder(model.prior.pseudo_inputs), None)
        expected = q.log_prob(draws.z[..., None, :]).logsumexp(-1) - math.log(4)
        torch.testing.assert_close(draws.log_p[..., 0], expected, rtol=1e-3, atol=1e-3)
        assert model.sample_codes(6, generator=seed(0)).shape == (6, 3)

    def test_it_learns_through_its_posteriors(self) -> None:
        model = zoo.create("vamp-vae", latent_dim=3)
        (-model.train().infer(torch.rand(5, 1, 8, 8).round()).elbo.mean()).backward()
        assert model.prior.values.grad.abs().sum() > 0

    def test_models_whose_latents_are_no_posteriors_of_x_are_refused(self) -> None:
        model = zoo.create("univae", posterior="gaussian", prior="vamp")
        with pytest.raises(UnsupportedError, match="the prior 'vamp' is a mixture of posteriors"):
            model.infer(torch.zeros(2, 1, 8, 8))

    def test_a_class_s_samples_are_those_of_its_own_posteriors(self) -> None:
        torch.manual_seed(0)
        model = zoo.create("cvae", prior={"name": "vamp", "components": 4}, latent_dim=2)
        told = torch.tensor([0, 7]).repeat(10_000)
        with torch.no_grad():
            codes = model.sample_codes(20_000, generator=seed(0), condition=told)
            p = model.prior(model._given(model.told(told[:2], codes)))
        for n in range(2):
            own = codes[n::2]
            agree(own, p.mean[n].expand_as(own), "means")
            spread = (p.variance + p.mean.square())[n]
            agree(own.square(), spread.expand_as(own), "squares")
        assert (p.mean[0] - p.mean[1]).abs().max() > 1e-3


def test_a_component_of_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="components"):
        zoo.create("misvae", posterior={"name": "mixture", "components": 0})
    with pytest.raises(DataError, match="pixels must be 0 or 1"):
        zoo.create("misvae").infer(torch.full((1, 1, 8, 8), 0.5))
