"""Priors that depend on what the model is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
import zoo.testing
from zoo.core.latent_space import Euclidean
from zoo.priors import Given, Prior
from zoo.priors.mixture import Mixture
from zoo.priors.realnvp import RealNVP
from zoo.priors.spline import Spline

PRIORS: dict[str, Any] = {
    "realnvp": {"name": "realnvp", "transforms": 2, "width": 16},
    "spline": {"name": "spline", "transforms": 2, "width": 16, "bins": 4},
    "mixture": {"name": "mixture", "components": 4},
}
CLASSES = 3


def prior_of(name: str) -> Prior:
    """Two-dimensional, told three classes, its weights moved so that they matter."""
    cls: Any = {"realnvp": RealNVP, "spline": Spline, "mixture": Mixture}[name]
    torch.manual_seed(0)
    settings = {key: value for key, value in PRIORS[name].items() if key != "name"}
    prior: Prior = cls(cls.Config(**settings), Euclidean(2), (1, 8, 8))
    prior.tell(CLASSES)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return prior


def given(classes: Tensor) -> Given:
    return Given(torch.zeros(()), torch.nn.functional.one_hot(classes, CLASSES).float())


@pytest.mark.parametrize("name", PRIORS)
def test_contract(name: str) -> None:
    settings = {"prior": PRIORS[name], "likelihood": "bernoulli"}
    zoo.testing.check_variant("cvae", settings)


@pytest.mark.parametrize("name", PRIORS)
@torch.no_grad()
def test_each_class_has_a_density_of_its_own(name: str) -> None:
    prior = prior_of(name)
    side = torch.linspace(-12, 12, 241)
    grid = torch.cartesian_prod(side, side)  # (N, 2)
    densities = [prior(given(torch.full((1,), c))).log_prob(grid[:, None]) for c in range(CLASSES)]
    for log_p in densities:
        assert (log_p.exp().sum() * (side[1] - side[0]) ** 2).item() == pytest.approx(1, abs=0.01)
    assert not torch.allclose(densities[0], densities[1], atol=0.1)


@pytest.mark.parametrize("name", PRIORS)
@torch.no_grad()
def test_samples_are_of_the_class_asked_for(name: str) -> None:
    """Their mean is the density's, class by class, in one call for all of them."""
    prior, n = prior_of(name), 6000
    classes = torch.arange(n) % CLASSES
    codes = prior.sample(n, given(classes), 1.0, torch.Generator().manual_seed(0))
    side = torch.linspace(-12, 12, 241)
    grid = torch.cartesian_prod(side, side)
    for c in range(CLASSES):
        weights = prior(given(torch.full((1,), c))).log_prob(grid[:, None]).softmax(0)  # (N, 1)
        drawn = codes[classes == c]
        error = drawn.std(0) / len(drawn) ** 0.5
        assert ((drawn.mean(0) - (weights * grid).sum(0)).abs() < 4.5 * error).all()


@pytest.mark.parametrize("name", PRIORS)
def test_a_model_that_is_told_nothing_has_no_such_weights(name: str) -> None:
    untold = zoo.create("gaussian-vae", latent_dim=2, prior=PRIORS[name]).state_dict()
    told = zoo.create("cvae", latent_dim=2, prior=PRIORS[name]).state_dict()
    numbers = [
        sum(value.numel() for key, value in state.items() if key.startswith("prior."))
        for state in (untold, told)
    ]
    assert numbers[0] < numbers[1]


def test_gradients_reach_what_the_condition_says() -> None:
    model = zoo.create("cvae", latent_dim=2, prior=PRIORS["mixture"])
    x = torch.rand(6, *model.config.input_shape).round()
    draws = model.infer(zoo.Batch(x, torch.arange(6) % 10))
    draws.elbo.sum().backward()
    assert model.prior.of_condition.weight.grad.abs().max() > 0  # type: ignore[union-attr]
