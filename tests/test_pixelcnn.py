"""Likelihoods whose pixels follow each other: exact, causal, and drawn as they are scored."""

from __future__ import annotations

import doctest
import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import zoo
import zoo.likelihoods.pixelcnn
import zoo.nn.causal
from zoo.core.batch import Batch
from zoo.distributions import observed_log_prob
from zoo.errors import ConfigError, UnsupportedError
from zoo.likelihoods.pixelcnn import DRAWS, PixelCNN
from zoo.likelihoods.pixelcnn_8bit import PixelCNN8Bit
from zoo.nn.causal import CausalConv2d, CausalHead
from zoo.testing.cases import cases_of
from zoo.testing.contract.numerics import is_one_graph
from zoo.variants import Facts, Variant

KINDS = [(PixelCNN, 1), (PixelCNN, 2), (PixelCNN8Bit, 1), (PixelCNN8Bit, 3)]
Radii = tuple[int, ...]


def likelihood_of(
    kind: type[PixelCNN], shape: tuple[int, ...], radii: Radii = (2, 1, 0), width: int = 6
) -> PixelCNN:
    torch.manual_seed(1)
    likelihood = kind(kind.Config(width=width, radii=radii), shape).double()
    with torch.no_grad():  # as far from nothing as a trained one
        for parameter in likelihood.parameters():
            parameter.mul_(2)
    return likelihood


def maps_for(likelihood: PixelCNN, *batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    shape = (*batch, likelihood.channels, *likelihood.shape[1:])
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def images_for(likelihood: PixelCNN, count: int) -> Tensor:
    levels = torch.randint(0, 256, (count, *likelihood.shape)) / 255
    return (levels.round() if likelihood.reads == "binary" else levels).double()


@pytest.mark.parametrize("module", [zoo.nn.causal, zoo.likelihoods.pixelcnn])
def test_the_module_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


class TestConvolution:
    @pytest.mark.parametrize("itself", [False, True])
    @pytest.mark.parametrize("radius", [1, 2, 3])
    def test_it_is_a_convolution_whose_kernel_is_masked(self, radius: int, itself: bool) -> None:
        layer = CausalConv2d(2, 3, radius, itself).double()
        x = torch.randn(4, 2, 5, 7, dtype=torch.float64)
        side = 2 * radius + 1
        places = torch.arange(side**2).view(side, side)
        centre = side**2 // 2
        mask = places <= centre if itself else places < centre
        kernel = torch.zeros(3, 2, side, side, dtype=torch.float64)
        kernel[..., mask] = layer.weight.detach()
        expected = torch.nn.functional.conv2d(x, kernel, layer.bias, padding=radius)
        torch.testing.assert_close(layer(x), expected)

    def test_of_its_own_place_alone_it_is_linear(self) -> None:
        layer = CausalConv2d(2, 3, 0, itself=True)
        x = torch.randn(4, 2, 5, 7)
        expected = torch.einsum("oi,nihw->nohw", layer.weight[..., 0], x)
        torch.testing.assert_close(layer(x), expected + layer.bias[:, None, None])

    def test_it_begins_as_wide_as_torch_s(self) -> None:
        layer = CausalConv2d(8, 32, 2, itself=True)
        bound = (8 * 13) ** -0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.abs().max() <= bound


class TestHead:
    @pytest.mark.parametrize("radii", [(1,), (3, 0, 0), (2, 1, 0), (1, 2, 1)])
    def test_a_pixel_moves_later_ones_alone_and_as_far_as_the_radii_say(self, radii: Radii) -> None:
        torch.manual_seed(0)
        height, width = 6, 9
        head = CausalHead(2, 5, radii, 3).double()
        maps = torch.randn(1, 1, 5, height, width, dtype=torch.float64)
        x = torch.rand(1, 2, height, width, dtype=torch.float64, requires_grad=True)
        before = head(x, maps)
        for row, column in product(range(height), range(width)):
            other = x.detach().clone()
            other[..., row, column] += 0.5
            moved = (head(other, maps) != before)[0, 0].any(0)  # (H, W)
            later = torch.zeros(height, width, dtype=torch.bool)
            later.view(-1)[row * width + column + 1 :] = True
            assert not moved[~later].any()
            if column + 1 < width:
                assert moved[row, column + 1]
            reach = [(y, z) for y, z in moved.nonzero().tolist()]
            far = max((max(y - row, abs(z - column)) for y, z in reach), default=0)
            assert far <= sum(radii)
        middle = x.detach().clone()
        middle[..., 0, 4] += 0.5
        moved = (head(middle, maps) != before)[0, 0].any(0)
        assert moved.nonzero()[:, 0].max() == min(sum(radii), height - 1)

    def test_a_map_moves_its_own_pixel_and_with_wider_layers_later_ones(self) -> None:
        torch.manual_seed(0)
        for radii, expected in (((2, 0), [4]), ((2, 1), [4, 5, 6, 7, 8])):
            head = CausalHead(1, 5, radii, 2).double()
            maps = torch.randn(1, 1, 5, 3, 3, dtype=torch.float64)
            other = maps.clone()
            other[..., 1, 1] += 0.5
            x = torch.rand(1, 1, 3, 3, dtype=torch.float64)
            moved = (head(x, maps) != head(x, other))[0, 0].any(0).flatten()
            assert moved.nonzero().flatten().tolist() == expected

    @pytest.mark.parametrize("radii", [(1,), (3, 0, 0), (2, 1, 0), (1, 2, 1)])
    @pytest.mark.parametrize("size", [(4, 5), (1, 6), (6, 1)])
    def test_what_grows_pixel_by_pixel_has_the_numbers_of_the_whole(
        self, radii: Radii, size: tuple[int, int]
    ) -> None:
        torch.manual_seed(0)
        head = CausalHead(2, 5, radii, 3).double()
        maps = torch.randn(3, 5, *size, dtype=torch.float64)
        numbers: list[Tensor] = []

        def pick(given: Tensor) -> Tensor:
            numbers.append(given)
            return torch.rand(6, 2, dtype=torch.float64)

        x = head.grow(maps, 2, pick)
        assert x.shape == (6, 2, *size)
        whole = head(x, maps.repeat_interleave(2, 0)[None])[0]
        torch.testing.assert_close(torch.stack(numbers, -1), whole.flatten(2))


class TestDistribution:
    @pytest.mark.parametrize("channels", [1, 2])
    def test_masses_of_all_small_images_sum_to_one(self, channels: int) -> None:
        size = (2, 3) if channels == 1 else (2, 2)
        likelihood = likelihood_of(PixelCNN, (channels, *size))
        p = likelihood(maps_for(likelihood, 3, 1))
        values = list(product([0.0, 1.0], repeat=math.prod(likelihood.shape)))
        every = torch.tensor(values, dtype=torch.float64).view(-1, *likelihood.shape)
        total = p.log_prob(every).logsumexp(-1)
        torch.testing.assert_close(total, torch.zeros(3, dtype=torch.float64))

    def test_masses_of_all_values_of_the_last_8_bit_pixel_sum_to_that_of_the_others(self) -> None:
        """Over the two channels of the last pixel, and over pairs of the grey pixels."""
        likelihood = likelihood_of(PixelCNN8Bit, (1, 1, 2))
        levels = torch.arange(256, dtype=torch.float64) / 255
        every = torch.cartesian_prod(levels, levels).view(-1, 1, 1, 2)
        p = likelihood(maps_for(likelihood))
        assert p.log_prob(every).logsumexp(0).item() == pytest.approx(0, abs=1e-9)

        likelihood = likelihood_of(PixelCNN8Bit, (2, 2, 2))
        x = images_for(likelihood, 1).repeat(65536, 1, 1, 1)
        x[..., 1, 1] = torch.cartesian_prod(levels, levels)
        maps = maps_for(likelihood)
        total = likelihood(maps).log_prob(x).logsumexp(0)
        numbers = likelihood.head(x[:1], maps[None, None])[0]  # of the last pixel: left out
        first = likelihood.pixels(numbers)._log_prob_of_pixels(x[:1])[0]  # type: ignore[attr-defined]
        torch.testing.assert_close(total, first.flatten()[:3].sum())

    @pytest.mark.parametrize(("kind", "channels"), KINDS)
    def test_draws_are_those_of_naive_recomputation(
        self, kind: type[PixelCNN], channels: int
    ) -> None:
        likelihood = likelihood_of(kind, (channels, 4, 5))
        maps = maps_for(likelihood, 3)
        torch.manual_seed(5)
        found = likelihood(maps).sample()
        torch.manual_seed(5)
        x = torch.zeros_like(found)
        with torch.no_grad():
            for row, column in product(range(4), range(5)):
                numbers = likelihood.head(x, maps[None])[0][..., row, column]
                pixel = likelihood.pixels(numbers[..., None, None])
                x[..., row, column] = pixel.sample()[..., 0, 0]
        assert torch.equal(found, x)
        assert len(x.unique()) > 1

    def test_draws_are_as_frequent_as_their_masses_say(self) -> None:
        likelihood = likelihood_of(PixelCNN, (1, 2, 2))
        p = likelihood(maps_for(likelihood))
        torch.manual_seed(0)
        drawn = p.sample((20_000,)).flatten(1).long() @ torch.tensor([8, 4, 2, 1])
        every = torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64)
        expected = p.log_prob(every.view(-1, 1, 2, 2)).exp().detach()
        found = drawn.bincount(minlength=16) / 20_000
        error = (expected * (1 - expected) / 20_000).sqrt()
        assert ((found - expected).abs() <= 5 * error + 1e-6).all()

    def test_the_estimate_is_near_the_mean_and_always_the_same(self) -> None:
        likelihood = likelihood_of(PixelCNN, (1, 2, 3))
        p = likelihood(maps_for(likelihood, 40))
        values = list(product([0.0, 1.0], repeat=6))
        every = torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 2, 3)
        weights = p.log_prob(every).exp()  # (64, 40)
        mean = torch.einsum("xb,xchw->bchw", weights, every[:, 0]).detach()
        state = torch.get_rng_state()
        found = likelihood.estimate(p)
        assert torch.equal(found, likelihood.estimate(p))
        assert torch.equal(state, torch.get_rng_state())
        error = (mean * (1 - mean) / DRAWS).sqrt()
        ratio = (found - mean).square().mean() / error.square().mean()
        assert ratio < 0.8  # less than of as many draws
        torch.testing.assert_close(found[..., 0, 0], mean[..., 0, 0])  # of the first pixel known

    @pytest.mark.parametrize(("kind", "channels"), KINDS)
    def test_one_x_against_several_draws_is_a_loop(
        self, kind: type[PixelCNN], channels: int
    ) -> None:
        likelihood = likelihood_of(kind, (channels, 3, 4))
        maps, x = maps_for(likelihood, 5, 2), images_for(likelihood, 2)
        read: list[int] = []
        likelihood.head.first.register_forward_hook(lambda _, args, out: read.append(len(args[0])))
        together = likelihood(maps).log_prob(x)
        assert read == [2]  # once for all draws
        each = [[likelihood(maps[s, b]).log_prob(x[b]) for b in range(2)] for s in range(5)]
        torch.testing.assert_close(together, torch.stack([torch.stack(row) for row in each]))
        pairs = likelihood(maps[:, :1]).log_prob(x)  # (5, 1) against (2)
        torch.testing.assert_close(pairs[:, 0], together[:, 0])

    @settings(max_examples=25, deadline=None)
    @given(
        kind=st.sampled_from([PixelCNN, PixelCNN8Bit]),
        channels=st.integers(1, 3),
        size=st.tuples(st.integers(1, 6), st.integers(2, 6)),
        batch=st.lists(st.integers(1, 3), max_size=2),
        radii=st.tuples(st.integers(1, 3), st.integers(0, 2)),
    )
    def test_shapes_and_types(
        self,
        kind: type[PixelCNN],
        channels: int,
        size: tuple[int, int],
        batch: list[int],
        radii: Radii,
    ) -> None:
        likelihood = likelihood_of(kind, (channels, *size), radii, width=3).float()
        p = likelihood(maps_for(likelihood, *batch).float())
        assert p.batch_shape == tuple(batch) and p.event_shape == (channels, *size)
        x = p.sample((2,))
        assert x.shape == (2, *batch, channels, *size)
        assert p.support.check(x).all()  # type: ignore[attr-defined]
        assert likelihood.estimate(p).shape == x.shape[1:]
        found = p.log_prob(x)
        assert found.shape == (2, *batch)
        assert found.dtype == torch.float32 and (found <= 0).all()

    def test_what_is_not_defined_is_refused(self) -> None:
        likelihood = likelihood_of(PixelCNN, (1, 3, 3))
        p, x = likelihood(maps_for(likelihood, 2)), images_for(likelihood, 2)
        with pytest.raises(UnsupportedError, match="no mean in closed form; use model.show"):
            p.mean  # noqa: B018
        with pytest.raises(UnsupportedError, match="does not factorise over the elements"):
            observed_log_prob(p, x, torch.ones_like(x, dtype=torch.bool))

    def test_half_precision_maps_have_full_likelihoods(self) -> None:
        likelihood = likelihood_of(PixelCNN, (1, 6, 6), width=16).float()
        maps, x = maps_for(likelihood, 4).float(), images_for(likelihood, 4).float()
        exact = likelihood(maps).log_prob(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = likelihood(maps.bfloat16()).log_prob(x)
            assert likelihood(maps.bfloat16()).sample().dtype == torch.float32
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.1)

    def test_gradients_reach_maps_and_head(self) -> None:
        likelihood = likelihood_of(PixelCNN, (1, 4, 4))
        maps = maps_for(likelihood, 3).requires_grad_()
        likelihood(maps).log_prob(images_for(likelihood, 3)).sum().backward()
        assert maps.grad is not None and (maps.grad != 0).all()
        for name, parameter in likelihood.named_parameters():
            assert parameter.grad is not None and parameter.grad.any(), name


class TestModel:
    def test_missing_pixels_are_refused(self) -> None:
        model = zoo.create("gaussian-vae", dataset="digits", likelihood="pixelcnn", latent_dim=2)
        x = torch.zeros(2, 1, 8, 8)
        batch = Batch(x, observed=torch.ones_like(x, dtype=torch.bool))
        with pytest.raises(UnsupportedError, match="does not factorise"):
            model.infer(batch).log_likelihood  # noqa: B018

    @pytest.mark.parametrize("likelihood", ["pixelcnn", "pixelcnn-8bit"])
    def test_the_bound_is_one_graph(self, likelihood: str) -> None:
        for case in cases_of("gaussian-vae", {"likelihood": likelihood}):
            is_one_graph(case)

    @pytest.mark.parametrize(
        ("shape", "likelihood", "said"),
        [
            ((5,), "pixelcnn", "images"),
            ((1, 1, 1), "pixelcnn", "whose pixels follow each other, the examples are"),
            ((1, 8, 8), {"name": "pixelcnn", "radii": [0, 1]}, "radii.* at least 1"),
            ((1, 8, 8), {"name": "pixelcnn", "radii": []}, "radii"),
            ((1, 8, 8), {"name": "pixelcnn", "components": 3}, "components"),
            ((1, 8, 8), {"name": "pixelcnn-8bit", "components": 0}, "components"),
        ],
    )
    def test_mistakes_are_named(self, shape: Any, likelihood: Any, said: str) -> None:
        variant = Variant.find("gaussian-vae")
        with pytest.raises(ConfigError, match=rf"(?s){said}"):
            variant.build(variant.complete({"likelihood": likelihood}, Facts(shape, "bernoulli")))


def test_fewer_are_decoded_at_once_where_each_is_many_numbers() -> None:
    """Of 32 maps of 28 x 28 a sixth of what is quickest for one map."""
    plain = zoo.create("gaussian-vae", dataset="mnist", latent_dim=2)
    assert plain.decode_batch == 2048
    head = {"name": "pixelcnn", "width": 32}
    model = zoo.create("pixel-vae", dataset="mnist", latent_dim=2, likelihood=head)
    assert model.decode_batch == 2**22 // (32 * 28 * 28)
