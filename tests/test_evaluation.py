"""The harness against a model whose log evidence, ELBO and KL are known in closed form."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from zoo.core.batch import Batch
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.core.moments import Moments
from zoo.data.split import Split
from zoo.distributions.discretized_logistic import DiscretizedLogistic
from zoo.errors import ConfigError, DataError, ZooError
from zoo.evaluation import Evaluation, active_units, evaluate_model
from zoo.likelihoods import Likelihood
from zoo.likelihoods.bernoulli import Bernoulli as BernoulliLikelihood
from zoo.likelihoods.discretized_logistic import DiscretizedLogisticPixels
from zoo.likelihoods.gaussian import Gaussian as GaussianLikelihood
from zoo.settings import Settings

SHAPE = (1, 2, 3)
DIMS, CODE = 6, 2


class LinearGaussian(LatentVariableModel):
    """z ~ N(0, I), x = W z + b + sigma eps. W has orthogonal columns, so p(z|x) is diagonal.

    The posterior is the exact one with its scale multiplied by ``widening`` and its mean by
    ``shrink``: 1 and 1 are exact, shrink 0 is blind to x.
    """

    def __init__(self, widening: float = 1.4, shrink: float = 0.8) -> None:
        super().__init__(ModelConfig(input_shape=SHAPE))
        self.space, self.likelihood = Euclidean(CODE), self.build_likelihood()
        basis, _ = torch.linalg.qr(
            torch.randn(DIMS, CODE, generator=torch.Generator().manual_seed(3))
        )
        self.weight = nn.Parameter(basis * torch.tensor([1.0, 0.5]))
        self.bias = nn.Parameter(torch.full((DIMS,), 0.5))
        self.inner = nn.Dropout(0.5)
        self.sigma, self.widening, self.shrink = 0.4, widening, shrink
        self.weighted: list[int] = []
        self.examined: list[Tensor] = []
        self.modes: set[bool] = set()

    def exact_posterior(self, x: Tensor) -> Normal:
        precision = 1 + self.weight.square().sum(0) / self.sigma**2
        mean = (x.flatten(1) - self.bias) @ self.weight / self.sigma**2 / precision
        return Normal(mean, precision.rsqrt().expand_as(mean))

    def posterior(self, x: Tensor) -> Normal:
        exact = self.exact_posterior(x)
        return Normal(exact.mean * self.shrink, exact.stddev * self.widening)

    def evidence(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(DIMS)
        return MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1))

    def expected_elbo(self, x: Tensor) -> Tensor:
        gap = kl_divergence(self.posterior(x), self.exact_posterior(x)).sum(-1)
        return self.evidence(x) - gap

    @property
    def code_variance(self) -> float:
        return 1.0

    def build_likelihood(self) -> Likelihood:
        return GaussianLikelihood(GaussianLikelihood.Config(), SHAPE)

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        self.modes.add(self.inner.training)
        batch = self.prepared(batch)
        self.examined.append(batch.x)
        self.weighted.append(samples * len(batch.x))
        q = Independent(self.posterior(batch.x), 1)
        p = Independent(Normal(torch.zeros(CODE), torch.ones(CODE)), 1)
        z = q.rsample(torch.Size([samples])) if given is None else given
        latent = LatentDraw(z, q, p, (len(z), len(batch.x)))
        return Draws([latent], lambda: self.decode(z), batch, lambda: q.mean, z)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        mean = (z @ self.weight.T + self.bias).unflatten(-1, SHAPE)
        return Independent(Normal(mean, self.sigma), 3)

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        return temperature * torch.randn(n, CODE, generator=generator)


class Deterministic(LinearGaussian):
    has_evidence: ClassVar[bool] = False

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        code = self.posterior(batch.x).mean
        return Draws([], lambda: self.decode(code[None]), batch, lambda: code, code[None])


class Binary(LinearGaussian):
    def build_likelihood(self) -> Likelihood:
        return BernoulliLikelihood(Settings(), SHAPE)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        logits = (z @ self.weight.T + self.bias).unflatten(-1, SHAPE)
        return Independent(Bernoulli(logits=logits), 3)


class Binned(LinearGaussian):
    def build_likelihood(self) -> Likelihood:
        return DiscretizedLogisticPixels(Settings(), SHAPE)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        mean = (z @ self.weight.T + self.bias).unflatten(-1, SHAPE)
        return Independent(DiscretizedLogistic(mean, torch.full_like(mean, -1.5)), 3)


def images(n: int, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    return Split(torch.randint(0, 256, (n, *SHAPE), generator=generator).to(torch.uint8))


def pixels(split: Split) -> Tensor:
    return split.batch(torch.arange(len(split)), kind="unit").x


def evaluate(model: LatentVariableModel, split: Split, **options: int) -> Evaluation:
    return evaluate_model(model, split, name="linear", dataset="noise", **options)


def test_with_the_exact_posterior_every_figure_is_the_evidence() -> None:
    model, split = LinearGaussian(1.0, 1.0), images(50)
    evidence = model.evidence(pixels(split)).double()
    result = evaluate(model, split, samples=3)
    assert result.nll is not None
    assert result.nll.value == pytest.approx(-evidence.mean().item(), abs=1e-4)
    assert result.nll.stderr == pytest.approx(evidence.std().item() / math.sqrt(50), abs=1e-4)


def test_the_estimate_is_a_lower_bound_that_tightens_with_every_sample() -> None:
    model, split = LinearGaussian(), images(300)
    x = pixels(split)
    evidence = model.evidence(x)
    torch.manual_seed(0)
    gaps = [evidence - model.log_prob(x, samples, 3000) for samples in (1, 10, 100, 5000)]
    errors = [gap.std().item() / math.sqrt(len(gap)) for gap in gaps]
    for gap, error in zip(gaps, errors, strict=True):
        assert gap.mean().item() > -4 * error
    for looser, tighter in zip(gaps, gaps[1:], strict=False):
        assert tighter.mean() < looser.mean()
    assert abs(gaps[-1].mean().item()) < 4 * errors[-1]
    assert errors[-1] < 0.01  # so that the line above can fail


@pytest.mark.parametrize("samples", [1, 10, 100, 5000])
def test_the_reported_nll_is_the_importance_weighted_bound(samples: int) -> None:
    model, split = LinearGaussian(), images(20)
    x = pixels(split)
    result = evaluate(model, split, samples=samples)
    assert result.nll is not None
    assert result.elbo is not None
    # What an independent run of the same estimator says, with the Monte Carlo error of both.
    weights = model.infer(x, samples * 20).log_weights.unflatten(0, (20, samples))
    runs = -(weights.logsumexp(1) - math.log(samples)).mean(-1)
    assert result.nll.value == pytest.approx(runs.mean().item(), abs=5 * runs.std().item() + 1e-5)
    assert result.nll.value < -model.expected_elbo(x).mean().item() + 5 * runs.std().item()


def test_elbo_and_its_terms_match_their_closed_forms() -> None:
    model, split = LinearGaussian(), images(4000)
    x = pixels(split)
    result = evaluate(model, split, samples=1)
    assert result.elbo is not None
    assert result.kl is not None
    assert result.nll is not None
    expected = model.expected_elbo(x).mean().item()
    assert result.elbo.value == pytest.approx(expected, abs=4 * result.elbo.stderr)
    assert result.elbo.value < model.evidence(x).mean().item()
    closed = kl_divergence(model.posterior(x), Normal(0.0, 1.0)).double()
    assert result.kl.value == pytest.approx(closed.sum(-1).mean().item(), abs=1e-4)
    assert result.kl_per_group == (pytest.approx(result.kl.value),)
    assert result.kl_per_dimension == pytest.approx(closed.mean(0).tolist(), abs=1e-5)
    assert result.elbo.value == pytest.approx(result.log_likelihood.value - result.kl.value)
    # With one sample the bound is the ELBO whose KL is estimated from the draw: closed form again.
    assert -result.nll.value == pytest.approx(expected, abs=4 * result.nll.stderr)


def test_bits_per_dimension_and_reconstruction_error() -> None:
    model, split = LinearGaussian(), images(40)
    x = pixels(split)
    result = evaluate(model, split, samples=5)
    assert result.nll is not None
    assert result.bits_per_dim is not None
    assert result.bits_per_dim.value == pytest.approx(result.nll.value / (6 * math.log(2)))
    assert result.bits_per_dim.stderr == pytest.approx(result.nll.stderr / (6 * math.log(2)))
    by_hand = sum((one - model.reconstruct(one[None])[0]).square().sum().item() for one in x)
    assert result.mse_per_pixel.value == pytest.approx(by_hand / (40 * 6), rel=1e-5)
    assert (result.dims, result.examples, result.parameters) == (6, 40, 19)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 40), samples=st.integers(1, 60), batch_size=st.integers(1, 64))
def test_exactly_k_samples_in_bounded_memory(n: int, samples: int, batch_size: int) -> None:
    model = LinearGaussian()
    evaluate(model, images(n), samples=samples, batch_size=batch_size)
    assert sum(model.weighted) == n * (2 + samples), "two draws of the bound, K of the NLL"
    assert max(model.weighted) <= batch_size
    assert max(map(len, model.examined)) <= batch_size


def test_a_large_k_fills_the_decoder_without_exceeding_it() -> None:
    model = LinearGaussian()
    evaluate(model, images(32), samples=5000)
    assert sum(model.weighted) == 32 * 5002
    assert max(model.weighted) == 2048


def test_figures_are_recomputed_bit_for_bit_whatever_the_callers_random_state() -> None:
    torch.manual_seed(1)
    first = evaluate(LinearGaussian(), images(30), samples=20, seed=5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = evaluate(LinearGaussian(), images(30), samples=20, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second
    assert evaluate(LinearGaussian(), images(30), samples=20, seed=6).nll != first.nll


def test_the_elbo_does_not_depend_on_k() -> None:
    few, many = (evaluate(LinearGaussian(), images(30), samples=k) for k in (1, 50))
    assert few.elbo == many.elbo
    assert few.nll != many.nll


def test_the_model_is_measured_in_eval_mode_and_left_as_it_was() -> None:
    model = LinearGaussian()
    model.train()
    model.inner.eval()  # frozen by the caller
    evaluate(model, images(4), samples=2)
    assert model.modes == {False}
    assert model.training
    assert not model.inner.training
    model.inner.train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.weight.data = model.weight.data[:, :1].repeat(2, 1)
        evaluate(model, images(4), samples=2)
    assert model.inner.training
    assert torch.is_grad_enabled()


def test_binary_inputs_are_binarised_once_with_the_seed() -> None:
    model, split = Binary(), images(20)
    first = evaluate(model, split, samples=3, seed=4)
    drawn = torch.cat(model.examined)[:20]
    assert torch.equal(drawn, pixels(split.binarized(4)))
    assert first.test_set == "noise/test, 20 examples, binarised with seed 4"
    # Already binarised pixels are read as they are: the same digest under any seed.
    again = evaluate(model, split.binarized(4), samples=3, seed=9)
    assert again.test_set_sha256 == first.test_set_sha256
    other = evaluate(model, split, samples=3, seed=5)
    assert other.test_set_sha256 != first.test_set_sha256


def test_unit_inputs_are_not_binarised() -> None:
    model, split = LinearGaussian(), images(20)
    result = evaluate(model, split, samples=3)
    assert torch.equal(torch.cat(model.examined)[: len(split)], pixels(split))
    assert result.test_set == "noise/test, 20 examples, in [0, 1]"


@pytest.mark.parametrize(
    ("model", "measure"),
    [(LinearGaussian(), "density"), (Binary(), "mass"), (Binned(), "mass")],
)
def test_masses_are_told_from_densities(model: LinearGaussian, measure: str) -> None:
    assert evaluate(model, images(4), samples=1).measure == measure


def test_a_model_without_evidence_has_no_likelihood_figures() -> None:
    result = evaluate(Deterministic(), images(20), samples=10)
    assert (result.nll, result.bits_per_dim, result.elbo, result.kl) == (None,) * 4
    assert result.kl_per_group == ()
    assert result.kl_per_dimension is None
    assert result.mse_per_pixel.value > 0


def test_a_collapsed_posterior_shows() -> None:
    model = LinearGaussian(shrink=0.0)
    assert evaluate(model, images(50), samples=1).active_units == 0
    assert evaluate(LinearGaussian(1.0, 1.0), images(50), samples=1).active_units == 2


def test_active_units_count_dimensions_by_their_variance_over_examples() -> None:
    deviations = torch.tensor([1.0, 0.2, 0.11, 0.09, 0.0])
    codes = 7 + deviations * torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    moments = Moments()
    for batch in codes.split(300):
        moments.update(batch)
    assert active_units(moments.variance) == 3
    assert active_units(moments.variance, threshold=0.03) == 2


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), offset=st.floats(-1e4, 1e4))
def test_moments_do_not_depend_on_how_the_rows_are_batched(sizes: list[int], offset: float) -> None:
    rows = offset + torch.randn(sum(sizes) + 2, 3, generator=torch.Generator().manual_seed(1))
    moments = Moments()
    for batch in rows.split([*sizes, 2]):
        moments.update(batch)
    torch.testing.assert_close(moments.mean, rows.double().mean(0))
    torch.testing.assert_close(moments.variance, rows.double().var(0), rtol=1e-6, atol=1e-9)


def test_progress_reaches_its_total() -> None:
    calls: list[tuple[int, int]] = []
    evaluate_model(
        LinearGaussian(),
        images(40),
        name="linear",
        dataset="noise",
        samples=7,
        batch_size=16,
        progress=lambda done, total: calls.append((done, total)),
    )
    done = [call[0] for call in calls]
    assert done == sorted(set(done))
    assert calls[-1] == (40 * 9, 40 * 9)


def test_refusals_say_what_to_do() -> None:
    model = LinearGaussian()
    with pytest.raises(ConfigError, match="samples must be at least 1, got 0"):
        evaluate(model, images(4), samples=0)
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        evaluate(model, images(4), batch_size=0)
    with pytest.raises(DataError, match="at least 2 examples, got 1"):
        evaluate(model, images(1))
    with pytest.raises(DataError, match=r"= \(1, 2, 3\), noise has \(1, 3, 2\)"):
        evaluate(model, Split(torch.zeros(4, 1, 3, 2, dtype=torch.uint8)))


def test_a_figure_that_is_not_finite_is_an_error_and_not_a_number() -> None:
    model = LinearGaussian()
    model.bias.data[0] = 1e25
    with pytest.raises(ZooError, match=r"log p\(x.* of example 0 is .*2 of 2 examples"):
        evaluate(model, images(2), samples=2)


def test_the_printed_evaluation_states_its_units_and_protocol() -> None:
    text = str(evaluate(Binary(), images(20), samples=3, seed=4))
    assert "nats per example, summed over pixels, averaged over 20 examples" in text
    assert "K = 3 importance samples; test images binarised once with seed 4" in text
    train = evaluate_model(Binary(), images(20), name="a", dataset="b", split_name="train")
    assert "; train images binarised once with seed 0" in str(train)
    assert "of 2 (variance of the code over examples > 0.01)" in text
    assert "bits per dimension" in text
