"""Decoders as lists of layers make what the models decode, whoever runs the list."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.core.export import Decode
from zoo.errors import UnsupportedError
from zoo.nn.layers import Layer, layers_of, run

SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [12, 8]},
    "conv": {"encoder_channels": [4, 4], "encoder_blocks": [0, 0], "decoder_channels": [4, 6],
             "decoder_blocks": [1, 2], "hidden": 8},
    "gated-conv": {"encoder_channels": [4, 4], "encoder_blocks": [0, 0],
                   "decoder_channels": [4, 6], "decoder_blocks": [1, 1], "hidden": 8},
}  # fmt: skip


def created(variant: str, backbone: str, **settings: Any) -> zoo.LatentVariableModel:
    torch.manual_seed(0)
    parts = {"backbone": {"name": backbone, **SIZES[backbone]}, "latent_dim": 5, **settings}
    return zoo.create(variant, **parts).eval()


@pytest.mark.parametrize("backbone", SIZES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7)])
@pytest.mark.parametrize("variant", ["gaussian-vae", "vmf-vae"])
def test_the_layers_make_what_the_model_estimates(
    backbone: str, likelihood: str, shape: tuple[int, ...], variant: str
) -> None:
    images = torch.randint(0, 256, (60, *shape), dtype=torch.uint8)
    model = created(variant, backbone, dataset=images, likelihood=likelihood)
    z = model.sample_codes(4)
    torch.testing.assert_close(run(layers_of(Decode(model)), z), model.estimate(z))


def test_products_of_spaces_and_what_is_told_go_in_too() -> None:
    model = created("vmf-product-vae", "mlp", latent_dim=12)
    z = model.sample_codes(4)
    torch.testing.assert_close(run(layers_of(Decode(model)), z), model.estimate(z))
    told, classes = created("cvae", "mlp", dataset="digits"), torch.arange(10)
    z = told.sample_codes(10, condition=classes)
    beside = torch.cat([z, nn.functional.one_hot(classes).float()], dim=-1)
    torch.testing.assert_close(run(layers_of(Decode(told)), beside), told.estimate(z, classes))


@pytest.mark.parametrize("variant", ["nvae-lite-s", "vq-vae", "univae"])
def test_what_is_more_than_layers_says_so(variant: str) -> None:
    with pytest.raises(UnsupportedError, match="is more than a list of layers.*'gaussian-vae'"):
        layers_of(Decode(zoo.create(variant, dataset="digits")))


def test_a_likelihood_and_a_module_without_layers_are_named() -> None:
    model = created("pixel-vae", "gated-conv", dataset="digits")
    with pytest.raises(UnsupportedError, match="PixelCNN likelihood is more than layers make"):
        layers_of(Decode(model))
    with pytest.raises(UnsupportedError, match="Tanh is none of the layers.*as_layers"):
        layers_of(nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    for conv in (nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1, stride=2),
                 nn.Conv2d(2, 2, 3, padding=1, groups=2), nn.Conv2d(2, 2, 2, padding=1),
                 nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")):  # fmt: skip
        with pytest.raises(UnsupportedError, match="Conv2d is none"):
            layers_of(conv)


def test_layers_without_a_bias_have_zeros_for_it() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Sigmoid())
    x = torch.randn(2, 3)
    torch.testing.assert_close(run(layers_of(plain), x), plain(x))


def test_change_reaches_the_weights_of_branches() -> None:
    inner = Layer("scale", (torch.ones(2),))
    outer = Layer("add", branches=([inner],))

    def double(weights: Tensor) -> Tensor:
        return 2 * weights

    assert run([outer.changed(double)], torch.ones(1, 2)).tolist() == [[3.0, 3.0]]
    assert run([outer], torch.ones(1, 2)).tolist() == [[2.0, 2.0]]
