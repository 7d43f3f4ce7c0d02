"""The hierarchical VAE: what the contract that all variants pass does not ask."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import zoo
from zoo.data import Split, load_dataset
from zoo.errors import DataError, UnsupportedError
from zoo.evaluation import evaluate_model
from zoo.nn.cells import ChannelNorm, DecoderCell, EncoderCell
from zoo.nn.flows import InverseAutoregressiveFlow
from zoo.nn.residual_normal import Gaussian, Visit
from zoo.nn.spectral import SpectralNorms
from zoo.training.config import Experiment
from zoo.training.trainer import Trainer, train_experiment
from zoo.variants.nvae_lite import LevelConfig, NVAELite, NVAELiteConfig, ScaleConfig

SCALES = (
    ScaleConfig(channels=6, cells=1, groups=2, latents=3),
    ScaleConfig(channels=4, cells=1, groups=3, latents=1),
)


def small(
    shape: tuple[int, int, int] = (1, 12, 10),
    stem: int = 1,
    flows: int = 0,
    spectral: float = 0.0,
    spread: float = 0.15,
) -> NVAELite:
    """A model whose weights are far enough from their start for every part to matter."""
    torch.manual_seed(0)
    levels = (LevelConfig(channels=4),) * stem
    config = NVAELiteConfig(
        input_shape=shape, scales=SCALES, stem=levels, flows=flows, spectral=spectral, expansion=2
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
        assert model.elbo_terms(x).elbo.isfinite().all()
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
            model._descend(
                1,
                lambda step, path, prior: (
                    said.append(torch.stack(prior))
                    or code[:, step.group.start : step.group.stop].view(1, *step.group.shape)
                ),
            )
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


class TestBound:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000))
    def test_the_residual_divergence_is_that_of_the_two_normals(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        mean, log_scale, shift, log_ratio, noise = torch.randn(
            5, 2, 3, 2, 2, generator=generator, dtype=torch.float64
        ).unbind()
        prior = Gaussian(mean, log_scale)
        posterior = Normal(mean + shift, (log_scale + log_ratio).exp())
        z = posterior.mean + posterior.stddev * noise
        visit = Visit(prior, shift, log_ratio, noise, z, None)
        normal = Normal(mean, log_scale.exp())
        expected = kl_divergence(posterior, normal).flatten(1).sum(1)
        torch.testing.assert_close(visit.kl, expected, rtol=1e-9, atol=1e-9)
        weight = (normal.log_prob(z) - posterior.log_prob(z)).flatten(1).sum(1)
        torch.testing.assert_close(visit.log_weight, weight, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("flows", [0, 1, 2])
    def test_the_terms_are_the_mean_log_weight(self, flows: int) -> None:
        model = small(flows=flows)
        x, draws = pixels(model, 2), 3000
        torch.manual_seed(0)
        with torch.no_grad():
            weights = model.log_weights(x, draws)
            terms = model.elbo_terms(x.repeat(draws, 1, 1, 1))
        agree(weights.double(), terms.elbo.view(draws, 2).double())
        assert terms.kl.shape == (2 * draws, 5)
        assert (terms.kl.view(draws, 2, 5).mean(0) > 0).all()

    @pytest.mark.parametrize("flows", [0, 2])
    def test_importance_weights_integrate_to_one_over_all_images(self, flows: int) -> None:
        """sum_x p(x) = 1 for an image of 2 x 3 pixels: the density is that of a distribution."""
        model = small((1, 2, 3), stem=0, flows=flows, spread=0.08)
        bits = torch.arange(64)[:, None] >> torch.arange(6) & 1
        images = bits.float().view(64, 1, 2, 3)
        torch.manual_seed(0)
        with torch.no_grad():
            probability = model.log_prob(images, 4000, chunk=16_000).double().exp()
        assert abs(probability.sum().item() - 1) < 0.02

    def test_an_untrained_model_starts_at_its_prior_and_finite(self) -> None:
        torch.manual_seed(0)
        model = NVAELite(NVAELiteConfig(input_shape=(1, 28, 28)))
        terms = model.elbo_terms(pixels(model, 4))
        assert terms.kl.mean(0).max() < 2
        assert abs(terms.log_likelihood.mean().item() / (784 * math.log(2)) + 1) < 0.1

    def test_extreme_weights_stay_finite(self) -> None:
        model = small(spread=5.0)
        terms = model.elbo_terms(pixels(model, 4))
        assert terms.elbo.isfinite().all()
        terms.elbo.mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


class TestCodes:
    def test_a_prefix_is_kept_and_the_rest_is_drawn(self) -> None:
        model = small()
        code = model.encode(pixels(model, 3))
        for group in model.groups:
            torch.manual_seed(0)
            whole, _ = model.generate(code[:, : group.stop])
            other, _ = model.generate(code[:, : group.stop])
            assert whole.shape == code.shape
            assert torch.equal(whole[:, : group.stop], code[:, : group.stop])
            rest = whole[:, group.stop :], other[:, group.stop :]
            assert not rest[0].numel() or not torch.equal(*rest)
            assert model.decode(code[:, : group.stop]).batch_shape == (3,)

    def test_decoding_a_completed_code_gives_the_same_maps(self) -> None:
        model = small()
        whole, maps = model.generate(model.encode(pixels(model, 3))[:, : model.groups[1].stop])
        again, same = model.generate(whole)
        assert torch.equal(whole, again)
        assert torch.equal(maps, same)

    def test_encoding_draws_nothing(self) -> None:
        model = small()
        state = torch.get_rng_state()
        model.reconstruct(pixels(model, 2))
        assert torch.equal(state, torch.get_rng_state())

    def test_a_dimension_is_not_active_because_its_prior_moves(self) -> None:
        model = small()
        split = Split((255 * pixels(model, 50)).to(torch.uint8), None)
        measured = evaluate_model(model, split, name="x", dataset="x", samples=2)
        assert measured.active_units is None
        assert len(measured.kl_per_group) == 5
        assert "active units" not in str(measured)

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
    def test_a_run_goes_on_bit_for_bit_with_all_its_parts(self, tmp_path: Path) -> None:
        """Spectral vectors and moving average too: killed after three epochs, or not at all."""
        scales = [dict(scale) for scale in SCALES]
        settings: dict[str, Any] = {
            "model": {"scales": scales, "stem": [], "flows": 1, "spectral": 0.01},
            "train": {"epochs": 5, "ema_decay": 0.9, "kl_warmup_steps": 20, "lr": 2e-3},
            "objective": {"balance": True},
        }
        experiment = Experiment.build("nvae-lite-s", "digits", **settings)
        whole = train_experiment(experiment, tmp_path / "whole", progress=False)

        with pytest.MonkeyPatch.context() as patch:
            original = Trainer.finish_epoch

            def finish_epoch(trainer: Trainer) -> None:
                original(trainer)
                trainer.save()
                if trainer.epoch == 3:
                    raise KeyboardInterrupt

            patch.setattr(Trainer, "finish_epoch", finish_epoch)
            with pytest.raises(KeyboardInterrupt):
                train_experiment(experiment, tmp_path / "parts", progress=False)
        parts = train_experiment(experiment, tmp_path / "parts", progress=False)
        assert whole.metrics == parts.metrics
        states = (run.model.state_dict() for run in (whole, parts))
        for one, other in zip(*(state.items() for state in states), strict=True):
            assert one[0] == other[0]
            assert torch.equal(one[1], other[1])

    def test_the_bound_is_one_graph(self) -> None:
        model = small(flows=1, spectral=0.1).train()
        x = pixels(model, 2)

        def loss() -> Tensor:
            penalty = model.penalty()
            assert penalty is not None
            return penalty - model.elbo_terms(x).elbo.mean()

        vectors = {name: buffer.clone() for name, buffer in model.named_buffers()}
        torch.manual_seed(0)
        eager = loss()
        model.load_state_dict(vectors, strict=False)
        torch.compiler.reset()
        torch.manual_seed(0)
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")()
        torch.testing.assert_close(eager, compiled)


def test_every_group_of_the_posterior_that_is_kept_brings_the_image_nearer() -> None:
    """Of the released model, over the 300 test digits: E log p(x|z) rises with each group."""
    model = zoo.load("nvae-lite-digits")
    assert isinstance(model, NVAELite)
    test = load_dataset("digits").test.fixed("binary", seed=0)
    x = test.batch(torch.arange(len(test)), kind="unit").x
    torch.manual_seed(0)
    with torch.no_grad():
        code = model.encode(x)
        stops = [0, *(group.stop for group in model.groups)]
        scores = [model.decode(code[:, :stop]).log_prob(x).mean().item() for stop in stops]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 10


class TestFlow:
    @pytest.mark.parametrize("backwards", [False, True])
    def test_is_autoregressive_and_its_determinant_exact(self, backwards: bool) -> None:
        torch.manual_seed(0)
        flow = InverseAutoregressiveFlow(2, 3, 8, backwards).double()
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        z = torch.randn(1, 2, 3, 4, dtype=torch.float64)
        context = torch.randn(1, 3, 3, 4, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z, context)[0], z)
        by_position = jacobian.view(2, 12, 2, 12).transpose(0, 1).transpose(2, 3)
        order = torch.arange(12).flip(0) if backwards else torch.arange(12)
        by_position = by_position[order][:, :, order]
        matrix = by_position.reshape(24, 24)
        assert torch.equal(matrix, matrix.tril())
        assert (matrix.tril(-2) != 0).any()
        log_det = torch.linalg.slogdet(matrix).logabsdet
        torch.testing.assert_close(flow(z, context)[1][0], log_det)


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
