"""The gated convolutional backbone."""

from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import zoo.backbones.gated_conv
from zoo.backbones.gated_conv import GatedBlock, GatedConv, unit_scale
from zoo.core.component import Selected
from zoo.errors import ConfigError
from zoo.variants import Facts, Variant

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 7, 5), (2, 33, 20)]


def backbone(**config: object) -> GatedConv:
    built = Selected.parse("backbones", {"name": "gated-conv", **config}).build()
    assert isinstance(built, GatedConv)
    return built


SMALL = {
    "encoder_channels": (4, 6),
    "encoder_blocks": (1, 1),
    "decoder_channels": (3, 5, 4),
    "decoder_blocks": (1, 0, 2),
    "hidden": 8,
}


def test_the_module_examples_run() -> None:
    assert doctest.testmod(zoo.backbones.gated_conv).failed == 0


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 4),
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    batch=st.integers(1, 3),
    levels=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=4),
)
def test_shapes_for_any_image(
    channels: int, height: int, width: int, batch: int, levels: list[tuple[int, int]]
) -> None:
    widths, blocks = zip(*levels, strict=True)
    sizes = {"encoder_channels": widths, "encoder_blocks": blocks}
    sizes |= {"decoder_channels": widths[::-1], "decoder_blocks": blocks[::-1]}
    shape = (channels, height, width)
    built = backbone(**sizes, hidden=7)
    encoder, decoder = built.encoder(shape), built.decoder(3, shape)
    features = encoder(torch.rand(batch, *shape))
    assert features.shape == (batch, encoder.out_features)
    maps = decoder(torch.randn(batch, 3))
    assert maps.shape == (batch, *shape) and maps.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_reaches_every_parameter_and_every_pixel(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    built = backbone(**SMALL)
    encoder, decoder = built.encoder(shape), built.decoder(8, shape)
    x = torch.rand(5, *shape, requires_grad=True)
    maps = decoder(encoder(x))
    maps.square().sum().backward()
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert x.grad is not None and (x.grad != 0).all()
    assert (maps.std(0) > 0).all()


@pytest.mark.parametrize("blocks", [0, 1, 4, 16])
def test_signals_begin_with_unit_scale_however_deep(blocks: int) -> None:
    torch.manual_seed(0)
    sizes = {"encoder_channels": (32, 32), "encoder_blocks": (blocks, blocks)}
    sizes |= {"decoder_channels": (32, 32), "decoder_blocks": (blocks, blocks)}
    built = backbone(**sizes)
    x = torch.randn(64, 3, 16, 16)
    features = built.encoder((3, 16, 16))(x)
    maps = built.decoder(20, (3, 16, 16))(torch.randn(64, 20))
    assert 0.4 < features.square().mean().sqrt() < 1.6
    assert 0.6 < maps.std() < 1.8


def test_a_block_adds_a_branch_of_about_half_the_scale() -> None:
    torch.manual_seed(0)
    block = unit_scale(nn.Sequential(nn.Conv2d(64, 64, 1), GatedBlock(64)))[1]
    x = torch.randn(16, 64, 12, 12)
    inside = (block(x) - x)[..., 2:-2, 2:-2]  # the edges see zeros
    assert 0.4 < inside.std() < 0.75


def test_a_block_is_its_equation() -> None:
    block = GatedBlock(4).double()
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64)

    def silu(x: Tensor) -> Tensor:
        return x / (1 + (-x).exp())

    h = silu(block.inner(silu(x)))
    torch.testing.assert_close(block(x), x + block.values(h) / (1 + (-block.gates(h)).exp()))


def test_the_constant_is_that_of_silu() -> None:
    x = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    density = (-0.5 * x**2).exp() / (2 * torch.pi) ** 0.5
    second = torch.trapezoid(nn.functional.silu(x) ** 2 * density, x)
    assert second.item() ** -0.5 == pytest.approx(zoo.backbones.gated_conv.SILU_GAIN, rel=1e-3)


def test_the_registered_pixel_vae_has_under_a_million_weights_on_mnist() -> None:
    variant = Variant.find("pixel-vae")
    model = variant.build(variant.complete(variant.settings({}), Facts((1, 28, 28), "bernoulli")))
    assert sum(p.numel() for p in model.parameters()) < 1_000_000


def test_bfloat16_autocast_stays_close_to_float32() -> None:
    torch.manual_seed(0)
    built = backbone(**SMALL)
    encoder, decoder = built.encoder((1, 8, 8)), built.decoder(8, (1, 8, 8))
    x = torch.rand(4, 1, 8, 8)
    exact = decoder(encoder(x))
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder(encoder(x))
    torch.testing.assert_close(half.float(), exact, atol=0.1, rtol=0.1)


def test_vectors_are_refused() -> None:
    with pytest.raises(ConfigError, match="GatedConv reads images"):
        backbone().encoder((5,))


def test_weights_assigned_to_a_meta_model_give_the_same_function() -> None:
    built = backbone(**SMALL)
    original = built.decoder(4, (2, 7, 5))
    with torch.device("meta"):
        copy = built.decoder(4, (2, 7, 5))
    assert all(parameter.is_meta for parameter in copy.parameters())
    copy.load_state_dict(original.state_dict(), assign=True)
    z = torch.randn(2, 4)
    torch.testing.assert_close(copy(z), original(z))
