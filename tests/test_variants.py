"""One contract, checked for every registered variant: a new one is tested by being registered."""

from __future__ import annotations

import inspect
import itertools
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo.variants.spherical import VMFVAE

import zoo
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.registry import packaged_root, read_registry
from zoo.settings import merge
from zoo.storage import checkpoint
from zoo.training.config import BetaObjective, ElboObjective, IwaeObjective, TrainingConfig
from zoo.variants import build, complete_config, model_class
from zoo.variants.autoencoder import Autoencoder, AutoencoderConfig
from zoo.variants.univae import UniVAE
from zoo.variants.vae import VAE, VAEConfig

VARIANTS = read_registry([packaged_root() / "registry.yaml"]).variants
SMALL: dict[str, Any] = {
    "latent_dim": 3,
    "mlp": {"name": "mlp", "hidden": [16]},
    "conv": {
        "name": "conv", "hidden": 16,
        "encoder_channels": [4, 4], "encoder_blocks": [0, 1],
        "decoder_channels": [4, 4], "decoder_blocks": [1, 0],
    },
    "scales": [
        {"channels": 6, "cells": 1, "groups": 2, "latents": 2},
        {"channels": 4, "cells": 1, "groups": 1, "latents": 1},
    ],
    "stem": [{"channels": 4, "cells": 1}],
    "width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2,
    "bernoulli": {"name": "bernoulli"},
    "gaussian": {"name": "gaussian", "learned": True},
    "discretized-logistic": {"name": "discretized-logistic"},
    "discretized-logistic-mixture": {"name": "discretized-logistic-mixture", "components": 3},
}  # fmt: skip
SHAPES = [(1, 8, 8), (3, 9, 7), (1, 28, 28)]


@dataclass(frozen=True)
class Case:
    """A variant made small, for one shape, backbone and likelihood where it has a choice.

    Its posterior is the registry's unless another is named.
    """

    variant: str
    shape: tuple[int, int, int]
    backbone: str
    likelihood: str
    posterior: str | None = None

    def __str__(self) -> str:
        size, posterior = "x".join(map(str, self.shape)), self.posterior or ""
        parts = [self.variant, size, self.backbone, self.likelihood, posterior]
        return "-".join(filter(None, parts))

    @cached_property
    def config(self) -> dict[str, Any]:
        fields = model_class(self.variant).Config.model_fields
        small = {name: size for name, size in SMALL.items() if not isinstance(size, dict)}
        small["backbone"] = SMALL[self.backbone]
        small["likelihood"] = SMALL[self.likelihood]
        if self.posterior is not None:
            small["posterior"] = self.posterior
        chosen = {key: value for key, value in small.items() if key in fields}
        settings = merge(VARIANTS[self.variant].config, chosen)
        return complete_config(self.variant, settings, self.shape, self.likelihood)

    def model(self, seed: int = 0) -> LatentVariableModel:
        torch.manual_seed(seed)
        return build(self.variant, self.config).eval()

    def pixels(self, batch: int) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        levels = torch.randint(0, 256, (batch, *self.shape), generator=generator) / 255
        return levels.round() if self.model().input_kind == "binary" else levels


def has_choice(variant: str, field: str) -> bool:
    return field in model_class(variant).Config.model_fields


def choices(variant: str) -> list[Case]:
    backbones = ["mlp", "conv"] if has_choice(variant, "backbone") else ["mlp"]
    likelihoods = ["bernoulli", "gaussian", "discretized-logistic", "discretized-logistic-mixture"]
    if not has_choice(variant, "likelihood"):
        likelihoods = likelihoods[:1]
    combinations = itertools.product(SHAPES, backbones, likelihoods)
    return [Case(variant, *combination) for combination in combinations]


def few(variant: str) -> list[Case]:
    """Each backbone and each likelihood at least once."""
    wanted = [
        ((1, 8, 8), "mlp", "bernoulli"),
        ((3, 9, 7), "conv", "discretized-logistic"),
        ((3, 9, 7), "mlp", "discretized-logistic-mixture"),
        ((1, 8, 8), "mlp", "gaussian"),
    ]
    return [
        Case(variant, shape, backbone if has_choice(variant, "backbone") else "mlp", likelihood)
        for shape, backbone, likelihood in wanted
        if has_choice(variant, "likelihood") or likelihood == "bernoulli"
    ]


def flat(variant: str) -> list[Case]:
    """With vectors of any length for latents, where a variant has these or directions."""
    case = few(variant)[0]
    return [replace(case, posterior="gaussian")] if has_choice(variant, "posterior") else []


ALL = [case for variant in VARIANTS for case in choices(variant)]
FEW = [case for variant in VARIANTS for case in few(variant) + flat(variant)]
ONE = [case for variant in VARIANTS for case in few(variant)[:1] + flat(variant)]
every_case = pytest.mark.parametrize("case", ALL, ids=str)
each_part = pytest.mark.parametrize("case", FEW, ids=str)
each_variant = pytest.mark.parametrize("case", ONE, ids=str)
WITH_EVIDENCE = [case for case in FEW if model_class(case.variant).has_evidence]
WITHOUT_EVIDENCE = [case for case in FEW if not model_class(case.variant).has_evidence]


def seeded(model: LatentVariableModel, x: Tensor) -> list[Tensor]:
    """Everything a model says of x, with the same noise at every call."""
    torch.manual_seed(11)
    terms = model.elbo_terms(x)
    drawn = model.sample(2, generator=torch.Generator().manual_seed(1))
    said = [terms.log_likelihood, terms.kl, model.encode(x), model.reconstruct(x), drawn]
    return [*said, model.log_weights(x, 3)] if model.has_evidence else said


def is_spherical(model: LatentVariableModel) -> bool:
    """Whether the prior is uniform on spheres, so that it has no spread to scale."""
    return not model._flat if isinstance(model, UniVAE) else isinstance(model, VMFVAE)


def agree(a: Tensor, b: Tensor) -> None:
    """The means over the first dimension agree within 4 standard errors of their difference."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() <= 4 * error + 1e-4).all()


class TestContract:
    @every_case
    @pytest.mark.parametrize("batch", [1, 3])
    def test_shapes_and_types(self, case: Case, batch: int) -> None:
        model, x = case.model(), case.pixels(batch)
        terms = model.elbo_terms(x)
        assert terms.log_likelihood.shape == terms.elbo.shape == (batch,)
        assert terms.kl.ndim == 2
        assert (terms.kl.shape[1] > 0) == model.has_evidence
        code = model.encode(x)
        assert code.shape == (batch, model.code_dim)
        likelihood = model.decode(code)
        assert (likelihood.batch_shape, likelihood.event_shape) == ((batch,), case.shape)
        assert likelihood.log_prob(x).shape == (batch,)
        images = [model.reconstruct(x), model.sample(batch)]
        assert all(image.shape == x.shape for image in images)
        assert all(((image >= 0) & (image <= 1)).all() for image in images)
        outputs = [terms.log_likelihood, terms.kl, code, *images]
        if model.has_evidence:
            outputs += [model.log_weights(x, 4), model.log_prob(x, 4)]
            assert [o.shape for o in outputs[-2:]] == [(4, batch), (batch,)]
        assert all(o.dtype == torch.float32 and o.isfinite().all() for o in outputs)
        assert not any(image.requires_grad for image in images)

    @each_part
    def test_the_divergence_is_nonnegative_and_the_sum_over_dimensions(self, case: Case) -> None:
        model, x = case.model(), case.pixels(5)
        by_dimension = model.kl_by_dimension(x)
        if by_dimension is None:
            pytest.skip("the posterior does not factorise")
        assert by_dimension.shape == (5, model.code_dim)
        assert (by_dimension >= 0).all()
        kl = model.elbo_terms(x).kl
        assert (kl >= 0).all()
        torch.testing.assert_close(by_dimension.sum(-1), kl.sum(-1))

    @pytest.mark.parametrize("case", WITH_EVIDENCE, ids=str)
    def test_the_mean_log_weight_is_the_elbo(self, case: Case) -> None:
        """Ties log p(x|z), log p(z) and log q(z|x) to the closed-form divergence."""
        model, x = case.model(), case.pixels(2)
        torch.manual_seed(0)
        draws = 3000
        with torch.no_grad():
            weights = model.log_weights(x, draws)
            elbos = model.elbo_terms(x.repeat(draws, 1, 1, 1)).elbo.unflatten(0, (draws, 2))
        agree(weights.double(), elbos.double())

    @pytest.mark.parametrize("case", WITH_EVIDENCE, ids=str)
    def test_log_prob_is_the_log_mean_of_its_weights(self, case: Case) -> None:
        model, x = case.model(), case.pixels(3)
        for samples in (1, 7):
            torch.manual_seed(5)
            found = model.log_prob(x, samples)
            torch.manual_seed(5)
            expected = model.log_weights(x, samples).logsumexp(0) - math.log(samples)
            torch.testing.assert_close(found, expected)
            assert not found.requires_grad
        for samples in (0, -1):
            with pytest.raises(UnsupportedError, match=f"at least 1, got {samples}"):
                model.log_prob(x, samples)

    @pytest.mark.parametrize("case", WITH_EVIDENCE, ids=str)
    def test_log_prob_does_not_depend_on_its_chunks(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, x = case.model(), case.pixels(1).repeat(400, 1, 1, 1)
        monkeypatch.setattr(type(model), "rows", 10**6)  # no bound but the chunk
        torch.manual_seed(0)
        whole, pieces = model.log_prob(x, 5, chunk=10_000), model.log_prob(x, 5, chunk=800)
        agree(whole.double(), pieces.double())
        asked: list[int] = []
        original = model.log_weights

        def counting(x: Tensor, samples: int) -> Tensor:
            asked.append(samples)
            return original(x, samples)

        monkeypatch.setattr(model, "log_weights", counting)
        for samples, chunk, parts in [(5, 1, [1] * 5), (5, 800, [2, 2, 1]), (5, 10**6, [5])]:
            asked.clear()
            model.log_prob(x, samples, chunk)
            assert asked == parts

    @pytest.mark.parametrize("case", WITH_EVIDENCE, ids=str)
    def test_more_samples_tighten_the_bound(self, case: Case) -> None:
        model, x = case.model(), case.pixels(1).repeat(300, 1, 1, 1)
        torch.manual_seed(0)
        one, many = model.log_prob(x, 1).double(), model.log_prob(x, 50).double()
        error = (one.var() / len(one) + many.var() / len(many)).sqrt()
        assert many.mean() >= one.mean() - 4 * error
        assert many.std() < one.std()

    @pytest.mark.parametrize("case", WITHOUT_EVIDENCE, ids=str)
    def test_without_evidence_the_likelihood_is_refused(self, case: Case) -> None:
        model, x = case.model(), case.pixels(2)
        for ask in (lambda: model.log_weights(x, 2), lambda: model.log_prob(x, 2)):
            with pytest.raises(UnsupportedError, match="not defined"):
                ask()
        assert model.kl_by_dimension(x) is None

    @each_part
    def test_the_bound_reaches_every_trainable_parameter(self, case: Case) -> None:
        model = case.model().train()
        (-model.elbo_terms(case.pixels(16)).elbo.mean()).backward()
        without = [
            name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
        ]
        assert without == []
        assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)

    @each_variant
    def test_temperature_scales_the_spread_of_codes(self, case: Case) -> None:
        model = case.model()

        def codes(temperature: float, seed: int = 0) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            return model.sample_codes(2000, temperature, generator)

        assert codes(1.0).shape == (2000, model.code_dim)
        if is_spherical(model):
            with pytest.raises(UnsupportedError, match="temperature must be 1, got 0.5"):
                codes(0.5)
            return
        assert codes(0.5).std() < codes(1.0).std() < codes(2.0).std()
        assert torch.equal(*(codes(0.0, s) for s in (0, 1)))
        if not isinstance(model, UniVAE):  # which draws its tokens all the same
            cold = [model.sample(4, 0.0, torch.Generator().manual_seed(s)) for s in (0, 1)]
            assert torch.equal(*cold)
        assert not torch.equal(*(model.sample(4, t, seed(0)) for t in (0.5, 1.0)))

    @each_variant
    def test_codes_vary_as_much_as_the_model_says(self, case: Case) -> None:
        model = case.model()
        if model.code_variance is None:
            pytest.skip("the variance is not one number")
        found = model.sample_codes(2000, generator=seed(0)).var(0)
        expected = torch.full_like(found, model.code_variance)
        torch.testing.assert_close(found, expected, rtol=0.2, atol=0)

    @each_variant
    def test_ways_are_straight_where_codes_are_no_directions(self, case: Case) -> None:
        model = case.model()
        if is_spherical(model):
            pytest.skip("ways are great circles")
        start, end = model.sample_codes(2, generator=seed(0))
        torch.testing.assert_close(model.interpolate(start, end, 3)[1], (start + end) / 2)
        step = end / end.norm()
        moved = model.traverse(start, end, torch.tensor([0.0, -2.0]))
        torch.testing.assert_close(moved, torch.stack([start, start - 2 * step]))

    @each_variant
    def test_impossible_draws_are_refused(self, case: Case) -> None:
        model = case.model()
        for n in (-1, 1.5, "3", True):
            for draw in (model.sample_codes, model.sample):
                with pytest.raises(UnsupportedError, match=f"number of draws .* got {n!r}"):
                    draw(n)  # type: ignore[arg-type]
        for temperature in (-1.0, float("nan"), float("inf")):
            with pytest.raises(UnsupportedError, match=f"temperature must be .* got {temperature}"):
                model.sample_codes(2, temperature)
        assert model.sample_codes(0).shape == (0, model.code_dim)

    @each_part
    def test_samples_follow_the_generator_alone(self, case: Case) -> None:
        model = case.model()
        state = torch.get_rng_state()
        first = model.sample(3, generator=seed(0))
        assert torch.equal(first, model.sample(3, generator=seed(0)))
        assert not torch.equal(first, model.sample(3, generator=seed(1)))
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(4)
        first = model.sample(3)
        torch.manual_seed(4)
        assert torch.equal(first, model.sample(3))
        assert not torch.equal(first, model.sample(3))

    @each_part
    def test_images_stay_in_range_however_hot(self, case: Case) -> None:
        model = case.model()
        temperature = 1.0 if is_spherical(model) else 1000.0
        hot = model.sample(20, temperature=temperature, generator=seed(0))
        assert ((hot >= 0) & (hot <= 1)).all()

    @each_part
    def test_encoding_is_deterministic_and_each_example_stands_alone(self, case: Case) -> None:
        model, x = case.model(), case.pixels(4)
        codes = model.encode(x)
        assert torch.equal(codes, model.encode(x))
        alone = torch.cat([model.encode(one) for one in x.split(1)])
        torch.testing.assert_close(codes, alone)
        torch.testing.assert_close(model.reconstruct(x), model.show(codes))
        assert not torch.allclose(codes[0], codes[1])

    @each_part
    def test_what_is_shown_are_means_where_a_likelihood_has_one(self, case: Case) -> None:
        model = case.model()
        codes = model.encode(case.pixels(3))
        likelihood = model.decode(codes)
        if isinstance(model, UniVAE):
            with pytest.raises(UnsupportedError, match="no mean in closed form; use model.show"):
                _ = likelihood.mean
        else:
            assert torch.equal(model.show(codes), likelihood.mean.clamp(0, 1))
        assert not model.show(codes).requires_grad

    @each_part
    def test_a_checkpoint_gives_back_the_same_model(self, case: Case, tmp_path: Path) -> None:
        model, x = case.model(), case.pixels(3)
        if model.code_dim and not model.has_evidence:
            model.fit_codes(torch.randn(50, model.code_dim))
        checkpoint.save(tmp_path / "x.safetensors", model, variant=case.variant, dataset=None)
        loaded = zoo.load(tmp_path / "x.safetensors")
        assert type(loaded) is type(model)
        assert loaded.config == model.config
        for before, after in zip(seeded(model, x), seeded(loaded, x), strict=True):
            assert torch.equal(before, after)
        frozen = [[p.requires_grad for p in m.parameters()] for m in (model, loaded)]
        assert frozen[0] == frozen[1]

    @every_case
    def test_is_built_without_memory_and_saves_all_its_state(self, case: Case) -> None:
        cls = model_class(case.variant)
        with torch.device("meta"):
            blueprint = cls(cls.Config.parse(case.config, "meta"))
        model = case.model()
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (blueprint, model)]
        assert shapes[0] == shapes[1]
        assert all(tensor.is_meta for tensor in blueprint.state_dict().values())
        assert {name for name, _ in model.named_buffers()} <= set(model.state_dict())

    @each_variant
    def test_an_empty_batch_gives_empty_figures(self, case: Case) -> None:
        model, x = case.model(), case.pixels(0)
        terms = model.elbo_terms(x)
        assert terms.elbo.shape == (0,)
        assert model.encode(x).shape == (0, model.code_dim)
        assert model.reconstruct(x).shape == x.shape

    @each_variant
    def test_wrong_input_is_refused_with_the_right_shape(self, case: Case) -> None:
        model, x = case.model(), case.pixels(2)
        wrong = [x[0], x[:, :, 1:], x.repeat(1, 2, 1, 1), x.flatten(1), x.long(), x > 0.5]
        asks = [model.elbo_terms, model.encode, model.reconstruct]
        if model.has_evidence:
            asks.append(lambda x: model.log_weights(x, 2))
        for given, ask in itertools.product(wrong, asks):
            with pytest.raises(DataError, match=r"shape \(batch, 1, 8, 8\) .* got torch\."):
                ask(given)

    @pytest.mark.parametrize("case", WITH_EVIDENCE[:1], ids=str)
    def test_log_prob_refuses_wrong_input_too(self, case: Case) -> None:
        model, x = case.model(), case.pixels(2)
        for given in (x[0], x.long(), x > 0.5):
            with pytest.raises(DataError, match=r"shape \(batch, 1, 8, 8\) .* got torch\."):
                model.log_prob(given, 2)

    @every_case
    def test_a_configuration_survives_json(self, case: Case) -> None:
        schema = model_class(case.variant).Config
        config = schema.parse(case.config, "first")
        text = json.dumps(config.model_dump(mode="json"))
        assert schema.parse(json.loads(text), "again") == config
        assert config.input_shape == case.shape

    @each_variant
    def test_settings_are_told_apart_by_name(self, case: Case) -> None:
        """zoo.train sorts its options into model, training and objective by their names."""
        model = set(model_class(case.variant).Config.model_fields)
        others = set(TrainingConfig.model_fields) | set(inspect.signature(zoo.train).parameters)
        for objective in (ElboObjective, BetaObjective, IwaeObjective):
            others |= set(objective.model_fields)
        assert not model & others

    @each_part
    def test_works_in_double_precision(self, case: Case) -> None:
        model, x = case.model(), case.pixels(3)
        codes, log_likelihood = model.encode(x), model.decode(model.encode(x)).log_prob(x)
        model.double()
        x = x.double()
        for value in seeded(model, x):
            assert value.dtype == torch.float64
        torch.testing.assert_close(model.encode(x).float(), codes, rtol=1e-4, atol=1e-5)
        double = model.decode(model.encode(x)).log_prob(x)
        torch.testing.assert_close(double.float(), log_likelihood, rtol=1e-4, atol=1e-3)

    @each_part
    def test_densities_are_single_precision_under_autocast(self, case: Case) -> None:
        model, x = case.model(), case.pixels(3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            said = seeded(model, x)
        for rough, exact in zip(said, seeded(model, x), strict=True):
            assert rough.dtype == torch.float32
            # A patch drawn or chosen by the rough model may be another one.
            if not (isinstance(model, UniVAE) and rough.shape[1:] == case.shape):
                torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)

    @each_variant
    def test_seeds_change_the_weights_and_nothing_else_does(self, case: Case) -> None:
        first, same, other = (case.model(s).state_dict() for s in (0, 0, 1))
        assert all(torch.equal(first[name], same[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def wide_posterior(model: VAE) -> VAE:
    """With a posterior wider than the true one, so that importance weights are bounded."""
    with torch.no_grad():
        model.posterior.projection.bias[model.code_dim :] += 1.0
    return model


def distances(a: Tensor, b: Tensor) -> Tensor:
    """From each row of ``a`` to each of ``b``; cdist's products of matrices would round."""
    return (a.double()[:, None] - b.double()).norm(dim=-1)


class TestEvidence:
    """With one latent dimension p(x) is an integral one can do on a grid."""

    def test_log_prob_estimates_the_integral_over_the_prior(self) -> None:
        torch.manual_seed(0)
        model = wide_posterior(VAE(VAEConfig(input_shape=(1, 2, 2), latent_dim=1))).double()
        x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double().reshape(1, 1, 2, 2)
        grid = torch.linspace(-9, 9, 4001).double()[:, None]
        log_joint = model.decode(grid).log_prob(x) - 0.5 * grid[:, 0] ** 2
        log_joint -= 0.5 * math.log(2 * math.pi)
        exact = torch.trapezoid(log_joint.exp(), grid[:, 0]).item()
        weights = model.log_weights(x, 20_000)[:, 0].exp()
        error = (weights.std() / math.sqrt(len(weights))).item()
        assert weights.mean().item() == pytest.approx(exact, abs=4 * error)
        assert error < 0.01 * exact  # the check has teeth
        assert model.log_prob(x, 20_000).exp().item() == pytest.approx(exact, abs=4 * error)
        assert model.elbo_terms(x.repeat(2000, 1, 1, 1)).elbo.mean().exp() < exact

    def test_the_probabilities_of_all_images_sum_to_one(self) -> None:
        torch.manual_seed(0)
        model = wide_posterior(VAE(VAEConfig(input_shape=(1, 2, 2), latent_dim=2))).double()
        images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
        weights = model.log_weights(images.reshape(-1, 1, 2, 2), 20_000).exp()  # (S, 16)
        error = (weights.var(0) / len(weights)).sum().sqrt().item()
        assert weights.mean(0).sum().item() == pytest.approx(1, abs=4 * error)
        assert error < 0.01


class TestSettings:
    def test_the_data_decide_the_likelihood_unless_the_settings_do(self) -> None:
        shape = (3, 8, 8)
        config = complete_config("gaussian-vae", {}, shape, "discretized-logistic")
        assert config["likelihood"] == {"name": "discretized-logistic"}
        config = complete_config("gaussian-vae", {"likelihood": "gaussian"}, shape, "bernoulli")
        assert config["likelihood"]["name"] == "gaussian"
        # Settings without a name are those of the data's likelihood.
        config = complete_config("gaussian-vae", {"likelihood": {"scale": 0.1}}, shape, "gaussian")
        assert config["likelihood"] == {"name": "gaussian", "scale": 0.1, "learned": False}

    def test_another_shape_than_the_datas_is_refused(self) -> None:
        for shape in ((1, 9, 8), [1, 8], 8):
            with pytest.raises(ConfigError, match=r"examples are \(1, 8, 8\), 'input_shape' says"):
                complete_config("gaussian-vae", {"input_shape": shape}, (1, 8, 8), "bernoulli")

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"latent_dmi": 3}, "unknown key 'latent_dmi'; did you mean 'latent_dim'?"),
            ({"latent_dim": 0}, "'latent_dim'"),
            ({"backbone": "cnv"}, "did you mean 'conv'?"),
            ({"backbone": {"name": "mlp", "hiden": [3]}}, "'hidden'"),
            ({"backbone": {"name": "mlp", "hidden": []}}, "at least 1 item"),
            ({"likelihood": "bernouli"}, "did you mean 'bernoulli'?"),
            ({"likelihood": {"name": "gaussian", "scale": 0}}, "'likelihood.gaussian.scale'"),
        ],
    )
    def test_mistakes_are_named(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            complete_config("gaussian-vae", settings, (1, 8, 8), "bernoulli")
        assert str(caught.value).startswith("model 'gaussian-vae': ")
        assert said in str(caught.value)


class TestAutoencoder:
    """The mixture fitted to the codes, through the samples drawn from it."""

    @staticmethod
    def fitted(codes: Tensor, components: int) -> Autoencoder:
        config = AutoencoderConfig(
            input_shape=(1, 4, 4), latent_dim=codes.shape[1], mixture_components=components
        )
        model = Autoencoder(config)
        model.fit_codes(codes)
        return model

    @pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
    @pytest.mark.parametrize("components", [1, 5])
    def test_samples_have_the_mean_and_covariance_of_the_codes(
        self, components: int, scale: float
    ) -> None:
        torch.manual_seed(0)
        mix = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 0.1]])
        codes = scale * (torch.randn(3000, 3) @ mix.T + torch.tensor([5.0, -1.0, 0.0]))
        drawn = self.fitted(codes, components).sample_codes(20_000, generator=seed(0))
        standard = codes.std(0)
        difference = ((drawn.mean(0) - codes.mean(0)) / standard).abs()
        assert difference.max() < 4 / math.sqrt(20_000) + 1e-3
        products = [((c - c.mean(0)) / standard).T.cov() for c in (drawn, codes)]
        # A correlation has standard error below sqrt(2 / n); the floor adds 1e-4 of the variance.
        assert (products[0] - products[1]).abs().max() < 4 * math.sqrt(2 / 20_000) + 0.02

    def test_separate_clusters_keep_their_shares_and_stay_apart(self) -> None:
        torch.manual_seed(0)
        centres = torch.tensor([[-10.0, 0.0], [10.0, 0.0]])
        codes = torch.cat([centres[0] + torch.randn(900, 2), centres[1] + torch.randn(300, 2)])
        model = self.fitted(codes, 2)
        drawn = model.sample_codes(10_000, generator=seed(0))
        assert (drawn[:, 0] < 0).double().mean().item() == pytest.approx(0.75, abs=0.02)
        assert (drawn[:, 0].abs() > 5).all()
        cold = model.sample_codes(1000, temperature=0.0, generator=seed(0))
        assert len(cold.unique(dim=0)) == 2
        torch.testing.assert_close(cold.unique(dim=0), centres, rtol=0, atol=0.3)

    def test_the_fit_is_reproducible_and_leaves_the_random_state_alone(self) -> None:
        codes = torch.randn(500, 3, generator=seed(0))
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first, again = self.fitted(codes, 4).state_dict(), None
        torch.set_rng_state(state)
        again = self.fitted(codes, 4).state_dict()
        assert all(torch.equal(first[name], again[name]) for name in first)
        model = Autoencoder(AutoencoderConfig(input_shape=(1, 4, 4), latent_dim=3))
        before = torch.get_rng_state()
        model.fit_codes(codes)
        assert torch.equal(before, torch.get_rng_state())

    def test_refitting_forgets_the_first_fit(self) -> None:
        model = self.fitted(torch.randn(500, 2, generator=seed(0)), 5)
        model.fit_codes(torch.full((3, 2), 100.0))
        drawn = model.sample_codes(500, generator=seed(0))
        torch.testing.assert_close(drawn, torch.full((500, 2), 100.0))

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_fewer_codes_than_components(self, count: int) -> None:
        codes = 50 * torch.randn(count, 3, generator=seed(0))
        model = self.fitted(codes, 10)
        cold = model.sample_codes(300, temperature=0.0, generator=seed(0))
        nearest = distances(cold, codes).min(-1)
        assert nearest.values.max() < 1e-3
        assert set(nearest.indices.tolist()) == set(range(count))
        assert model.mixture_weights.sum().item() == pytest.approx(1)

    @pytest.mark.parametrize("distinct", [1, 3])
    def test_codes_that_repeat(self, distinct: int) -> None:
        codes = torch.randn(distinct, 3, generator=seed(0)).repeat(20, 1)
        drawn = self.fitted(codes, 10).sample_codes(300, generator=seed(0))
        assert distances(drawn, codes).min(-1).values.max() < 0.1

    def test_more_dimensions_than_codes(self) -> None:
        codes = torch.randn(10, 40, generator=seed(0))
        drawn = self.fitted(codes, 3).sample_codes(100, generator=seed(0))
        assert drawn.isfinite().all()
        assert drawn.std().item() == pytest.approx(codes.std().item(), rel=0.2)

    def test_its_loss_is_the_likelihood_of_its_reconstruction(self) -> None:
        torch.manual_seed(0)
        config = AutoencoderConfig(
            input_shape=(1, 4, 4), likelihood={"name": "gaussian", "scale": 0.5**0.5}
        )  # type: ignore[arg-type]
        model, x = Autoencoder(config), torch.rand(3, 1, 4, 4)
        mean = model.decode(model.encode(x)).mean
        expected = -(x - mean).square().sum((1, 2, 3)) - 8 * math.log(math.pi)
        torch.testing.assert_close(model.elbo_terms(x).log_likelihood, expected)
