"""Losses are plain arithmetic on the parts of draws."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.core.draws import Draws
from zoo.objectives import Step
from zoo.objectives.beta import Beta
from zoo.objectives.elbo import ELBO, balance
from zoo.objectives.iwae import IWAE

small = st.floats(0, 5)


class Terms(NamedTuple):
    """What the losses of an ELBO read of draws."""

    log_likelihood: Tensor  # (S, B)
    kl: Tensor  # (B, G)

    @property
    def expected_log_likelihood(self) -> Tensor:
        return self.log_likelihood.mean(0)

    @property
    def elbo(self) -> Tensor:
        return self.expected_log_likelihood - self.kl.sum(-1)


def terms(
    log_likelihood: tuple[float, ...] = (-3.0, -5.0),
    kl: tuple[tuple[float, ...], ...] = ((1.0, 0.25), (3.0, 0.75)),
) -> Terms:
    return Terms(
        torch.tensor([log_likelihood], dtype=torch.float64, requires_grad=True),
        torch.tensor(kl, dtype=torch.float64, requires_grad=True),
    )


def elbo(**settings: Any) -> ELBO:
    return ELBO(ELBO.Config(**settings))


def beta(**settings: Any) -> Beta:
    return Beta(Beta.Config(**settings))


def loss(objective: ELBO, given: Terms, kl_weight: float | Tensor) -> Tensor:
    return objective.loss(cast("Draws", given), Step(kl_weight)).value


def weighted_draws(log_weights: Tensor) -> Draws:
    """Draws of given log-weights (S, B)."""
    draws = Draws.__new__(Draws)
    draws.log_weights = log_weights
    return draws


def importance_bound(log_weights: Tensor) -> Tensor:
    objective = IWAE(IWAE.Config(samples=len(log_weights)))
    return -objective.loss(weighted_draws(log_weights), Step()).value


@pytest.mark.parametrize(
    ("objective", "weight", "expected"),
    [
        (elbo(), 1.0, 4 + 2 + 0.5),
        (elbo(), 0.0, 4),
        (elbo(), 0.5, 4 + 0.5 * 2.5),
        (beta(beta=4.0), 1.0, 4 + 4 * 2.5),
        (beta(beta=4.0), 0.5, 4 + 0.5 * 4 * 2.5),
        (beta(beta=0.0), 1.0, 4),
        # The groups' means over the batch are 2 and 0.5.
        (elbo(free_bits=1.0), 1.0, 4 + 2 + 1),
        (elbo(free_bits=3.0), 1.0, 4 + 3 + 3),
        (beta(beta=2.0, free_bits=1.0), 0.5, 4 + 0.5 * 2 * 3),
        # Balanced, their weights are 2 / 1.25 and 0.5 / 1.25 until the warm-up is over.
        (elbo(balance=True), 0.5, 4 + 0.5 * (1.6 * 2 + 0.4 * 0.5)),
        (elbo(balance=True), 0.0, 4),
        (elbo(balance=True), 1.0, 4 + 2.5),
        (beta(beta=3.0, balance=True), 0.5, 4 + 0.5 * 3 * (1.6 * 2 + 0.4 * 0.5)),
        (beta(beta=3.0, balance=True), 1.0, 4 + 3 * 2.5),
        # Free bits raise the second group's KL to 1 and leave its weight alone.
        (elbo(free_bits=1.0, balance=True), 0.5, 4 + 0.5 * (1.6 * 2 + 0.4 * 1)),
        (elbo(free_bits=1.0, balance=True), 1.0, 4 + 2 + 1),
    ],
)
def test_loss_is_closed_arithmetic(objective: ELBO, weight: float, expected: float) -> None:
    near = pytest.approx(expected, rel=1e-7 if objective.config.balance and weight < 1 else 1e-12)
    assert loss(objective, terms(), weight).item() == near
    as_tensor = torch.tensor(weight, dtype=torch.float64)
    assert loss(objective, terms(), as_tensor).item() == near


def test_the_default_loss_is_minus_the_mean_elbo() -> None:
    assert loss(elbo(), terms(), 1.0).item() == -terms().elbo.mean().item()


def test_beta_one_is_the_elbo() -> None:
    assert loss(beta(beta=1.0), terms(), 0.3) == loss(elbo(), terms(), 0.3)


def test_a_group_within_its_free_bits_has_no_gradient() -> None:
    given_terms = terms()
    loss(elbo(free_bits=1.0), given_terms, 1.0).backward()
    expected = torch.tensor([[0.5, 0.0], [0.5, 0.0]], dtype=torch.float64)
    assert torch.equal(grad(given_terms.kl), expected)
    assert grad(given_terms.log_likelihood).tolist() == [[-0.5, -0.5]]


def test_free_bits_clamp_the_mean_over_the_batch_not_each_example() -> None:
    spread = terms(kl=((0.0,), (3.0,)))  # mean 1.5; clamped apart it would be 2
    assert loss(elbo(free_bits=1.0), spread, 1.0).item() == pytest.approx(4 + 1.5)


@pytest.mark.parametrize(
    "objective",
    [elbo(free_bits=2.0), beta(beta=9.0), elbo(balance=True)],
)
@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_without_latent_groups_the_loss_is_the_reconstruction(
    objective: ELBO, weight: float
) -> None:
    log_likelihood = torch.tensor([[-3.0, -5.0]], requires_grad=True)
    value = loss(objective, Terms(log_likelihood, torch.zeros(2, 0)), torch.tensor(weight))
    value.backward()
    assert value.item() == 4.0
    assert grad(log_likelihood).tolist() == [[-0.5, -0.5]]


@given(times=small, free_bits=small, weight=st.floats(0, 1), kl=st.lists(small, min_size=1))
@settings(deadline=None)
def test_loss_for_any_settings(
    times: float, free_bits: float, weight: float, kl: list[float]
) -> None:
    given_terms = terms((-1.0,), (tuple(kl),))
    value = loss(beta(beta=times, free_bits=free_bits), given_terms, weight)
    expected = 1 + weight * times * math.fsum(max(one, free_bits) for one in kl)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-9)


nats = st.floats(0.05, 1e3)
groups = st.lists(nats, min_size=1, max_size=8)
warming = st.floats(0, 1, exclude_max=True)


def weights(kl: list[float], weight: float) -> Tensor:
    """Balancing weights, checked to be the same for a weight on the device."""
    values = torch.tensor(kl, dtype=torch.float64)
    gamma = balance(values, weight)
    assert torch.equal(gamma, balance(values, torch.tensor(weight, dtype=torch.float64)))
    return gamma


@given(kl=groups, weight=warming, scale=nats)
@settings(deadline=None)
def test_balance_is_each_groups_share_whatever_the_unit(
    kl: list[float], weight: float, scale: float
) -> None:
    gamma = weights(kl, weight)
    mean = math.fsum(kl) / len(kl)
    assert gamma.tolist() == pytest.approx([one / mean for one in kl], rel=1e-5)
    assert gamma.sum().item() == pytest.approx(len(kl))
    scaled = weights([scale * one for one in kl], weight)
    torch.testing.assert_close(scaled, gamma, rtol=1e-4, atol=1e-4)


@given(kl=groups, weight=warming, data=st.data())
@settings(deadline=None)
def test_balance_follows_the_groups_order(
    kl: list[float], weight: float, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(kl))))
    permuted = weights([kl[i] for i in order], weight)
    torch.testing.assert_close(permuted, weights(kl, weight)[order])


@given(kl=st.lists(st.floats(0, 1e30), max_size=8))
@settings(deadline=None)
def test_balance_ends_with_the_warmup_exactly(kl: list[float]) -> None:
    assert weights(kl, 1.0).tolist() == [1.0] * len(kl)


@given(kl=nats, number=st.integers(1, 8), weight=warming)
@settings(deadline=None)
def test_groups_alike_are_weighted_alike(kl: float, number: int, weight: float) -> None:
    assert weights([kl] * number, weight).tolist() == pytest.approx([1.0] * number)


@pytest.mark.parametrize("kl", [[0.0, 0.0], [-0.1, -0.2], [0.0], [1e-30, 0.0], [1e30, 0.0]])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_balance_is_finite_and_never_pulls_the_wrong_way(kl: list[float], weight: float) -> None:
    gamma = balance(torch.tensor(kl), torch.tensor(weight))
    assert gamma.isfinite().all()
    assert (gamma >= 0).all()
    if max(kl) <= 0:
        assert gamma.tolist() == [1.0] * len(kl)


def test_no_gradient_passes_through_the_balancing_weights() -> None:
    given_terms = terms()
    loss(elbo(balance=True), given_terms, 0.5).backward()
    expected = torch.tensor([[0.4, 0.1], [0.4, 0.1]], dtype=torch.float64)  # w gamma_g / 2
    torch.testing.assert_close(grad(given_terms.kl), expected, rtol=1e-7, atol=0.0)


@pytest.mark.parametrize("objective", [elbo(balance=True), beta(balance=True)])
def test_a_balanced_loss_compiles_whole_and_follows_the_weight(objective: ELBO) -> None:
    """One graph: what looked at the weight on the host would break it."""
    torch.compiler.reset()
    compiled = torch.compile(objective.weighted, fullgraph=True, backend="aot_eager")
    kl = torch.tensor([2.0, 0.5])
    for weight in map(torch.tensor, (0.25, 0.5, 1.0)):
        torch.testing.assert_close(compiled(kl, weight), objective.weighted(kl, weight))


def test_the_importance_bound_is_closed_arithmetic() -> None:
    weights = torch.tensor([[1.0, 8.0], [3.0, 2.0]], dtype=torch.float64)  # means 2 and 5
    assert importance_bound(weights.log()).item() == pytest.approx((math.log(2) + math.log(5)) / 2)


@given(
    log_weights=st.lists(st.floats(-500, 500), min_size=1, max_size=6),
    shift=st.floats(-1e4, 1e4),
)
@settings(deadline=None)
def test_the_importance_bound_lies_between_the_mean_and_the_largest_log_weight(
    log_weights: list[float], shift: float
) -> None:
    given_weights = torch.tensor(log_weights, dtype=torch.float64).unsqueeze(1)
    bound = importance_bound(given_weights).item()
    assert given_weights.mean().item() - 1e-9 <= bound <= given_weights.max().item() + 1e-9
    assert importance_bound(given_weights + shift).item() == pytest.approx(bound + shift, abs=1e-7)


def test_the_gradient_of_the_importance_bound_is_that_computed_by_hand() -> None:
    """p(z) = N(0, 1), p(x|z) = N(b z, 1), q(z|x) = N(a x, 1), z = a x + e."""
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.8))
    x, noise = torch.tensor([1.0, -2.0]).double(), torch.tensor([[0.5, -1.0], [2.0, 0.1]]).double()
    z = a * x + noise
    # The constants and q's density are functions of the noise alone.
    importance_bound(-z.square() / 2 - (x - b * z).square() / 2 + noise.square() / 2).backward()
    by_hand = [0.0, 0.0]
    for i in range(2):
        zs = [0.3 * x[i].item() + noise[s, i].item() for s in range(2)]
        rest = [x[i].item() - 0.8 * one for one in zs]
        w = [
            math.exp((-(one**2) - r**2 + noise[s, i].item() ** 2) / 2)
            for s, (one, r) in enumerate(zip(zs, rest, strict=True))
        ]
        for share, one, r in zip((v / math.fsum(w) for v in w), zs, rest, strict=True):
            by_hand[0] += share * (-one + 0.8 * r) * x[i].item() / 2
            by_hand[1] += share * r * one / 2
    assert [grad(a).item(), grad(b).item()] == pytest.approx(by_hand, rel=1e-12)


def test_figures_are_recorded_as_what_they_are() -> None:
    means = {"log_likelihood": -5.0, "kl": 2.0}
    for objective in (elbo(), beta(beta=2.0)):
        assert objective.figures(means) == means | {"elbo": -7.0}
    weighted = {"elbo": -7.0, "bound": -6.0}
    assert IWAE(IWAE.Config()).figures(weighted) == weighted


@pytest.mark.parametrize("objective", [elbo(), beta(), IWAE(IWAE.Config(samples=2))])
def test_logs_have_their_names_and_no_graph(objective: Any) -> None:
    draws: Any = terms()
    if isinstance(objective, IWAE):
        draws = weighted_draws(torch.zeros(2, 3, requires_grad=True))
    value, logs = objective.loss(draws, Step())
    assert value.requires_grad
    assert tuple(logs) == objective.logs
    assert not any(log.requires_grad or log.ndim for log in logs.values())


def grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad
