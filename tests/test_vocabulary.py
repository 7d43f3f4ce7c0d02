"""The log-probability of a token among many, against torch's softmax and its gradients."""

from __future__ import annotations

import pytest
import torch
from elsewhere import Elsewhere
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from zoo.core.component import Selected
from zoo.modalities.tokenizer import PAD
from zoo.variants.univae.text_tokens import TextTokens
from zoo.variants.univae.vocabulary import ROWS, token_log_prob


def inputs(count: int, words: int, width: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """States, table and biases that want gradients, and ids of which some come often."""
    state, table, bias = torch.randn(count, width), torch.randn(words, width), torch.randn(words)
    ids = torch.randint(words, (count,))
    ids[::2] = words - 1
    wanting = [part.to(dtype).requires_grad_() for part in (state, table, bias)]
    return (*wanting, ids)


def plain(state: Tensor, table: Tensor, bias: Tensor, ids: Tensor) -> Tensor:
    """The definition."""
    return (state @ table.T + bias).log_softmax(-1).gather(1, ids[:, None]).squeeze(1)


@given(count=st.integers(1, 3 * ROWS), words=st.integers(1, 40), width=st.integers(1, 9))
def test_value_and_gradients_are_those_of_the_softmax(count: int, words: int, width: int) -> None:
    tensors = inputs(count, words, width, torch.float64)
    weights = torch.randn(count, dtype=torch.float64)
    expected = plain(*tensors)
    slopes = torch.autograd.grad(expected, tensors[:3], weights)
    found = token_log_prob(*tensors)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, tensors[:3], weights), slopes)


def test_autocast_loses_no_more_than_torch_does() -> None:
    tensors = inputs(200, 500, 64, torch.float32)
    exact = torch.autograd.grad(plain(*tensors).sum(), tensors[:3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_log_prob(*tensors)
        logits = linear(tensors[0], tensors[1], tensors[2])
        usual = -cross_entropy(logits.float(), tensors[3], reduction="none")
    assert found.dtype == torch.float32
    slopes = torch.autograd.grad(found.sum(), tensors[:3])
    usual_slopes = torch.autograd.grad(usual.sum(), tensors[:3])
    for slope, other, expected in zip(slopes, usual_slopes, exact, strict=True):
        assert slope.dtype == torch.float32
        assert (slope - expected).norm() < 1.5 * (other - expected).norm()


def test_impossible_tokens_have_finite_gradients() -> None:
    state, table, bias, ids = inputs(5, 7, 3, torch.float32)
    limited = bias.masked_fill(torch.arange(7) == 2, -torch.inf)
    slopes = torch.autograd.grad(
        token_log_prob(state, table, limited, ids).sum(), (state, table, bias)
    )
    assert all(slope.isfinite().all() for slope in slopes)
    assert slopes[2][2] == 0


@pytest.mark.parametrize("kind", [Tensor, Elsewhere])
@pytest.mark.parametrize("draws", [1, 3])
def test_padding_costs_and_teaches_nothing(draws: int, kind: type[Tensor]) -> None:
    likelihood = Selected.parse("likelihoods", "categorical").build((6,))
    tokens = TextTokens(6, 11, 8, likelihood)
    ids = torch.tensor([[4, 5, 1, PAD, PAD], [6, 7, 8, 9, 1]])
    state = torch.randn(draws, 2, 5, 8, requires_grad=True)
    log_probs = tokens.log_prob(state.as_subclass(kind), ids).as_subclass(Tensor)
    logits = tokens.class_logits(state).log_softmax(-1)
    expected = logits.gather(-1, ids.expand(draws, 2, 5)[..., None]).squeeze(-1)
    torch.testing.assert_close(log_probs, expected.masked_fill(ids == PAD, 0.0))
    (slope,) = torch.autograd.grad(log_probs.sum(), state)
    assert (slope[:, 0, 3:] == 0).all() and (slope[:, 0, :3] != 0).any()
