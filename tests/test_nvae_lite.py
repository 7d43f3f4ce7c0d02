"""The hierarchical VAE: what the contract that all variants pass does not ask."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import ExpTransform, Normal, TransformedDistribution, kl_divergence

from zoo.core.batch import Batch
from zoo.core.bounds import log_evidence
from zoo.core.draws import LatentDraw
from zoo.distributions.residual_normal import DiagonalNormal, ResidualNormal
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.posteriors.residual_normal import ResidualDraw, ResidualNormalPosterior
from zoo.priors import Given
from zoo.settings import Settings
from zoo.variants.nvae_lite import LevelConfig, NVAELite, NVAELiteConfig, ScaleConfig
from zoo.variants.nvae_lite.cells import ChannelNorm, DecoderCell, EncoderCell
from zoo.variants.nvae_lite.flows import Flows, InverseAutoregressiveFlow
from zoo.variants.nvae_lite.groups import flatten
from zoo.variants.nvae_lite.model import TopDownStep
from zoo.variants.nvae_lite.spectral import SpectralNorms
from zoo.variants.vae import VAE, VAEConfig

SCALES = (
    ScaleConfig(channels=6, cells=1, groups=2, latents=3),
    ScaleConfig(channels=4, cells=1, groups=3, latents=1),
)


FEWEST = (SCALES[0], SCALES[1].model_copy(update={"groups": 1}))
"""The first group, one of the same scale and one of the next."""


def small(
    shape: tuple[int, int, int] = (1, 12, 10),
    stem: int = 1,
    flows: int = 0,
    spectral: float = 0.0,
    spread: float = 0.15,
    posterior: str = "residual-normal",
    scales: tuple[ScaleConfig, ...] = SCALES,
) -> NVAELite:
    """A model whose weights are far enough from their start for every part to matter."""
    torch.manual_seed(0)
    levels = (LevelConfig(channels=4),) * stem
    config = NVAELiteConfig(
        input_shape=shape,
        scales=scales,
        stem=levels,
        flows=flows,
        spectral=spectral,
        expansion=2,
        posterior=posterior,
    )
    model = NVAELite(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def pixels(model: NVAELite, batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, *model.config.input_shape, generator=generator).round()


def agree(a: Tensor, b: Tensor) -> None:
    """The means over the first dimension agree within 4 standard errors of their difference."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() <= 4 * error + 1e-4).all()


class TestGroups:
    def test_are_laid_out_from_the_coarsest_scale_on(self) -> None:
        model = small((1, 28, 28), stem=1)
        assert [group.shape for group in model.groups] == [(3, 4, 4)] * 2 + [(1, 7, 7)] * 3
        assert [group.scale for group in model.groups] == [0, 0, 1, 1, 1]
        assert [group.start for group in model.groups] == [0, 48, 96, 145, 194]
        assert model.code_dim == model.groups[-1].stop == 243

    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 21), st.integers(1, 21), st.sampled_from([1, 3]), st.integers(0, 2))
    def test_every_image_size_fits(self, height: int, width: int, colours: int, stem: int) -> None:
        model = small((colours, height, width), stem)
        x = pixels(model, 2)
        assert model(x).elbo.isfinite().all()
        assert model.reconstruct(x).shape == model.sample(2).shape == x.shape
        for one, next_one in zip(model.groups, model.groups[1:], strict=False):
            assert one.stop == next_one.start
            assert one.stop - one.start == math.prod(one.shape)

    def test_priors_see_the_groups_above_and_no_others(self) -> None:
        """The prior of group g moves with z_h for h < g alone."""
        model = small()
        code = model.sample_codes(1, generator=torch.Generator().manual_seed(2))
        found = torch.zeros(len(model.groups), len(model.groups), dtype=torch.bool)

        def priors(code: Tensor) -> list[Tensor]:
            said: list[Tensor] = []

            def choose(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
                said.append(torch.stack([prior.mean, prior.log_scale]))
                return code[:, step.group.start : step.group.stop]

            model._top_down(1, choose)
            return said

        with torch.no_grad():
            before = priors(code)
            for moved, group in enumerate(model.groups):
                other = code.clone()
                other[:, group.start : group.stop] += 1
                after = priors(other)
                found[moved] = torch.tensor(
                    [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
                )
        assert torch.equal(found, torch.ones_like(found).triu(1))


POSTERIORS = ("residual-normal", "gaussian", "batch-norm", "batch-norm-moments")


class TestResidualNormal:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000))
    def test_its_figures_are_those_of_the_two_normals(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        mean, log_scale, shift, log_ratio, noise = torch.randn(
            5, 6, 2, 2, 3, generator=generator, dtype=torch.float64
        ).unbind()
        prior = DiagonalNormal(mean, log_scale)
        q = ResidualNormal(mean, log_scale, shift, log_ratio)
        draw = ResidualDraw(noise, q, prior, (3, 2))
        normal, other = Normal(mean, log_scale.exp()), Normal(mean + shift, q.log_scale.exp())
        torch.testing.assert_close(draw.z, other.mean + other.stddev * noise)

        def summed(terms: Tensor) -> Tensor:
            return terms.flatten(1).sum(1).view(3, 2)

        close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
        close(draw.kl, summed(kl_divergence(other, normal)).mean(0))
        close(draw.log_p, summed(normal.log_prob(draw.z)))
        close(draw.log_q, summed(other.log_prob(draw.z)))
        close(draw.log_weight, draw.log_p - draw.log_q)
        general = LatentDraw(draw.z, q, prior, (3, 2))
        for name in ("kl", "log_p", "log_q", "log_weight"):
            close(getattr(draw, name), getattr(general, name))

    def test_a_weight_is_exact_where_the_posterior_is_narrow(self) -> None:
        """sigma = exp(-10) beside a mean of 5: z - mu keeps two digits in single precision."""
        values = torch.tensor([5.0, -5.0, -5.0, -5.0, 0.7]).view(5, 1, 1).expand(5, 1, 400)
        mean, log_scale, shift, log_ratio, noise = values.unbind()

        def weight(dtype: torch.dtype) -> Tensor:
            parts = [each.to(dtype) for each in (mean, log_scale, shift, log_ratio)]
            prior = DiagonalNormal(*parts[:2])
            return ResidualDraw(noise.to(dtype), ResidualNormal(*parts), prior, (1, 1)).log_weight

        exact = weight(torch.float64)
        torch.testing.assert_close(weight(torch.float32).double(), exact, rtol=1e-6, atol=0)

    def test_expands_to_the_same_normal(self) -> None:
        q = ResidualNormal(torch.ones(2), torch.zeros(2), torch.ones(2), torch.zeros(2))
        larger = q.expand((3,))
        assert larger.batch_shape == (3,)
        assert torch.equal(larger.log_prob(torch.zeros(3, 2)), q.log_prob(torch.zeros(2)).expand(3))

    def test_fits_a_model_of_one_vector(self) -> None:
        torch.manual_seed(0)
        model = VAE(VAEConfig(input_shape=(1, 4, 4), latent_dim=3, posterior="residual-normal"))
        x = torch.rand(5, 1, 4, 4).round()
        draws = model(x, samples=20_000)
        q = draws.posteriors[0]
        assert isinstance(q, ResidualNormal)
        expected = kl_divergence(Normal(q.mean, q.stddev), Normal(0.0, 1.0)).sum(-1)
        torch.testing.assert_close(draws.kl[:, 0], expected)
        agree(-draws.latents[0].log_weight, draws.kl[:, 0].expand(2, 5))
        assert torch.equal(draws.code, q.mean)

    def test_without_a_prior_it_is_relative_to_the_standard_one(self) -> None:
        torch.manual_seed(0)
        posterior = ResidualNormalPosterior(Settings(), partial(torch.nn.Linear, 4), 3)
        features = torch.randn(2, 4)
        model = VAE(VAEConfig(input_shape=(1, 4, 4), latent_dim=3))
        alone, beside = (posterior(features, p) for p in (None, model.prior(Given(features))))
        assert torch.equal(alone.mean, beside.mean)
        torch.testing.assert_close(alone.stddev, beside.stddev)

    def test_a_prior_without_moments_is_refused(self) -> None:
        posterior = ResidualNormalPosterior(Settings(), partial(torch.nn.Linear, 4), 3)
        stretched = TransformedDistribution(Normal(torch.zeros(3), 1.0), [ExpTransform()])
        with pytest.raises(UnsupportedError, match="TransformedDistribution has none.*'gaussian'"):
            posterior(torch.zeros(2, 4), stretched)


class TestBound:
    @pytest.mark.parametrize("posterior", POSTERIORS)
    @pytest.mark.parametrize("flows", [0, 1, 2])
    def test_the_terms_are_the_mean_log_weight(self, flows: int, posterior: str) -> None:
        model = small(flows=flows, posterior=posterior)
        x, count = pixels(model, 2), 3000
        torch.manual_seed(0)
        with torch.no_grad():
            weights = model(x, count).log_weights
            draws = model(x.repeat(count, 1, 1, 1))
        agree(weights.double(), draws.elbo.view(count, 2).double())
        assert draws.kl.shape == (2 * count, 5)
        assert (draws.kl.view(count, 2, 5).mean(0) > 0).all()

    @pytest.mark.parametrize("flows", [0, 2])
    def test_importance_weights_integrate_to_one_over_all_images(self, flows: int) -> None:
        """sum_x p(x) = 1 for an image of 2 x 3 pixels: the density is that of a distribution."""
        model = small((1, 2, 3), stem=0, flows=flows, spread=0.08)
        bits = torch.arange(64)[:, None] >> torch.arange(6) & 1
        images = bits.float().view(64, 1, 2, 3)
        torch.manual_seed(0)
        with torch.no_grad():
            found = log_evidence(model, Batch(images), 1500, chunk=16_000)
        assert abs(found.log_p.double().exp().sum().item() - 1) < 0.02

    def test_an_untrained_model_starts_at_its_prior_and_finite(self) -> None:
        torch.manual_seed(0)
        model = NVAELite(NVAELiteConfig(input_shape=(1, 28, 28)))
        draws = model(pixels(model, 4))
        assert draws.kl.mean(0).max() < 2
        assert abs(draws.log_likelihood.mean().item() / (784 * math.log(2)) + 1) < 0.1

    def test_extreme_weights_stay_finite(self) -> None:
        model = small(spread=5.0)
        draws = model(pixels(model, 4))
        assert draws.elbo.isfinite().all()
        draws.elbo.mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    def test_many_draws_of_an_example_are_those_of_its_copies(self) -> None:
        model = small()
        x = pixels(model, 3)
        torch.manual_seed(0)
        together = model(x, 4)
        torch.manual_seed(0)
        copies = model(x.repeat(4, 1, 1, 1))
        torch.testing.assert_close(together.z, copies.z.view(4, 3, -1))
        torch.testing.assert_close(together.kl, copies.kl.view(4, 3, -1).mean(0))
        torch.testing.assert_close(together.log_weights, copies.log_weights.view(4, 3))


class TestGivenCodes:
    @pytest.mark.parametrize("posterior", POSTERIORS)
    @pytest.mark.parametrize("flows", [0, 1, 2])
    def test_the_draws_own_codes_have_their_own_densities(self, flows: int, posterior: str) -> None:
        model = small(flows=flows, posterior=posterior)
        x = pixels(model, 3)
        with torch.no_grad():
            drawn = model(x, 2)
            again = model.infer(x, given=drawn.z)
        assert torch.equal(again.z, drawn.z)
        close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-3)
        close(again.log_likelihood, drawn.log_likelihood)
        close(again.log_p, drawn.log_p)
        close(again.log_q, drawn.log_q)

    @pytest.mark.parametrize("flows", [0, 1])
    def test_each_example_has_the_likeliest_posterior_of_its_own_draw(self, flows: int) -> None:
        model = small(flows=flows, spread=0.4)
        found = model.log_posteriors(pixels(model, 6))
        assert torch.equal(found.argmax(1), torch.arange(6))

    def test_codes_of_another_width_are_refused(self) -> None:
        model = small()
        with pytest.raises(UnsupportedError, match=rf"give codes \(draws, 2, {model.code_dim}\)"):
            model.infer(pixels(model, 2), given=torch.zeros(1, 2, 3))

    def test_no_examples_give_no_draws(self) -> None:
        model = small()
        draws = model(pixels(model, 0), 3)
        assert draws.log_weights.shape == (3, 0)
        assert draws.code.shape == (0, model.code_dim)


class TestConfig:
    @pytest.mark.parametrize("posterior", ["vmf", "power-spherical", "vmf-fixed"])
    def test_a_posterior_of_another_space_is_refused_with_those_that_fit(
        self, posterior: str
    ) -> None:
        with pytest.raises(
            ConfigError,
            match=f"{posterior}.*gaussian, batch-norm, batch-norm-moments, residual-normal",
        ):
            NVAELiteConfig.parse({"input_shape": (1, 8, 8), "posterior": posterior}, "model")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scales": [{}] * 9}, "'scales'.*at most 8"),
            ({"stem": [{}] * 9}, "'stem'.*at most 8"),
            ({"scales": [{"groups": 64}] * 3}, "192 groups.*at most 128"),
            ({"scales": [{"groups": 60, "cells": 32}]}, "1921 cells.*256"),
            ({"scales": [{"groups": 60}], "flows": 8}, "541 cells and flows.*256"),
        ],
    )
    def test_sizes_that_would_build_for_ever_are_refused(
        self, changes: dict[str, object], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            NVAELiteConfig.parse({"input_shape": (1, 8, 8), **changes}, "model")


class TestCodes:
    def test_a_prefix_is_kept_and_the_rest_is_drawn(self) -> None:
        model = small()
        code = model.encode(pixels(model, 3))
        for group in model.groups:
            torch.manual_seed(0)
            rest = range(group.number + 1, len(model.groups))
            whole, other = (model.generate(code[:, : group.stop], rest)[0] for _ in range(2))
            assert whole.shape == code.shape
            assert torch.equal(whole[:, : group.stop], code[:, : group.stop])
            drawn = whole[:, group.stop :], other[:, group.stop :]
            assert not drawn[0].numel() or not torch.equal(*drawn)
            assert model.decode(code[:, : group.stop]).batch_shape == (3,)

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
    def test_codes_of_no_group_at_all_are_drawn_from_the_prior(
        self, batch: tuple[int, ...]
    ) -> None:
        assert small().decode(torch.zeros(*batch, 0)).batch_shape == batch

    def test_decoding_a_completed_code_gives_the_same_maps(self) -> None:
        model = small()
        code = model.encode(pixels(model, 3))
        whole, maps = model.generate(code, range(2, 5))
        again, same = model.generate(whole, ())
        assert torch.equal(whole, again)
        assert torch.equal(maps, same)

    def test_chosen_groups_are_drawn_given_those_above_and_the_others_kept(self) -> None:
        """The middle one of three: its moments are those that its prior says on this path."""
        model = small()
        code = model.encode(pixels(model, 1))
        group = model.groups[2]
        said: list[DiagonalNormal] = []

        def keep(step: TopDownStep, path: Tensor, prior: DiagonalNormal) -> Tensor:
            said.append(prior)
            return code[:, step.group.start : step.group.stop]

        with torch.no_grad():
            model._top_down(1, keep)
            generator = torch.Generator().manual_seed(0)
            found = model.resample_groups(code.expand(4000, -1), [2], generator)
        kept = [*range(group.start), *range(group.stop, model.code_dim)]
        assert torch.equal(found[:, kept], code[:, kept].expand(4000, -1))
        drawn = found[:, group.start : group.stop]
        mean, scale = flatten(said[2].mean), flatten(said[2].stddev)
        noise = (drawn - mean) / scale
        assert noise.mean(0).abs().max() < 5 / 4000**0.5
        assert (noise.var(0) - 1).abs().max() < 5 * (2 / 4000) ** 0.5

    def test_edits_follow_the_generator_and_no_groups_change_nothing(self) -> None:
        model = small()
        x = pixels(model, 2)

        def edited(groups: list[int], seed: int) -> Tensor:
            return model.edit(x, groups, torch.Generator().manual_seed(seed))

        assert torch.equal(edited([], 0), model.reconstruct(x))
        assert torch.equal(edited([0, 3], 0), edited([0, 3], 0))
        assert not torch.equal(edited([0, 3], 0), edited([0, 3], 1))
        with pytest.raises(UnsupportedError, match="numbered 0 to 4"):
            model.edit(x, [5])

    def test_encoding_draws_nothing(self) -> None:
        model = small()
        state = torch.get_rng_state()
        model.reconstruct(pixels(model, 2))
        assert torch.equal(state, torch.get_rng_state())

    def test_batch_shapes(self) -> None:
        model = small()
        codes = model.sample_codes(6).view(2, 3, -1)
        together = model.decode(codes)
        assert together.batch_shape == (2, 3)
        assert together.event_shape == model.config.input_shape
        torch.testing.assert_close(together.mean[1], model.decode(codes[1]).mean)

    @pytest.mark.parametrize("width", [1, 47, 10_000])
    def test_a_code_that_ends_within_a_group_is_refused(self, width: int) -> None:
        model = small()
        with pytest.raises(DataError, match=f"{width} numbers.*end after {model.groups[0].stop}, "):
            model.decode(torch.zeros(2, width))

    def test_temperatures_for_each_scale(self) -> None:
        model = small()
        split = model.groups[2].start

        def codes(temperature: float | list[float], seed: int) -> Tensor:
            return model.sample_codes(50, temperature, torch.Generator().manual_seed(seed))

        frozen_top = [codes([0.0, 1.0], seed) for seed in (0, 1)]
        assert torch.equal(frozen_top[0][:, :split], frozen_top[1][:, :split])
        assert not torch.equal(frozen_top[0][:, split:], frozen_top[1][:, split:])
        assert torch.equal(codes([0.7, 0.7], 3), codes(0.7, 3))
        assert codes([1.0, 2.0], 3)[:, split:].std() > codes([1.0, 0.5], 3)[:, split:].std()
        with pytest.raises(UnsupportedError, match="3 temperatures for 2 scales"):
            codes([1.0, 1.0, 1.0], 0)


class TestTraining:
    @pytest.mark.parametrize(("flows", "backend"), [(0, "aot_eager"), (1, "eager")])
    def test_the_bound_is_one_graph(self, flows: int, backend: str) -> None:
        model = small(flows=flows, spectral=0.1, scales=FEWEST).train()
        x = pixels(model, 2)

        def loss() -> Tensor:
            penalty = model.penalty()
            assert penalty is not None
            return penalty - model(x).elbo.mean()

        vectors = {name: buffer.clone() for name, buffer in model.named_buffers()}
        torch.manual_seed(0)
        eager = loss()
        model.load_state_dict(vectors, strict=False)
        torch.compiler.reset()
        torch.manual_seed(0)
        compiled = torch.compile(loss, fullgraph=True, backend=backend)()
        torch.testing.assert_close(eager, compiled)


class TestFlow:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_is_autoregressive_and_its_determinant_exact(self, reverse: bool) -> None:
        torch.manual_seed(0)
        flow = InverseAutoregressiveFlow(2, 3, 8, reverse).double()
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        z = torch.randn(1, 2, 3, 4, dtype=torch.float64)
        context = torch.randn(1, 3, 3, 4, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z, context)[0], z)
        by_position = jacobian.view(2, 12, 2, 12).transpose(0, 1).transpose(2, 3)
        order = torch.arange(12).flip(0) if reverse else torch.arange(12)
        by_position = by_position[order][:, :, order]
        matrix = by_position.reshape(24, 24)
        assert torch.equal(matrix, matrix.tril())
        assert (matrix.tril(-2) != 0).any()
        log_det = torch.linalg.slogdet(matrix).logabsdet
        torch.testing.assert_close(flow(z, context)[1][0], log_det)

    @pytest.mark.parametrize("count", [0, 1, 2, 3])
    def test_the_inverse_finds_what_was_transformed(self, count: int) -> None:
        torch.manual_seed(0)
        flows = Flows(count, 2, 3).double()
        for parameter in flows.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        z = torch.randn(4, 5, 3, 2, dtype=torch.float64)
        context = torch.randn(4, 3, 5, 3, dtype=torch.float64)
        image, log_det = flows(z, context)
        assert image.shape == z.shape and log_det.shape == (4,)
        found, same = flows.inverse(image, context)
        torch.testing.assert_close(found, z)
        torch.testing.assert_close(same, log_det)


class TestCells:
    @pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
    def test_norm_is_that_of_the_channels_at_a_position(self, memory: torch.memory_format) -> None:
        x = torch.randn(2, 5, 3, 4).contiguous(memory_format=memory)
        norm = ChannelNorm(5)
        out = norm(x)
        torch.testing.assert_close(out.mean(1), torch.zeros(2, 3, 4), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            out.var(1, unbiased=False), torch.ones(2, 3, 4), rtol=1e-3, atol=0
        )
        assert out.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize("cell", [EncoderCell(6), DecoderCell(6, 2)])
    def test_start_close_to_the_identity(self, cell: torch.nn.Module) -> None:
        x = torch.randn(2, 6, 5, 5)
        assert (cell(x) - x).std() < 0.2 * x.std()


class TestSpectralNorms:
    def test_find_the_largest_singular_values(self) -> None:
        torch.manual_seed(0)
        convolutions = [
            torch.nn.Conv2d(4, 6, 3),
            torch.nn.Conv2d(6, 6, 1),
            torch.nn.Conv2d(4, 6, 3),
        ]
        norms = SpectralNorms(convolutions)
        for _ in range(300):
            total = norms(convolutions)
        matrices = [convolution.weight.flatten(1) for convolution in convolutions]
        exact = sum(torch.linalg.matrix_norm(matrix, 2) for matrix in matrices)
        torch.testing.assert_close(total, exact, rtol=1e-4, atol=0)
        total.backward()
        u, s, v = torch.linalg.svd(matrices[1])
        gradient = convolutions[1].weight.grad
        assert gradient is not None
        torch.testing.assert_close(
            gradient.flatten(1), torch.outer(u[:, 0], v[0]), rtol=0, atol=0.02
        )

    def test_take_no_step_in_evaluation(self) -> None:
        norms = SpectralNorms([convolution := torch.nn.Conv2d(3, 3, 3)]).eval()
        before = norms.left_3x27.clone()
        norms([convolution])
        assert torch.equal(before, norms.left_3x27)

    def test_recover_from_a_zero_matrix(self) -> None:
        norms = SpectralNorms([convolution := torch.nn.Conv2d(3, 3, 3)])
        weight = convolution.weight.detach().clone()
        torch.nn.init.zeros_(convolution.weight)
        assert norms([convolution]).item() == 0
        with torch.no_grad():
            convolution.weight.copy_(weight)
        assert norms([convolution]) > 0

    def test_weigh_in_the_penalty(self) -> None:
        one, two = (small(spectral=weight) for weight in (0.1, 0.2))
        penalties = [model.penalty() for model in (one, two)]
        assert penalties[0] is not None and penalties[1] is not None
        torch.testing.assert_close(2 * penalties[0], penalties[1])
        assert small().penalty() is None
