"""Batch-normalised posteriors: their forms, the floor of their KL, their statistics."""

from __future__ import annotations

import copy
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

import zoo
from zoo.errors import ConfigError, UnsupportedError
from zoo.posteriors.batch_norm import BatchNorm
from zoo.posteriors.batch_norm_moments import BatchNormMoments

FEATURES, DIM = 8, 5
POSTERIORS: list[tuple[Any, dict[str, float], float]] = [
    (BatchNorm, {"gamma": 0.3}, 0.3**2 / 2),
    (BatchNorm, {"gamma": 1.2}, 1.2**2 / 2),
    (BatchNormMoments, {"tau": 0.0}, 0.0),
    (BatchNormMoments, {"tau": 0.5}, -math.log(0.5) / 2),
    (BatchNormMoments, {"tau": 0.9}, -math.log(0.1) / 2),
]
"""A posterior, its settings, and the least KL of each dimension."""
every_posterior = pytest.mark.parametrize(("kind", "settings", "floor"), POSTERIORS)


def build(kind: Any, settings: dict[str, float], seed: int = 0, scale: float = 1.0) -> Any:
    """One with random weights of a size, its free parameters drawn too."""
    torch.manual_seed(seed)
    posterior = kind(kind.Config(**settings), partial(nn.Linear, FEATURES), DIM)
    with torch.no_grad():
        for parameter in posterior.parameters(recurse=False):
            parameter.normal_()
        for parameter in posterior.projection.parameters():
            parameter.normal_().mul_(scale)
    return posterior


def features(count: int, seed: int = 1) -> Tensor:
    return 3 + 2 * torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))


def kl_of(q: Distribution) -> Tensor:
    """To N(0, I), by dimension."""
    assert isinstance(q, Independent)
    return kl_divergence(q.base_dist, Normal(0.0, 1.0))


@every_posterior
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_no_network_brings_the_kl_below_its_floor(
    kind: Any, settings: dict[str, float], floor: float, scale: float
) -> None:
    for seed in range(5):
        posterior = build(kind, settings, seed, scale)
        kl = kl_of(posterior(features(64, seed), None)).mean(0)
        assert (kl >= floor - 1e-4).all()
        assert floor == 0 or (kl >= settings.get("tau", 0) / 2 - 1e-4).all()


def test_the_means_are_those_of_the_paper() -> None:
    posterior, x = build(BatchNorm, {"gamma": 0.7}), features(50)
    raw, raw_scale = posterior.projection(x).chunk(2, dim=-1)
    expected = 0.7 * (raw - raw.mean(0)) / raw.std(0, unbiased=False) + posterior.shift
    q = posterior(x, None)
    torch.testing.assert_close(q.mean, expected)
    torch.testing.assert_close(q.stddev, nn.functional.softplus(raw_scale) + 1e-4)
    trained = {name for name, each in posterior.named_parameters() if each.requires_grad}
    assert trained == {"projection.weight", "projection.bias", "shift"}  # gamma is fixed


def test_the_floor_is_reached_by_the_posterior_that_says_least() -> None:
    """Means of gamma and 0 about, and deviations such that nothing else costs."""
    posterior = build(BatchNorm, {"gamma": 0.7})
    with torch.no_grad():
        posterior.shift.zero_()
        posterior.projection.weight[DIM:] = 0
        posterior.projection.bias[DIM:] = math.log(math.expm1(1 - 1e-4))  # deviations of 1
    kl = kl_of(posterior(features(500), None)).mean(0)
    torch.testing.assert_close(kl, torch.full((DIM,), 0.7**2 / 2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.9])
def test_moments_are_shared_by_mean_and_deviation(tau: float) -> None:
    posterior, x = build(BatchNormMoments, {"tau": tau}), features(64)
    raw_mean, raw_deviation = posterior.projection(x).chunk(2, dim=-1)

    def normal(raw: Tensor) -> Tensor:
        return (raw - raw.mean(0)) / raw.std(0, unbiased=False)

    share = tau + (1 - tau) * posterior.share.sigmoid()
    q = posterior(x, None)
    torch.testing.assert_close(q.mean, share.sqrt() * normal(raw_mean), rtol=1e-4, atol=1e-5)
    deviation = (1 - share).sqrt() * normal(raw_deviation).abs()
    torch.testing.assert_close(q.stddev, deviation, rtol=1e-3, atol=2e-4)
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(DIM), rtol=0, atol=1e-5)
    second = (q.mean.square() + q.variance).mean(0)
    torch.testing.assert_close(second, torch.ones(DIM), rtol=1e-5, atol=0)
    kl = kl_of(q).mean(0)
    torch.testing.assert_close(kl, -q.stddev.log().mean(0), rtol=1e-4, atol=1e-5)


def test_the_share_starts_even_and_is_learned() -> None:
    posterior = BatchNormMoments(BatchNormMoments.Config(), partial(nn.Linear, FEATURES), DIM)
    assert posterior.tau == 0.5 and not posterior.share.any()
    q = posterior(features(64), None)
    torch.testing.assert_close(q.mean.square().mean(0), torch.full((DIM,), 0.75))
    (gradient,) = torch.autograd.grad(kl_of(q).sum(), posterior.share)
    assert bool((gradient != 0).all())


@every_posterior
def test_evaluation_is_training_on_a_large_batch(
    kind: Any, settings: dict[str, float], floor: float
) -> None:
    posterior, x = build(kind, settings), features(20_000)
    posterior.normalise.momentum = None
    trained = posterior(x, None)
    found = posterior.eval()(x, None)
    torch.testing.assert_close(found.mean, trained.mean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.stddev, trained.stddev, rtol=1e-3, atol=1e-3)
    assert (kl_of(found).mean(0) >= 0.999 * floor).all()


@every_posterior
def test_an_example_alone_is_evaluated_as_among_others(
    kind: Any, settings: dict[str, float], floor: float
) -> None:
    posterior, x = build(kind, settings), features(30)
    with pytest.raises(UnsupportedError, match=r"at least 2 examples, got 1; call model.eval\(\)"):
        posterior(x[:1], None)
    posterior(x, None)
    posterior.eval()
    before = copy.deepcopy(posterior.state_dict())
    torch.testing.assert_close(posterior(x[:1], None).mean, posterior(x, None).mean[:1])
    assert posterior(x[:0], None).mean.shape == (0, DIM)
    assert all(torch.equal(before[name], each) for name, each in posterior.state_dict().items())


@every_posterior
def test_each_of_several_workers_keeps_the_floor(
    kind: Any, settings: dict[str, float], floor: float
) -> None:
    """With statistics of its own part of the batch, however the parts differ."""
    posterior = build(kind, settings)
    parts = [features(32, 1), 5 - 0.1 * features(32, 2)]
    kl = torch.stack([kl_of(posterior(part, None)).mean(0) for part in parts])
    assert (kl >= floor - 1e-4).all()


@pytest.mark.parametrize(
    ("posterior", "floor"), [("batch-norm", 0.18), ("batch-norm-moments", 0.3466)]
)
def test_the_floor_holds_after_training_for_little_else(
    posterior: str, floor: float, tmp_path: Path
) -> None:
    """With the KL counted 30 times and a moving average, whose statistics are its own.

    On intensities, which are the same each time: binarised anew, as many images as these have
    means whose variance is other by 4 %.
    """
    run = zoo.train(
        "gaussian-vae", directory=tmp_path, epochs=4, lr=3e-3, hidden=[32], latent_dim=3,
        posterior=posterior, objective="beta", beta=30.0, ema_decay=0.9, progress=False,
        likelihood="gaussian",
    )  # fmt: skip
    train = zoo.load_dataset("digits").train
    x = train.batch(torch.arange(len(train)), kind="real").x
    with torch.no_grad():
        q, kl = run.model.infer(x).posteriors[0], run.model.infer(x).kl_by_dimension
    assert kl is not None
    assert (kl.mean(0) >= 0.98 * floor).all()
    if posterior == "batch-norm-moments":
        second = (q.mean.square() + q.variance).mean(0)
        torch.testing.assert_close(second, torch.ones(3), rtol=0.02, atol=0)
    torch.testing.assert_close(zoo.load(tmp_path).encode(x[:1]), run.model.encode(x[:1]))


@pytest.mark.parametrize("tau", [-0.1, 1.0, math.nan, "half"])
def test_other_shares_are_refused(tau: float | str) -> None:
    with pytest.raises(ConfigError, match="'tau'"):
        zoo.create("gaussian-vae", posterior={"name": "batch-norm-moments", "tau": tau})


def test_the_registered_variant_is_of_parts() -> None:
    model = zoo.create("bn-vae", gamma=0.4)
    assert type(model.posterior) is BatchNorm
    assert model.posterior.gamma == 0.4
