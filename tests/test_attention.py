"""Attention in half precision against the exact one, and what its masks hide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from elsewhere import Elsewhere
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from zoo.variants.univae import attention
from zoo.variants.univae.attention import Attention, KeyValueCache, attend
from zoo.variants.univae.rotary import rotary
from zoo.variants.univae.transformer import GatedFeedForward, RMSNorm, TransformerLayer

MASKS = ("none", "causal", "padding")


def mask_of(mask: str) -> Tensor | None:
    """Of two examples of 7 positions; the second ends after 4."""
    seen = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    return seen[:, None, None] if mask == "padding" else None


def exact(qkv: Tensor, mask: str) -> Tensor:
    """What torch computes in double precision."""
    q, k, v = qkv.double()
    allowed = mask_of(mask)
    return scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=mask == "causal")


@pytest.mark.parametrize("most", [0, attention.MAX_SCORES])
@pytest.mark.parametrize("mask", MASKS)
def test_half_precision_is_near_the_exact_values_and_slopes(
    mask: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MAX_SCORES", most)
    qkv = torch.randn(3, 2, 3, 7, 8).bfloat16().requires_grad_()
    weights = torch.randn(2, 3, 7, 8)
    q, k, v = qkv
    seen = attend(q, k, v, mask_of(mask), mask == "causal")
    assert seen.dtype == torch.bfloat16
    expected = exact(qkv, mask)
    torch.testing.assert_close(seen.double(), expected, rtol=0.02, atol=0.03)
    (found,) = torch.autograd.grad((seen * weights).sum(), qkv)
    (slope,) = torch.autograd.grad((expected * weights).sum(), qkv)
    assert (found - slope).norm() < 0.02 * slope.norm()


@pytest.mark.parametrize("mask", MASKS)
def test_accelerators_hide_the_same(mask: str) -> None:
    qkv = torch.randn(3, 2, 3, 7, 8)
    q, k, v = qkv.as_subclass(Elsewhere)
    seen = attend(q, k, v, mask_of(mask), mask == "causal").as_subclass(Tensor)
    torch.testing.assert_close(seen.double(), exact(qkv, mask), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask", MASKS)
def test_what_a_mask_hides_changes_nothing(mask: str, precision: torch.dtype) -> None:
    layer = Attention(width=16, heads=4)
    angles = rotary(torch.arange(7.0)[:, None], 4)
    x = torch.randn(2, 7, 16, requires_grad=True)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        seen = layer(x, angles, mask == "causal", mask_of(mask))
    for example in range(2):
        for position in range(7):
            (slope,) = torch.autograd.grad(seen[example, position].sum(), x, retain_graph=True)
            last = {"none": 7, "causal": position + 1, "padding": (7, 4)[example]}[mask]
            seen_by = [place < last or place == position for place in range(7)]  # as it asks
            assert (slope[example] != 0).any(-1).tolist() == seen_by
            assert (slope[1 - example] == 0).all()


def test_batches_of_several_widths_are_compiled_whole() -> None:
    """A layer that torch.compile gives up runs uncompiled without a word."""
    kernels: list[int] = []

    def counting(graph: Any, inputs: Any) -> Any:
        names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
        kernels.append(sum("scaled_dot_product_attention" in name for name in names))
        return graph.forward

    layer = TransformerLayer(width=16, heads=2, hidden=24, depth=1)
    torch.compiler.reset()
    compiled = torch.compile(layer, backend=counting)
    for width in (5, 7, 9):
        x, angles = torch.randn(2, width, 16), rotary(torch.arange(float(width))[:, None], 8)
        for hidden in ({"causal": True}, {"mask": torch.ones(2, 1, 1, width).bool()}):
            torch.testing.assert_close(compiled(x, angles, **hidden), layer(x, angles, **hidden))
    assert kernels == [1, 1, 1, 1]  # each kind of mask for the first width, then for any


@pytest.mark.parametrize("part", ["attention", "feed_forward"])
def test_dropout_is_of_either_part_and_of_training_alone(part: str) -> None:
    layer = TransformerLayer(width=16, heads=2, hidden=24, depth=1, dropout=0.5)
    other = layer.feed_forward if part == "attention" else layer.attention
    nn.init.zeros_((other.down if part == "attention" else other.out).weight)
    angles = rotary(torch.arange(7.0)[:, None], 8)
    first, x = torch.randn(6, 1, 16), torch.randn(2, 6, 16)
    for go in (
        lambda: layer(x, angles.at(0, 6)),
        lambda: layer.with_prefix(first, x, angles),
        lambda: layer.prefix_only(first, x, angles),
    ):
        assert not torch.equal(go(), go())
        layer.eval()
        assert torch.equal(go(), go())
        layer.train()


def test_what_a_stack_adds_at_first_has_the_size_of_one_part() -> None:
    torch.manual_seed(0)
    width, depth = 64, 16
    x, angles = torch.randn(8, 7, width), rotary(torch.arange(7.0)[:, None], 16)
    state, normal = x, RMSNorm(width)(x)
    for _ in range(depth):
        state = TransformerLayer(width, 4, 128, depth)(state, angles)
    seen, fed = Attention(width, 4)(normal, angles), GatedFeedForward(width, 128)(normal)
    one = ((seen.var() + fed.var()) / 2).sqrt()
    assert (state - x).std().item() == pytest.approx(one.item(), rel=0.15)


def test_what_is_next_sees_all_that_is_kept() -> None:
    layer = TransformerLayer(width=16, heads=2, hidden=24, depth=1)
    x, angles = torch.randn(2, 7, 16), rotary(torch.arange(7.0)[:, None], 8)
    cache = KeyValueCache(7)
    parts = [layer(x[:, :4], angles.at(0, 4), causal=True, cache=cache)]
    parts += [
        layer(x[:, t : t + 1], angles.at(t, t + 1), causal=True, cache=cache) for t in range(4, 7)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), layer(x, angles, causal=True))


def assert_alike(found: Tensor, expected: Tensor, *inputs: Tensor) -> None:
    """Values and slopes, up to rounding."""
    ways = (
        (y, *torch.autograd.grad(y.square().sum(), inputs, retain_graph=True))
        for y in (found, expected)
    )
    for ours, theirs in zip(*ways, strict=True):
        assert (ours - theirs).norm() <= 4 * torch.finfo(found.dtype).eps * theirs.norm()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("draws", [1, 3])
def test_sequences_that_differ_in_their_first_position(
    draws: int, mask: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = TransformerLayer(width=16, heads=2, hidden=24, depth=1).to(dtype)
    first = torch.randn(2 * draws, 1, 16, dtype=dtype, requires_grad=True)
    x = torch.randn(2, 6, 16, dtype=dtype, requires_grad=True)
    angles = rotary(torch.arange(7.0, dtype=torch.float64)[:, None], 8)
    allowed = mask_of(mask)
    whole = torch.cat([first, x.repeat(draws, 1, 1)], dim=1)
    of_all = None if allowed is None else allowed.repeat(draws, 1, 1, 1)
    expected = layer(whole, angles, mask == "causal", of_all)
    found = layer.with_prefix(first, x, angles, mask == "causal", allowed)
    assert_alike(found, expected, first, x)
    if mask != "causal":
        assert_alike(layer.prefix_only(first, x, angles, allowed), expected[:, :1], first, x)
    monkeypatch.setattr(attention, "MAX_SCORES", 0)
    assert_alike(layer.with_prefix(first, x, angles, mask == "causal", allowed), expected, first, x)


def test_what_sequences_share_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = TransformerLayer(width=16, heads=2, hidden=24, depth=1)
    angles, rows = rotary(torch.arange(7.0)[:, None], 8), list[int]()
    own = attention.linear
    monkeypatch.setattr(
        attention, "linear", lambda x, weight: rows.append(x[..., 0].numel()) or own(x, weight)
    )
    for each in (layer.with_prefix, layer.prefix_only):
        each(torch.randn(10, 1, 16), torch.randn(2, 6, 16), angles)
        assert sorted(rows) == [10, 12]
        rows.clear()
