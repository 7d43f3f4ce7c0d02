"""Draws, and all that is written once on them, against models whose evidence is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, Poisson

import zoo
from zoo.core import bounds
from zoo.core.batch import Batch
from zoo.core.condition import ConditionConfig
from zoo.core.draws import Draws, LatentDraw, closed_form_kl, drawn
from zoo.errors import DataError, UnsupportedError
from zoo.objectives import Step
from zoo.objectives.elbo import ELBO
from zoo.objectives.iwae import IWAE
from zoo.testing.known import LinearGaussian, LinearGaussianConfig, integrated_evidence
from zoo.testing.small import small_settings
from zoo.variants import Variant
from zoo.variants.autoencoder import Autoencoder, AutoencoderConfig
from zoo.variants.vae import VAE, VAEConfig


def linear(widening: float = 1.0) -> LinearGaussian:
    torch.manual_seed(0)
    config = LinearGaussianConfig(input_shape=(5,), latent_dim=2, widening=widening)
    return LinearGaussian(config).double().eval()


def examples(count: int) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(1)).double()


def near(found: Tensor, expected: Tensor) -> None:
    """The mean over the first axis is within 4 standard errors."""
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - expected).abs() <= 4 * error + 1e-9).all()


class TestKnownEvidence:
    def test_with_the_true_posterior_every_weight_is_the_evidence(self) -> None:
        model, x = linear(), examples(4)
        draws = model.infer(x, 7)
        exact = model.evidence(x)
        torch.testing.assert_close(draws.log_weights, exact.expand(7, 4))
        torch.testing.assert_close(draws.log_evidence, exact)
        torch.testing.assert_close(model.log_prob(x, 3), exact)

    @pytest.mark.parametrize("widening", [0.7, 1.5])
    def test_the_elbo_falls_short_by_the_divergence_from_the_true_posterior(
        self, widening: float
    ) -> None:
        model, x = linear(widening), examples(3)
        draws = model.infer(x, 4000)
        near(draws.log_likelihood - draws.kl.sum(-1), model.expected_elbo(x))
        near(draws.log_weights, model.expected_elbo(x))
        assert (model.expected_elbo(x) < model.evidence(x) - 0.01).all()

    def test_the_weights_are_unbiased_and_their_error_is_as_estimated(self) -> None:
        model, x = linear(1.5), examples(3)
        found = bounds.log_evidence(model, Batch(x), 20_000)
        off = (found.log_p - model.evidence(x)).abs()
        assert (off < 4 * found.variance.sqrt()).all()
        assert (found.variance.sqrt() < 0.02).all()  # the check has teeth
        repeated = torch.stack([bounds.log_evidence(model, Batch(x), 50).log_p for _ in range(300)])
        estimated = bounds.log_evidence(model, Batch(x), 20_000).variance * 20_000 / 50
        torch.testing.assert_close(repeated.var(0), estimated, rtol=0.4, atol=0)

    def test_more_samples_tighten_the_bound(self) -> None:
        model, x = linear(2.0), examples(1).repeat(400, 1)
        one, few, many = (model.log_prob(x, samples) for samples in (1, 5, 50))
        assert one.mean() < few.mean() < many.mean() < model.evidence(x)[0] + 0.05
        assert many.std() < few.std() < one.std()

    def test_a_grid_integrates_what_samples_estimate(self) -> None:
        torch.manual_seed(0)
        model = VAE(VAEConfig(input_shape=(1, 2, 2), latent_dim=1)).double().eval()
        with torch.no_grad():  # wider than the true one, so that weights are bounded
            model.posterior.projection.bias[1:] += 1.0
        images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
        x = images.reshape(-1, 1, 2, 2)
        exact = integrated_evidence(model, x)
        assert exact.exp().sum().item() == pytest.approx(1)  # over all sixteen
        found = bounds.log_evidence(model, Batch(x), 20_000)
        assert ((found.log_p - exact).abs() < 5 * found.variance.sqrt()).all()

    def test_a_grid_agrees_with_the_closed_form(self) -> None:
        config = LinearGaussianConfig(input_shape=(5,), latent_dim=1)
        model, x = LinearGaussian(config).double(), examples(3)
        torch.testing.assert_close(integrated_evidence(model, x), model.evidence(x).detach())

    def test_objectives_are_minus_their_bounds(self) -> None:
        model, x = linear(1.5), examples(2000)
        elbo = -ELBO(ELBO.Config()).loss(model.infer(x), Step()).value
        iwae = -IWAE(IWAE.Config(samples=50)).loss(model.infer(x, 50), Step()).value
        exact = model.evidence(x).mean()
        assert elbo.item() == pytest.approx(model.expected_elbo(x).mean().item(), abs=0.1)
        assert elbo < iwae < exact + 0.01


class TestBoundsInPieces:
    @pytest.mark.parametrize(
        ("samples", "chunk", "parts"), [(5, 1, [1] * 5), (5, 8, [2, 2, 1]), (5, 10**6, [5])]
    )
    def test_exactly_the_samples_asked_for_in_bounded_memory(
        self, samples: int, chunk: int, parts: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, x = linear(), examples(4)
        asked: list[int] = []
        infer = model.infer

        def counting(batch: Batch, samples: int = 1) -> Draws:
            asked.append(samples)
            return infer(batch, samples)

        monkeypatch.setattr(model, "infer", counting)
        found = model.log_prob(x, samples, chunk)
        assert asked == parts
        torch.testing.assert_close(found, model.evidence(x).detach())

    @pytest.mark.parametrize("variant", ["gaussian-vae", "cvae", "vmf-vae", "nvae-lite", "univae"])
    def test_values_are_looked_at_once(self, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """An accelerator's host waits at each look, so not for every chunk, nor again by parts."""
        found = Variant.find(variant)
        model = zoo.create(variant, **small_settings(found.model, found.settings({})))
        told = torch.arange(4) if model.conditioning else None
        batch = Batch(torch.zeros(4, *model.modality.shape), told)
        looks: list[str] = []
        modality, condition = type(model.modality), ConditionConfig
        for cls in (modality, condition):
            look = cls.check_values

            def counting(self: object, *given: object, _look: Any = look) -> None:
                looks.append(type(self).__name__)
                _look(self, *given)

            monkeypatch.setattr(cls, "check_values", counting)
        once = [modality.__name__] + ["ConditionConfig"] * (told is not None)
        model.log_prob(batch, 6, chunk=8)
        assert looks == once
        looks.clear()
        model.log_posteriors(batch)
        assert looks == once
        looks.clear()
        assert model.infer(batch).log_weights.isfinite().all()
        assert looks == once

    def test_values_are_still_looked_at(self) -> None:
        model = VAE(VAEConfig(input_shape=(5,), latent_dim=2)).eval()
        for ask in (lambda x: model.log_prob(x, 4, chunk=2), model.log_posteriors):
            with pytest.raises(DataError, match="must be 0 or 1"):
                ask(torch.full((2, 5), 0.5))

    def test_posteriors_of_all_pairs(self) -> None:
        model, x = linear(1.3), examples(3)
        torch.manual_seed(2)
        found = model.log_posteriors(x)
        torch.manual_seed(2)
        codes = model.infer(x).z[0]
        for i, j in itertools.product(range(3), repeat=2):
            expected = model.posterior(x[j : j + 1]).log_prob(codes[i : i + 1])[0]
            torch.testing.assert_close(found[i, j], expected.detach())

    def test_models_without_evidence_have_neither(self) -> None:
        model = Autoencoder(AutoencoderConfig(input_shape=(5,), likelihood="gaussian"))
        x = examples(2).float()
        with pytest.raises(UnsupportedError, match="not defined"):
            model.log_prob(x, 2)
        with pytest.raises(UnsupportedError, match="no posterior density"):
            model.log_posteriors(x)
        draws = model.infer(x, 3)
        assert draws.kl.shape == (2, 0)
        torch.testing.assert_close(draws.elbo, draws.log_likelihood.mean(0))


def normal(mean: float, *shape: int) -> Independent:
    return Independent(Normal(torch.full(shape, mean), 1.0), 1)


class TestLatentDraw:
    def test_the_closed_form_is_taken_where_there_is_one(self) -> None:
        q, p = normal(0.5, 4, 2), normal(0.0, 4, 2)
        draw = LatentDraw(q.rsample(torch.Size([3])), q, p, (3, 4))
        torch.testing.assert_close(draw.kl, torch.full((4,), 0.25))
        torch.testing.assert_close(draw.kl_by_dimension, torch.full((4, 2), 0.125))

    def test_else_the_mean_over_the_draws(self) -> None:
        q, p = normal(0.5, 4, 2), torch.distributions.StudentT(torch.full((4, 2), 3.0))
        draw = LatentDraw(q.rsample(torch.Size([5])), q, Independent(p, 1), (5, 4))
        assert closed_form_kl(q, Independent(p, 1)) is None
        torch.testing.assert_close(draw.kl, (draw.log_q - draw.log_p).mean(0))
        assert draw.kl_by_dimension is None

    def test_maps_are_summed_over_their_places(self) -> None:
        """(S B, H, W) distributions over L numbers each: what hierarchies draw."""
        q, p = normal(1.0, 6, 2, 3, 4), normal(0.0, 6, 2, 3, 4)
        z = q.rsample()
        draw = LatentDraw(z, q, p, (3, 2))
        assert draw.apart(draw.z).flatten(2).shape == (3, 2, 24)
        expected = p.log_prob(z).sum((1, 2)).view(3, 2)
        torch.testing.assert_close(draw.log_p, expected)
        torch.testing.assert_close(draw.log_weight, draw.log_p - draw.log_q)
        torch.testing.assert_close(draw.kl, torch.full((2,), 12.0))

    def test_a_density_found_while_drawing_is_not_computed_again(self) -> None:
        q = normal(0.0, 4, 2)
        draw = LatentDraw(torch.zeros(4, 2), q, q, (2, 2), log_q=torch.arange(4.0))
        assert draw.log_q.tolist() == [[0.0, 1.0], [2.0, 3.0]]

    @pytest.mark.parametrize("shape", [(1, 0), (3, 0)])
    def test_of_no_examples_everything_is_empty(self, shape: tuple[int, int]) -> None:
        q = normal(0.0, 0, 2)
        draw = LatentDraw(torch.zeros(*shape, 2), q, normal(0.0, 2), shape)
        assert draw.log_q.shape == draw.log_p.shape == shape
        assert draw.kl.shape == (0,)


class TestDraws:
    @staticmethod
    def grouped() -> Draws:
        """Two groups of 2 and 3 numbers, 4 draws of 5 examples."""
        latents = []
        for width, mean in ((2, 0.5), (3, 1.0)):
            q, p = normal(mean, 5, width), normal(0.0, 5, width)
            latents.append(LatentDraw(q.rsample(torch.Size([4])), q, p, (4, 5)))
        x = torch.zeros(5, 2)
        return Draws(latents, lambda: normal(0.0, 4, 5, 2), Batch(x), lambda: torch.ones(5, 5))

    def test_groups_stand_side_by_side(self) -> None:
        draws = self.grouped()
        assert draws.z.shape == (4, 5, 5)
        torch.testing.assert_close(draws.kl, torch.tensor([0.25, 1.5]).expand(5, 2))
        assert draws.log_p.shape == draws.log_q.shape == (4, 5, 2)
        assert len(draws.posteriors) == 2
        assert draws.kl_by_dimension is None

    def test_the_parts_make_the_bounds(self) -> None:
        draws = self.grouped()
        weights = draws.log_likelihood + (draws.log_p - draws.log_q).sum(-1)
        torch.testing.assert_close(draws.log_weights, weights)
        torch.testing.assert_close(draws.log_evidence, weights.exp().mean(0).log())
        torch.testing.assert_close(draws.elbo, draws.log_likelihood.mean(0) - draws.kl.sum(-1))

    def test_nothing_is_computed_before_it_is_asked_for(self) -> None:
        q, asked = normal(0.0, 5, 2), []

        def likelihood() -> Independent:
            asked.append("likelihood")
            return normal(0.0, 3, 5, 2)

        def code() -> Tensor:
            asked.append("code")
            return q.mean

        latent = LatentDraw(q.rsample(torch.Size([3])), q, q, (3, 5))
        draws = Draws([latent], likelihood, Batch(torch.zeros(5, 2)), code)
        assert draws.kl.shape == (5, 1)
        assert asked == []
        assert draws.elbo is draws.elbo
        assert draws.code is draws.code
        assert asked == ["likelihood", "code"]

    def test_only_what_is_observed_counts(self) -> None:
        q = normal(0.0, 2, 3)
        latent = LatentDraw(q.rsample(torch.Size([1])), q, q, (1, 2))
        x = torch.tensor([[0.0, 5.0], [2.0, torch.nan]])
        observed = torch.tensor([[True, True], [True, False]])
        draws = Draws(
            [latent], lambda: normal(0.0, 1, 2, 2), Batch(x, None, observed), lambda: q.mean
        )
        expected = torch.stack(
            [Normal(0.0, 1.0).log_prob(x[0]).sum(), Normal(0, 1).log_prob(x[1, 0])]
        )
        torch.testing.assert_close(draws.log_likelihood, expected[None])


def test_a_distribution_without_reparameterised_draws_is_refused() -> None:
    """It raised a bare NotImplementedError in the midst of a step."""
    for q in (Poisson(torch.ones(3)), Independent(Poisson(torch.ones(5, 3)), 1)):
        for samples in (1, 4):
            with pytest.raises(UnsupportedError, match=f"{type(q).__name__} has no reparam"):
                drawn(q, (samples, q.batch_shape[0]))
