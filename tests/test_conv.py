from __future__ import annotations

import doctest
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo.backbones.conv
from zoo.backbones.conv import ConvConfig, ConvDecoder, ConvEncoder
from zoo.errors import ConfigError

SMALL = ConvConfig(
    encoder_channels=(4, 6),
    encoder_blocks=(1, 1),
    decoder_channels=(3, 5, 4),
    decoder_blocks=(1, 0, 2),
    hidden=8,
)
ODD_SIZES = [(4, 4), (7, 5), (8, 8), (28, 28), (33, 20)]


def test_the_module_examples_run() -> None:
    assert doctest.testmod(zoo.backbones.conv).failed == 0


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 4),
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    batch=st.integers(1, 3),
    levels=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=4),
)
def test_shapes_for_any_image(
    channels: int, height: int, width: int, batch: int, levels: list[tuple[int, int]]
) -> None:
    widths, blocks = zip(*levels, strict=True)
    config = ConvConfig(
        encoder_channels=widths,
        encoder_blocks=blocks,
        decoder_channels=widths[::-1],
        decoder_blocks=blocks[::-1],
        hidden=7,
    )
    shape = (channels, height, width)
    encoder, decoder = ConvEncoder(config, shape), ConvDecoder(config, 3, shape)
    features = encoder(torch.rand(batch, *shape))
    assert features.shape == (batch, encoder.out_features)
    maps = decoder(torch.randn(batch, 3))
    assert maps.shape == (batch, *shape)
    assert maps.isfinite().all()


@pytest.mark.parametrize("size", ODD_SIZES)
def test_gradient_reaches_every_parameter(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    encoder, decoder = ConvEncoder(SMALL, (3, *size)), ConvDecoder(SMALL, 8, (2, *size))
    decoder(encoder(torch.rand(5, 3, *size))).square().sum().backward()
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("size", ODD_SIZES)
def test_every_pixel_is_read_and_written(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    encoder, decoder = ConvEncoder(SMALL, (1, *size)), ConvDecoder(SMALL, 4, (1, *size))
    x = torch.rand(2, 1, *size, requires_grad=True)
    encoder(x).square().sum().backward()
    assert x.grad is not None and (x.grad != 0).all()
    assert (decoder(torch.randn(8, 4)).std(0) > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_follows_the_parameters(dtype: torch.dtype) -> None:
    encoder = ConvEncoder(SMALL, (1, 7, 5)).to(dtype)
    decoder = ConvDecoder(SMALL, 8, (1, 7, 5)).to(dtype)
    features = encoder(torch.rand(2, 1, 7, 5, dtype=dtype))
    assert features.dtype == dtype
    assert decoder(features).dtype == dtype


def test_bfloat16_autocast_stays_close_to_float32() -> None:
    torch.manual_seed(0)
    encoder, decoder = ConvEncoder(SMALL, (1, 8, 8)), ConvDecoder(SMALL, 8, (1, 8, 8))
    x = torch.rand(4, 1, 8, 8)
    exact = decoder(encoder(x))
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder(encoder(x))
    torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0.05)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder(SMALL, (1, 8, 8)).double()
    decoder = ConvDecoder(SMALL, 8, (1, 8, 8)).double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    together = decoder(encoder(x))
    alone = torch.cat([decoder(encoder(image[None])) for image in x])
    torch.testing.assert_close(together, alone)


def test_memory_layout_of_the_input_does_not_matter() -> None:
    encoder = ConvEncoder(SMALL, (3, 9, 6)).double()
    x = torch.rand(2, 3, 9, 6, dtype=torch.float64)
    transposed = x.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(encoder(transposed), encoder(x))


def test_decoder_maps_are_unbounded() -> None:
    torch.manual_seed(0)
    maps = ConvDecoder(SMALL, 4, (1, 8, 8))(1e3 * torch.randn(16, 4))
    assert maps.min() < -1 and maps.max() > 1


@pytest.mark.parametrize("build", [ConvEncoder, ConvDecoder])
def test_weights_assigned_to_a_meta_model_give_the_same_function(build: Any) -> None:
    arguments = {ConvEncoder: (SMALL, (1, 7, 5)), ConvDecoder: (SMALL, 4, (2, 7, 5))}[build]
    original: nn.Module = build(*arguments)
    with torch.device("meta"):
        copy: nn.Module = build(*arguments)
    assert all(parameter.is_meta for parameter in copy.parameters())
    copy.load_state_dict(original.state_dict(), assign=True)
    inputs = torch.rand(2, 1, 7, 5) if build is ConvEncoder else torch.randn(2, 4)
    torch.testing.assert_close(copy(inputs), original(inputs))


def test_all_state_is_trainable() -> None:
    for module in (ConvEncoder(SMALL, (1, 8, 8)), ConvDecoder(SMALL, 4, (1, 8, 8))):
        assert not list(module.buffers())
        assert all(parameter.requires_grad for parameter in module.parameters())


def test_more_blocks_deepen_and_keep_the_interface() -> None:
    sizes = []
    for blocks in (0, 1, 2):
        config = SMALL.model_copy(update={"encoder_blocks": (blocks, 1)})
        encoder = ConvEncoder(config, (1, 8, 8))
        assert encoder(torch.rand(1, 1, 8, 8)).shape == (1, 8)
        sizes.append(sum(p.numel() for p in encoder.parameters()))
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] > 0


@pytest.mark.parametrize(
    ("bad", "names"),
    [
        ({"encoder_channels": ()}, "encoder_channels"),
        ({"decoder_channels": (16, 0)}, "decoder_channels"),
        ({"encoder_channels": (8,) * 9}, "encoder_channels"),
        ({"encoder_blocks": (0, -1, 0)}, "encoder_blocks"),
        ({"encoder_channels": (8, 8)}, "encoder_channels and encoder_blocks .* 2 and 3"),
        ({"decoder_blocks": (1, 1, 1)}, "decoder_channels and decoder_blocks .* 2 and 3"),
        ({"hidden": 0}, "hidden"),
        ({"hiden": 8}, "did you mean 'hidden'"),
        ({"name": "mlp"}, "name"),
    ],
)
def test_a_bad_configuration_is_refused_by_name(bad: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?i)backbone: .*{names}"):
        ConvConfig.parse(bad, "backbone")
