"""Penalties on the codes of a batch, against closed forms and direct computation."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

import zoo
from zoo.core.batch import Batch
from zoo.core.draws import Draws, LatentDraw
from zoo.distributions.discrepancy import SCALES, squared_mmd
from zoo.errors import ConfigError, UnsupportedError
from zoo.objectives import Objective, Step
from zoo.objectives.beta_tc import BetaTC, log_weights, total_correlation
from zoo.objectives.capacity import Capacity
from zoo.objectives.dip_i import DIPI
from zoo.objectives.dip_ii import DIPII
from zoo.objectives.elbo import ELBO
from zoo.objectives.mmd import MMD


def drawn(mean: Tensor, scale: float | Tensor, seed: int = 0) -> Draws:
    """Draws of factorised normals whose examples are three values, N(z_1, 1) each."""
    torch.manual_seed(seed)
    q = Independent(Normal(mean, torch.as_tensor(scale).expand_as(mean)), 1)
    p = Independent(Normal(torch.zeros_like(mean[0]), torch.ones_like(mean[0])), 1)
    z = q.rsample((1,))
    latent = LatentDraw(z, q, p, (1, len(mean)))
    x = torch.zeros(len(mean), 3, dtype=mean.dtype)
    likelihood = lambda: Independent(Normal(z[..., :1].expand(1, len(mean), 3), 1.0), 1)  # noqa: E731
    return Draws([latent], likelihood, Batch(x), lambda: q.mean, z)


def correlated(count: int, rho: float) -> Tensor:
    torch.manual_seed(1)
    noise = torch.randn(count, 2, dtype=torch.float64)
    return torch.stack([noise[:, 0], rho * noise[:, 0] + (1 - rho**2) ** 0.5 * noise[:, 1]], 1)


# Total correlation


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_total_correlation_is_that_of_a_gaussian(rho: float) -> None:
    """Means of correlation rho and noise of variance v are a normal of correlation rho/(1 + v)."""
    variance = 0.2
    draws = drawn(correlated(2000, rho), variance**0.5)
    known = -0.5 * math.log(1 - (rho / (1 + variance)) ** 2)
    assert total_correlation(draws.latents[0], 2000).item() == pytest.approx(known, abs=0.02)


def test_the_total_correlation_of_a_whole_set_is_that_of_a_double_loop() -> None:
    draws = drawn(correlated(7, 0.6), 0.5)
    z, mean = draws.z[0], draws.posteriors[0].mean
    total = 0.0
    for i in range(7):
        log_q = torch.stack([Normal(mean[j], 0.5).log_prob(z[i]) for j in range(7)])  # (7, 2)
        joint = log_q.sum(-1).exp().mean().log()
        total += (joint - log_q.exp().mean(0).log().sum()).item() / 7
    assert total_correlation(draws.latents[0], 7).item() == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize(("batch", "examples"), [(2, 5), (3, 5), (5, 5)])
def test_over_all_batches_every_example_counts_the_same(batch: int, examples: int) -> None:
    """So that q(z) is estimated without bias, wherever z was drawn."""
    weights = log_weights(batch, examples, torch.zeros((), dtype=torch.float64)).exp()
    counted = torch.zeros(examples, dtype=torch.float64)
    batches = list(itertools.combinations(range(1, examples), batch - 1))
    for others in batches:  # of those with example 0, a draw of which is looked at
        counted[[0, *others]] += weights[0] / len(batches)
    torch.testing.assert_close(counted, torch.full_like(counted, 1 / examples))


def test_a_set_of_unknown_size_is_the_batch() -> None:
    latent = drawn(correlated(6, 0.6), 0.5).latents[0]
    assert total_correlation(latent, 0) == total_correlation(latent, 6)


def test_at_beta_one_and_without_a_penalty_all_are_the_elbo() -> None:
    draws = drawn(correlated(6, 0.6), 0.5)
    draws.auxiliary["mmd"] = torch.tensor(3.0)
    expected = ELBO(ELBO.Config()).loss(draws, Step(0.7, 60)).value
    for objective in (
        BetaTC(BetaTC.Config(beta=1.0)),
        DIPI(DIPI.Config(off_diagonal=0, on_diagonal=0)),
        DIPII(DIPII.Config(off_diagonal=0, on_diagonal=0)),
        MMD(MMD.Config(alpha=0.0, mmd_weight=1.0)),
    ):
        assert objective.loss(draws, Step(0.7, 60)).value.item() == pytest.approx(expected.item())


def test_the_total_correlation_counts_beta_times() -> None:
    draws = drawn(correlated(6, 0.9), 0.5)
    losses = [BetaTC(BetaTC.Config(beta=b)).loss(draws, Step(0.5, 60)) for b in (1.0, 5.0)]
    correlation = total_correlation(draws.latents[0], 60)
    assert losses[1].logs["total_correlation"] == correlation
    torch.testing.assert_close(losses[1].value - losses[0].value, 0.5 * 4 * correlation)


# DIP-VAE


@pytest.mark.parametrize(("objective", "noise"), [(DIPI, 0.0), (DIPII, 0.3**2)])
def test_the_covariance_is_that_of_the_codes(objective: type[DIPI], noise: float) -> None:
    mean = correlated(500, 0.7) * torch.tensor([1.0, 2.0])
    q = Normal(mean, torch.full_like(mean, 0.3))
    known = torch.cov(mean.T) + noise * torch.eye(2)
    found = objective(objective.Config()).covariance(q)
    torch.testing.assert_close(found, known)
    many = drawn(mean.repeat(200, 1), max(noise, 1e-12) ** 0.5).z[0]
    torch.testing.assert_close(found, torch.cov(many.T), rtol=0.03, atol=0.03)


def test_the_penalty_is_closed_arithmetic() -> None:
    objective = DIPI(DIPI.Config(off_diagonal=3.0, on_diagonal=7.0))
    covariance = torch.tensor([[1.5, 0.2, 0.0], [0.2, 1.0, -0.4], [0.0, -0.4, 0.0]])
    expected = 3 * 2 * (0.2**2 + 0.4**2) + 7 * (0.5**2 + 1)
    assert objective.penalty(covariance).item() == pytest.approx(expected)
    assert objective.penalty(torch.eye(3)) == 0


def test_the_prior_costs_nothing_where_codes_are_counted_and_all_where_means_are() -> None:
    draws = drawn(torch.zeros(8, 2), 1.0)
    means, codes = (o(o.Config()).loss(draws, Step()).logs["covariance"] for o in (DIPI, DIPII))
    assert (means, codes) == (200.0, 0.0)


def test_the_covariance_is_not_rounded_under_autocast() -> None:
    q = Normal(correlated(64, 0.7).float(), torch.ones(64, 2))
    exact = DIPII(DIPII.Config()).covariance(q)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(DIPII(DIPII.Config()).covariance(q), exact)


@pytest.mark.parametrize("objective", [DIPI(DIPI.Config()), BetaTC(BetaTC.Config())])
def test_a_posterior_that_does_not_factorise_is_refused(objective: Objective) -> None:
    q = MultivariateNormal(torch.zeros(4, 2), torch.eye(2))
    z = q.rsample((1,))
    latent = LatentDraw(z, q, MultivariateNormal(torch.zeros(2), torch.eye(2)), (1, 4))
    likelihood = lambda: Independent(Normal(z, 1.0), 1)  # noqa: E731
    draws = Draws([latent], likelihood, Batch(torch.zeros(4, 2)), lambda: q.mean, z)
    with pytest.raises(UnsupportedError, match="MultivariateNormal does not factorise.*'mmd'"):
        objective.loss(draws, Step(examples=10))


@pytest.mark.parametrize("posterior", ["iaf", "planar", "spline", "mixture"])
@pytest.mark.parametrize("name", ["beta-tc", "dip-i", "dip-ii"])
def test_registered_ones_are_refused_before_the_run_begins(
    name: str, posterior: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"objective {name!r} .* not factorise .*'mmd'"):
        zoo.train("gaussian-vae", posterior=posterior, objective=name, directory=tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()  # a mended command may follow


# Maximum mean discrepancy


def kernel(x: Tensor, y: Tensor) -> float:
    c = [2 * len(x) * s for s in SCALES]
    return sum(each / (each + float((x - y) @ (x - y))) for each in c)


def test_the_discrepancy_is_that_of_a_double_loop() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    pairs = [(i, j) for i in range(5) for j in range(5)]
    apart = [kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in pairs if i != j]
    across = [kernel(a[i], b[j]) for i, j in pairs]
    expected = sum(apart) / 20 - 2 * sum(across) / 25
    assert squared_mmd(a, b).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_prior_draws_have_no_discrepancy_on_average_and_others_have(shift: float) -> None:
    torch.manual_seed(0)
    pairs = torch.randn(800, 2, 8, 2).unbind(0)
    found = torch.stack([squared_mmd(shift + a, b) for a, b in pairs])
    errors = found.mean().abs() / (found.std() / len(pairs) ** 0.5)
    assert found.min() < 0
    assert errors < 5 if shift == 0 else errors > 20


def test_a_lone_code_has_a_finite_discrepancy_and_codes_alike_a_finite_gradient() -> None:
    assert squared_mmd(torch.zeros(1, 2), torch.ones(1, 2)).isfinite()
    alike = torch.zeros(4, 2, requires_grad=True)
    squared_mmd(alike, torch.randn(4, 2)).backward()
    assert alike.grad is not None
    assert alike.grad.isfinite().all()


# Capacity


@pytest.mark.parametrize(
    ("kl", "weight", "expected"),
    [(8.0, 1.0, 0.0), (4.0, 0.5, 0.0), (10.0, 1.0, 60.0), (6.0, 1.0, 60.0), (1.0, 0.0, 30.0)],
)
def test_a_kl_at_its_capacity_costs_nothing(kl: float, weight: float, expected: float) -> None:
    draws: Any = type("Terms", (), {"expected_log_likelihood": torch.tensor([-3.0, -5.0])})()
    draws.kl = torch.tensor([[0.25 * kl, 0.5 * kl], [0.75 * kl, 0.5 * kl]])
    objective = Capacity(Capacity.Config(capacity=8.0, gamma=30.0))
    for given in (weight, torch.tensor(weight)):
        value, logs = objective.loss(cast("Draws", draws), Step(given))
        assert value.item() == pytest.approx(4.0 + expected)
        assert logs["capacity"] == 8 * weight


def test_the_best_model_is_the_one_at_its_capacity(tmp_path: Path) -> None:
    """Its ELBO is the lowest where the KL is driven far above what pays."""
    run = zoo.train(
        "gaussian-vae", dataset="digits", objective="capacity", capacity=100.0, gamma=50.0,
        backbone={"name": "mlp", "hidden": [16]}, latent_dim=4, epochs=6, batch_size=32, lr=3e-3,
        progress=False, directory=tmp_path / "run",
    )  # fmt: skip
    away = [abs(epoch["validation_kl"] - 100) for epoch in run.history]
    assert abs(run.metrics["validation_kl"] - 100) == min(away)
    assert run.metrics["validation_elbo"] < max(epoch["validation_elbo"] for epoch in run.history)
