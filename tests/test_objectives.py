"""Losses are plain arithmetic on the ELBO's terms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.model import ElboTerms
from zoo.training.config import BetaObjective, ElboObjective, ObjectiveConfig
from zoo.training.objectives import loss as loss_of_means

small = st.floats(0, 5)


def terms(
    log_likelihood: tuple[float, ...] = (-3.0, -5.0),
    kl: tuple[tuple[float, ...], ...] = ((1.0, 0.25), (3.0, 0.75)),
) -> ElboTerms:
    return ElboTerms(
        torch.tensor(log_likelihood, dtype=torch.float64, requires_grad=True),
        torch.tensor(kl, dtype=torch.float64, requires_grad=True),
    )


def loss(objective: ObjectiveConfig, given: ElboTerms, kl_weight: float | Tensor) -> Tensor:
    return loss_of_means(objective, given.log_likelihood.mean(), given.kl.mean(0), kl_weight)


def test_elbo_is_likelihood_minus_the_groups_divergences() -> None:
    assert terms().elbo.tolist() == [-3 - 1.25, -5 - 3.75]


@pytest.mark.parametrize(
    ("objective", "weight", "expected"),
    [
        (ElboObjective(), 1.0, 4 + 2 + 0.5),
        (ElboObjective(), 0.0, 4),
        (ElboObjective(), 0.5, 4 + 0.5 * 2.5),
        (BetaObjective(beta=4.0), 1.0, 4 + 4 * 2.5),
        (BetaObjective(beta=4.0), 0.5, 4 + 0.5 * 4 * 2.5),
        (BetaObjective(beta=0.0), 1.0, 4),
        # The groups' means over the batch are 2 and 0.5.
        (ElboObjective(free_bits=1.0), 1.0, 4 + 2 + 1),
        (ElboObjective(free_bits=3.0), 1.0, 4 + 3 + 3),
        (BetaObjective(beta=2.0, free_bits=1.0), 0.5, 4 + 0.5 * 2 * 3),
    ],
)
def test_loss_is_closed_arithmetic(
    objective: ElboObjective | BetaObjective, weight: float, expected: float
) -> None:
    assert loss(objective, terms(), weight).item() == pytest.approx(expected, rel=1e-12)
    as_tensor = torch.tensor(weight, dtype=torch.float64)
    assert loss(objective, terms(), as_tensor).item() == pytest.approx(expected, rel=1e-12)


def test_the_default_loss_is_minus_the_mean_elbo() -> None:
    assert loss(ElboObjective(), terms(), 1.0).item() == -terms().elbo.mean().item()


def test_beta_one_is_the_elbo() -> None:
    assert loss(BetaObjective(beta=1.0), terms(), 0.3) == loss(ElboObjective(), terms(), 0.3)


def test_a_group_within_its_free_bits_has_no_gradient() -> None:
    given_terms = terms()
    loss(ElboObjective(free_bits=1.0), given_terms, 1.0).backward()
    expected = torch.tensor([[0.5, 0.0], [0.5, 0.0]], dtype=torch.float64)
    assert torch.equal(grad(given_terms.kl), expected)
    assert grad(given_terms.log_likelihood).tolist() == [-0.5, -0.5]


def test_free_bits_clamp_the_mean_over_the_batch_not_each_example() -> None:
    spread = terms(kl=((0.0,), (3.0,)))  # mean 1.5; clamped apart it would be 2
    assert loss(ElboObjective(free_bits=1.0), spread, 1.0).item() == pytest.approx(4 + 1.5)


@pytest.mark.parametrize("objective", [ElboObjective(free_bits=2.0), BetaObjective(beta=9.0)])
def test_without_latent_groups_the_loss_is_the_reconstruction(
    objective: ElboObjective | BetaObjective,
) -> None:
    log_likelihood = torch.tensor([-3.0, -5.0], requires_grad=True)
    value = loss(objective, ElboTerms(log_likelihood, torch.zeros(2, 0)), 1.0)
    value.backward()
    assert value.item() == 4.0
    assert grad(log_likelihood).tolist() == [-0.5, -0.5]


@given(beta=small, free_bits=small, weight=st.floats(0, 1), kl=st.lists(small, min_size=1))
@settings(deadline=None)
def test_loss_for_any_settings(
    beta: float, free_bits: float, weight: float, kl: list[float]
) -> None:
    given_terms = terms((-1.0,), (tuple(kl),))
    value = loss(BetaObjective(beta=beta, free_bits=free_bits), given_terms, weight)
    expected = 1 + weight * beta * math.fsum(max(one, free_bits) for one in kl)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-9)


def grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad
