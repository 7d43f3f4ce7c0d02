"""The likelihood that makes a mixture of discretised logistics of a decoder's maps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.distributions import MixtureOfDiscretizedLogistics
from zoo.errors import ConfigError
from zoo.likelihoods.discretized_logistic import DiscretizedLogisticPixels
from zoo.likelihoods.discretized_logistic_mixture import DiscretizedLogisticMixture
from zoo.settings import Settings
from zoo.variants import Facts, Variant


def mixture_of(components: int = 10, channels: int = 3) -> DiscretizedLogisticMixture:
    config = DiscretizedLogisticMixture.Config(components=components)
    return DiscretizedLogisticMixture(config, (channels, 2, 2))


def complete(likelihood: Any) -> dict[str, Any]:
    facts = Facts((3, 8, 8), "bernoulli")
    return Variant.find("gaussian-vae").complete({"likelihood": likelihood}, facts)


def arguments(mixture: MixtureOfDiscretizedLogistics) -> list[Tensor]:
    return [mixture.logits, mixture.loc, mixture.log_scale, mixture.coefficients]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("components", [1, 10])
def test_reads_its_parameters_from_maps(channels: int, components: int) -> None:
    likelihood = mixture_of(components, channels)
    coefficients = channels * (channels - 1) // 2
    maps = likelihood.channels
    assert maps == components * (1 + 2 * channels + coefficients)
    pixels = likelihood(torch.randn(5, 2, maps, 4, 3))
    assert isinstance(pixels, MixtureOfDiscretizedLogistics)
    assert (pixels.batch_shape, pixels.event_shape) == ((5, 2), (channels, 4, 3))
    assert pixels.coefficients.shape == (5, 2, components, coefficients, 4, 3)
    assert likelihood.reads == "unit"


def test_coefficients_stay_between_minus_one_and_one() -> None:
    likelihood = mixture_of()
    for size in (-100.0, -0.5, 0.7, 100.0):
        pixels = likelihood(torch.full((likelihood.channels, 2, 2), size))
        expected = torch.full((10, 3, 2, 2), math.tanh(size))
        torch.testing.assert_close(pixels.coefficients, expected)


def test_each_map_moves_one_parameter_of_one_component() -> None:
    likelihood = mixture_of()
    maps = torch.zeros(likelihood.channels, 2, 2)
    before = arguments(likelihood(maps))
    for position in range(len(maps)):
        moved = maps.clone()
        moved[position] = 1.0
        after = arguments(likelihood(moved))
        changed = [(a != b)[..., 0, 0] for a, b in zip(after, before, strict=True)]
        assert sum(int(c.sum()) for c in changed) == 1
        assert any(c[position // 10].any() for c in changed)


def test_starts_in_greys_from_black_to_white() -> None:
    likelihood = mixture_of(4)
    pixels = likelihood(torch.zeros(1, likelihood.channels, 2, 2))
    torch.testing.assert_close(pixels.mean, torch.full((1, 3, 2, 2), 0.5))
    greys = pixels.loc[0, :, :, 0, 0]
    expected = torch.tensor([0.125, 0.375, 0.625, 0.875])[:, None].expand(4, 3)
    torch.testing.assert_close(greys, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_component_starts_as_the_discretised_logistic(channels: int) -> None:
    one = mixture_of(1, channels)
    single = DiscretizedLogisticPixels(Settings(), (channels, 4, 4))
    x = torch.randint(0, 256, (5, channels, 4, 4)) / 255
    found, expected = (
        likelihood(torch.zeros(likelihood.channels, 4, 4)).log_prob(x)
        for likelihood in (one, single)
    )
    torch.testing.assert_close(found, expected)


def test_fits_colours_that_one_logistic_cannot() -> None:
    """Red or cyan, and noise: one choice for all channels, green and blue follow each other."""
    torch.manual_seed(0)
    red = torch.randint(0, 2, (500,)) * 0.6 + 0.2
    green = 1 - red + 0.05 * torch.randn(500)
    blue = green + 0.01 * torch.randn(500)
    x = (torch.stack([red, green, blue], -1)[..., None, None].clamp(0, 1) * 255).round() / 255
    fitted = {}
    single = DiscretizedLogisticPixels(Settings(), (3, 1, 1))
    for name, likelihood in (("single", single), ("mixture", mixture_of(2))):
        maps = torch.zeros(likelihood.channels, 1, 1, requires_grad=True)
        optimizer = torch.optim.Adam([maps], lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            loss = -likelihood(maps).log_prob(x).mean()
            loss.backward()
            optimizer.step()
        fitted[name] = loss.item()
    assert fitted["mixture"] < fitted["single"] - 3


@pytest.mark.parametrize("components", [0, 101, "ten"])
def test_its_settings_are_checked(components: Any) -> None:
    likelihood = {"name": "discretized-logistic-mixture", "components": components}
    with pytest.raises(ConfigError, match="components"):
        complete(likelihood)


def test_is_chosen_by_its_name_alone() -> None:
    config = complete("discretized-logistic-mixture")
    expected = {"name": "discretized-logistic-mixture", "components": 10}
    assert config["likelihood"] == expected
