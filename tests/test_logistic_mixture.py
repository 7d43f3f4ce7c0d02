"""The mixture of discretised logistics against sums over its values, draws and finite differences.

With one pixel an image is (C, 1, 1): the 256^2 values of two channels can all be summed, and a
third channel is checked against those two.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.distributions import DiscretizedLogistic, MixtureOfDiscretizedLogistics

LEVELS = torch.arange(256, dtype=torch.float64) / 255


def random_mixture(
    *shape: int, components: int, seed: int = 0, wide: float = -2.0, batch: tuple[int, ...] = ()
) -> MixtureOfDiscretizedLogistics:
    """Parameters of all kinds for images ``shape``; scales around exp(``wide``)."""
    generator = torch.Generator().manual_seed(seed)
    channels, *size = shape

    def uniform(*maps: int) -> Tensor:
        return torch.rand((*batch, *maps, *size), generator=generator, dtype=torch.float64)

    return MixtureOfDiscretizedLogistics(
        3 * uniform(components),
        1.4 * uniform(components, channels) - 0.2,
        wide + 2 * uniform(components, channels) - 1,
        2 * uniform(components, channels * (channels - 1) // 2) - 1,
        validate_args=True,
    )


def parameters(mixture: MixtureOfDiscretizedLogistics) -> list[Tensor]:
    return [mixture.logits, mixture.loc, mixture.log_scale, mixture.coefficients]


def one_pixel(*channels: Tensor) -> Tensor:
    """Values of each channel, broadcast, as images (..., C, 1, 1)."""
    return torch.stack(torch.broadcast_tensors(*channels), -1)[..., None, None]


PAIRS = one_pixel(LEVELS[:, None], LEVELS)


class TestMasses:
    @given(
        components=st.integers(1, 4),
        seed=st.integers(0, 10**6),
        wide=st.floats(-8, 3),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )
    @settings(max_examples=40, deadline=None)
    def test_of_one_channel_sum_to_one(
        self, components: int, seed: int, wide: float, dtype: torch.dtype
    ) -> None:
        mixture = random_mixture(1, 1, 1, components=components, seed=seed, wide=wide)
        mixture = MixtureOfDiscretizedLogistics(*(p.to(dtype) for p in parameters(mixture)))
        log_masses = mixture.log_prob(one_pixel(LEVELS.to(dtype)))
        assert log_masses.dtype == dtype
        tolerance = 3e-4 if dtype == torch.float32 else 1e-9
        assert log_masses.double().exp().sum().item() == pytest.approx(1, abs=tolerance)

    @given(components=st.integers(1, 4), seed=st.integers(0, 10**6), wide=st.floats(-8, 3))
    @settings(max_examples=10, deadline=None)
    def test_of_two_channels_sum_to_one(self, components: int, seed: int, wide: float) -> None:
        mixture = random_mixture(2, 1, 1, components=components, seed=seed, wide=wide)
        assert mixture.log_prob(PAIRS).exp().sum().item() == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("channels", [2, 3, 4])
    def test_summed_over_the_last_channel_are_those_of_the_others(self, channels: int) -> None:
        """From two channels on by induction: the masses of any number of channels sum to one."""
        mixture = random_mixture(channels, 2, 3, components=3)
        logits, loc, log_scale, coefficients = parameters(mixture)
        kept = channels - 1
        others = MixtureOfDiscretizedLogistics(
            logits,
            loc[:, :kept],
            log_scale[:, :kept],
            coefficients[:, : kept * (kept - 1) // 2],
        )
        torch.manual_seed(0)
        x = others.sample((20,))
        # The last channel takes all values at one pixel of each image, elsewhere they stay.
        full = torch.cat([x, torch.rand(20, 1, 2, 3).mul(255).round().double() / 255], 1)
        full = full.repeat(256, 1, 1, 1, 1)
        full[..., -1, 1, 2] = LEVELS[:, None]
        elsewhere = torch.ones(2, 3, dtype=torch.bool)
        elsewhere[1, 2] = False
        summed = mixture.log_prob(full).logsumexp(0)
        rest = pixel_log_prob(mixture, full[0])[:, elsewhere].sum(-1)
        torch.testing.assert_close(summed - rest, pixel_log_prob(others, x)[:, 1, 2])

    def test_are_the_mixture_of_products_of_conditionals(self) -> None:
        """Written out for red, green and blue, with one component's choice for all three."""
        mixture = random_mixture(3, 1, 1, components=4)
        logits, loc, log_scale, a = (p[..., 0, 0] for p in parameters(mixture))
        red, green, blue = 30 / 255, torch.tensor(1.0), torch.tensor(77 / 255)
        r, g = red - 0.5, green - 0.5
        expected = torch.zeros(())
        for k, weight in enumerate(logits.softmax(0)):
            locs = [
                loc[k, 0],
                loc[k, 1] + a[k, 0] * r,
                loc[k, 2] + a[k, 1] * r + a[k, 2] * g,
            ]
            factors = [
                DiscretizedLogistic(at, scale).log_prob(torch.as_tensor(value)).exp()
                for at, scale, value in zip(locs, log_scale[k], (red, green, blue), strict=True)
            ]
            expected = expected + weight * math.prod(factors)
        x = one_pixel(torch.tensor(red), green, blue)
        torch.testing.assert_close(mixture.log_prob(x).exp(), expected, rtol=1e-5, atol=0)

    @pytest.mark.parametrize("components", [1, 5])
    def test_of_equal_components_without_coefficients_are_discretised_logistics(
        self, components: int
    ) -> None:
        torch.manual_seed(0)
        loc, log_scale = torch.rand(2, 1, 3, 4, 5), torch.randn(2, 1, 3, 4, 5) - 2
        repeats = (1, components, 1, 1, 1)
        mixture = MixtureOfDiscretizedLogistics(
            torch.randn(components, 4, 5),
            loc.repeat(repeats),
            log_scale.repeat(repeats),
            torch.zeros(components, 3, 4, 5),
        )
        single = DiscretizedLogistic(loc[:, 0], log_scale[:, 0])
        x = torch.randint(0, 256, (2, 3, 4, 5)) / 255
        expected = single.log_prob(x).sum((-3, -2, -1))
        torch.testing.assert_close(mixture.log_prob(x), expected, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(mixture.mean, single.mean)


def pixel_log_prob(mixture: MixtureOfDiscretizedLogistics, x: Tensor) -> Tensor:
    """(N, H, W): each pixel by itself, through mixtures of images of one pixel."""
    columns = [
        MixtureOfDiscretizedLogistics(
            *(p[..., i : i + 1, j : j + 1] for p in parameters(mixture))
        ).log_prob(x[..., i : i + 1, j : j + 1])
        for i in range(x.shape[-2])
        for j in range(x.shape[-1])
    ]
    return torch.stack(columns, -1).unflatten(-1, x.shape[-2:])


class TestExtremes:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [1.0, 50.0, 1e4, 1e15, 1e30])
    def test_are_finite_and_so_are_their_gradients(self, dtype: torch.dtype, size: float) -> None:
        torch.manual_seed(0)
        signs = [torch.randn(4, *maps, 6, 7, dtype=dtype).sign() for maps in ([], [3], [3], [3])]
        raw = [(size * sign).requires_grad_() for sign in signs]
        logits, loc, log_scale, a = raw
        mixture = MixtureOfDiscretizedLogistics(logits, loc, log_scale, a.tanh())
        # Black, white and all between.
        x = (torch.randn(50, 3, 6, 7, dtype=dtype) + 0.5).clamp(0, 1).mul(255).round() / 255
        log_prob, mean, drawn = mixture.log_prob(x), mixture.mean, mixture.sample((5,))
        for found in (log_prob, mean, drawn):
            assert found.isfinite().all()
        assert (log_prob <= 1e-4).all()
        for image in (mean, drawn):
            assert ((image >= 0) & (image <= 1)).all()
        for total in (log_prob.mean(), mean.sum()):
            gradients = torch.autograd.grad(total, raw, retain_graph=True)
            assert all(gradient.isfinite().all() for gradient in gradients)

    def test_a_mixture_far_off_is_pulled_back(self) -> None:
        """No component explains the value: the one least off still feels it."""
        loc = torch.tensor([40.0, -90.0]).reshape(2, 1, 1, 1).requires_grad_()
        flat = torch.zeros(2, 1, 1)
        mixture = MixtureOfDiscretizedLogistics(
            flat, loc, torch.full((2, 1, 1, 1), -5.0), torch.zeros(2, 0, 1, 1)
        )
        mixture.log_prob(torch.full((1, 1, 1), 100 / 255)).backward()
        assert loc.grad is not None
        expected = torch.tensor([-math.exp(5.0), 0.0])
        torch.testing.assert_close(loc.grad.flatten(), expected)


class TestGradients:
    @pytest.mark.parametrize("wide", [-5.0, -1.0, 2.0])
    def test_agree_with_finite_differences(self, wide: float) -> None:
        mixture = random_mixture(3, 2, 1, components=2, wide=wide)
        raw = [p.clone().requires_grad_() for p in parameters(mixture)]
        x = torch.tensor([[0, 1], [130, 254], [255, 99]]).double().reshape(3, 2, 1) / 255

        def log_prob(*raw: Tensor) -> Tensor:
            return MixtureOfDiscretizedLogistics(*raw).log_prob(x)

        assert torch.autograd.gradcheck(log_prob, raw, eps=1e-7, rtol=1e-4, atol=1e-5)

    def test_of_the_mean_agree_with_finite_differences(self) -> None:
        mixture = random_mixture(3, 1, 2, components=2, seed=1)
        raw = [p.clone().requires_grad_() for p in parameters(mixture)]

        def mean(*raw: Tensor) -> Tensor:
            return MixtureOfDiscretizedLogistics(*raw).mean

        assert torch.autograd.gradcheck(mean, raw, eps=1e-8, rtol=1e-3, atol=1e-5)


class TestSamples:
    def test_are_intensities_and_follow_the_masses(self) -> None:
        """Two channels in 8 x 8 blocks of 32 levels: counts against sums of masses."""
        mixture, n = random_mixture(2, 1, 1, components=3, seed=3), 40_000
        torch.manual_seed(0)
        drawn = mixture.sample((n,))
        levels = (drawn * 255).round()
        assert torch.equal(levels / 255, drawn)
        blocks = (levels[:, :, 0, 0] // 32).long()
        counts = torch.bincount(8 * blocks[:, 0] + blocks[:, 1], minlength=64).double()
        masses = mixture.log_prob(PAIRS).exp().reshape(8, 32, 8, 32).sum((1, 3)).flatten()
        error = (masses * (1 - masses) / n).sqrt()
        assert ((counts / n - masses).abs() <= 4.5 * error + 2 / n).all()
        assert (masses > 0.01).sum() > 20  # the check has teeth

    def test_of_the_third_channel_have_the_entropy_of_its_masses(self) -> None:
        """The mean of log p(b|r, g) over draws is minus the entropy, summed over all b."""
        mixture, n = random_mixture(3, 1, 1, components=3), 2000
        torch.manual_seed(0)
        drawn = mixture.sample((n,))
        red, green = drawn[:, 0, 0, 0], drawn[:, 1, 0, 0]
        x = one_pixel(red, green, LEVELS[:, None])
        log_given = mixture.log_prob(x).log_softmax(0)
        expected = (log_given.exp() * log_given).sum(0)
        index = (drawn[:, 2, 0, 0] * 255).round().long()
        difference = log_given.gather(0, index[None])[0] - expected
        assert abs(difference.mean()) <= 4 * difference.std() / math.sqrt(n)

    def test_take_no_gradient_and_follow_the_global_seed(self) -> None:
        mixture = random_mixture(3, 4, 5, components=3)
        mixture.loc.requires_grad_()
        torch.manual_seed(3)
        first = mixture.sample((2,))
        torch.manual_seed(3)
        assert torch.equal(first, mixture.sample((2,)))
        assert not torch.equal(first, mixture.sample((2,)))
        assert not first.requires_grad


class TestMean:
    @given(components=st.integers(1, 4), seed=st.integers(0, 10**6), wide=st.floats(-8, 3))
    @settings(max_examples=40, deadline=None)
    def test_of_one_channel_is_exact_to_half_a_step(
        self, components: int, seed: int, wide: float
    ) -> None:
        mixture = random_mixture(1, 1, 1, components=components, seed=seed, wide=wide)
        masses = mixture.log_prob(one_pixel(LEVELS)).exp()
        exact = (masses * LEVELS).sum().item()
        assert mixture.mean.item() == pytest.approx(exact, abs=1 / 510 + 1e-5)

    @pytest.mark.parametrize("wide", [-6.0, -3.0, -1.0, 2.0])
    def test_of_two_channels_is_near_the_sum_over_all_values(self, wide: float) -> None:
        for seed in range(5):
            mixture = random_mixture(2, 1, 1, components=1, seed=seed, wide=wide)
            masses = mixture.log_prob(PAIRS).exp()[..., None]
            exact = (masses * PAIRS[..., 0, 0]).sum((0, 1))
            difference = (mixture.mean.flatten() - exact).abs()
            assert difference[0] < 1 / 510
            assert difference[1] < 0.005

    @pytest.mark.parametrize("wide", [-6.0, -3.0, -1.0, 2.0])
    def test_of_the_third_channel_is_near_the_sum_over_the_first_two(self, wide: float) -> None:
        mixture = random_mixture(3, 1, 30, components=1, wide=wide)
        logits, loc, log_scale, a = (p[..., 0, :] for p in parameters(mixture))
        red_and_green = MixtureOfDiscretizedLogistics(
            *(p[..., None, :] for p in (logits, loc[:, :2], log_scale[:, :2], a[:, :1]))
        )
        differences, means = [], mixture.mean
        for j in range(30):
            pixel = [p[..., j : j + 1] for p in parameters(red_and_green)]
            masses = MixtureOfDiscretizedLogistics(*pixel).log_prob(PAIRS).exp()
            x = LEVELS - 0.5
            at = loc[0, 2, j] + a[0, 1, j] * x[:, None] + a[0, 2, j] * x
            exact = (masses * DiscretizedLogistic(at, log_scale[0, 2, j]).mean).sum()
            differences.append(abs(means[2, 0, j] - exact))
        assert max(differences) < 0.03
        assert sum(differences) / len(differences) < 0.0025

    @pytest.mark.parametrize("seed", range(3))
    def test_of_three_channels_is_that_of_draws(self, seed: int) -> None:
        mixture, n = random_mixture(3, 3, 3, components=4, seed=seed), 20_000
        torch.manual_seed(0)
        drawn = mixture.sample((n,))
        error = drawn.std(0) / math.sqrt(n)
        assert ((drawn.mean(0) - mixture.mean).abs() <= 4.5 * error + 0.004).all()

    def test_leaves_the_random_state_alone(self) -> None:
        mixture, state = random_mixture(3, 2, 2, components=3), torch.get_rng_state()
        assert torch.equal(mixture.mean, mixture.mean)
        assert torch.equal(state, torch.get_rng_state())


class TestShapes:
    @given(
        batch=st.lists(st.integers(1, 3), max_size=2).map(tuple),
        drawn=st.lists(st.integers(1, 3), max_size=2).map(tuple),
        event=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
        components=st.integers(1, 4),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )
    @settings(max_examples=40, deadline=None)
    def test_are_those_of_a_distribution_over_images(
        self,
        batch: tuple[int, ...],
        drawn: tuple[int, ...],
        event: tuple[int, int, int],
        components: int,
        dtype: torch.dtype,
    ) -> None:
        mixture = random_mixture(*event, components=components, batch=batch)
        raw = [p.to(dtype) for p in parameters(mixture)]
        # Parameters without a batch are broadcast.
        raw[0] = raw[0][(0,) * len(batch)]
        mixture = MixtureOfDiscretizedLogistics(*raw)
        assert (mixture.batch_shape, mixture.event_shape) == (batch, event)
        x = mixture.sample(drawn)
        assert x.shape == (*drawn, *batch, *event)
        assert x.dtype == mixture.mean.dtype == dtype
        assert mixture.mean.shape == (*batch, *event)
        assert mixture.log_prob(x).shape == (*drawn, *batch)
        assert mixture.log_prob(x).dtype == dtype
        wider = mixture.expand((2, *batch))
        assert (wider.batch_shape, wider.event_shape) == ((2, *batch), event)
        assert wider.sample(list(drawn)).shape == (*drawn, 2, *batch, *event)
        torch.testing.assert_close(wider.mean[1], mixture.mean)
        one = mixture.sample()
        torch.testing.assert_close(wider.log_prob(one)[0], mixture.log_prob(one))

    @pytest.mark.parametrize(
        ("position", "shape", "said"),
        [
            (0, (4, 5), "logits must have shape"),
            (0, (3, 4, 5), r"logits must have shape \(..., 2, 4, 5\)"),
            (1, (3, 4, 5), "loc .* with C >= 1"),
            (2, (2, 1, 4, 5), r"log_scale must have shape \(..., 2, 3, 4, 5\)"),
            (3, (2, 1, 4, 5), r"coefficients must have .* got \(2, 1, 4, 5\)"),
        ],
    )
    def test_that_do_not_fit_are_named(
        self, position: int, shape: tuple[int, ...], said: str
    ) -> None:
        raw = parameters(random_mixture(3, 4, 5, components=2))
        raw[position] = torch.zeros(shape)
        with pytest.raises(ValueError, match=said):
            MixtureOfDiscretizedLogistics(*raw)

    def test_validates_like_a_distribution_of_torch(self) -> None:
        raw = parameters(random_mixture(3, 4, 5, components=2))
        for position, name in enumerate(["logits", "loc", "log_scale", "coefficients"]):
            wrong = [p.clone() for p in raw]
            wrong[position][0, 0, 0] = 1.5 if name == "coefficients" else math.nan
            with pytest.raises(ValueError, match=name):
                MixtureOfDiscretizedLogistics(*wrong, validate_args=True)
        checked = MixtureOfDiscretizedLogistics(*raw, validate_args=True)
        for distribution in (checked, checked.expand((2,))):
            with pytest.raises(ValueError, match="support"):
                distribution.log_prob(torch.full((3, 4, 5), 1.5))
        MixtureOfDiscretizedLogistics(*raw, validate_args=False).log_prob(
            torch.full((3, 4, 5), 1.5)
        )
