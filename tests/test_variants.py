"""The shipped contract of every registered variant, and what some of them promise beside it."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo.testing
from zoo.errors import ConfigError, UnknownNameError
from zoo.registry import packaged_root, read_registry
from zoo.testing.cases import first_case
from zoo.testing.contract.numerics import compiled_it_says_the_same, is_one_graph
from zoo.testing.expect import seed
from zoo.variants import Facts, Variant
from zoo.variants.autoencoder import Autoencoder, AutoencoderConfig

VARIANTS = tuple(read_registry([packaged_root() / "registry.yaml"]).variants)
COMPOSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("gaussian-vae", {"backbone": "conv", "likelihood": "discretized-logistic-mixture"}),
    ("gaussian-vae", {"posterior": "batch-norm-moments", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"posterior": "residual-normal", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"condition": "labels", "likelihood": "gaussian"}),
    ("vmf-vae", {"backbone": "conv", "likelihood": "bernoulli"}),
    ("autoencoder", {"condition": "labels", "likelihood": "bernoulli"}),
    ("nvae-lite", {"flows": 1, "likelihood": "discretized-logistic"}),
    ("nvae-lite", {"posterior": "gaussian", "likelihood": "bernoulli"}),
    (
        "vmf-product-vae",
        {
            "latent_dim": 6,
            "posterior": {"name": "vmf-product", "spheres": 2},
            "likelihood": "bernoulli",
        },
    ),
    ("univae", {"posterior": "gaussian", "likelihood": "bernoulli"}),
    ("univae", {"posterior": "power-spherical", "likelihood": "categorical"}),
    ("gaussian-vae", {"posterior": "planar", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"posterior": "spline", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"prior": "mixture", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"prior": "spline", "likelihood": "bernoulli"}),
    ("vamp-vae", {"condition": "labels", "likelihood": "bernoulli"}),
    ("nvae-lite", {"posterior": "iaf", "likelihood": "bernoulli"}),
    ("univae", {"posterior": "mixture", "likelihood": "bernoulli"}),
    ("m2", {"posterior": "vmf", "likelihood": "bernoulli"}),
    ("m2", {"prior": "vamp", "likelihood": "bernoulli"}),
)
"""Parts that the registered variants do not have in these combinations."""
LEARNED = {"planar", "spline", "iaf", "mixture"}
"""Parts of gaussian-vae, of whose bound test_learned_parts.py asks that it be one graph."""


@cache
def distinct() -> list[str]:
    """Variants that are not, once small, what another one is."""
    small = {}
    for name in VARIANTS:
        case = first_case(name)
        small.setdefault((case.variant.model, json.dumps(case.config, sort_keys=True)), name)
    return list(small.values())


@cache
def asked() -> dict[str, dict[str, Any]]:
    """One variant of each class is checked with every likelihood, the others with their own."""
    found: dict[str, dict[str, Any]] = {}
    seen: set[type] = set()
    for name in distinct():
        variant = Variant.find(name)
        own = {"likelihood": variant.spec.config.get("likelihood", "bernoulli")}
        found[name] = own if variant.model in seen else {}
        seen.add(variant.model)
    return found


def checks() -> list[Any]:
    """All checks of all distinct variants, and of parts composed.

    But for one: that a whole graph says the same is asked of the variants below, and elsewhere of
    what is learned beside a Gaussian.
    """
    compiled = [
        (name, settings)
        for name, settings in COMPOSED
        if name != "gaussian-vae" or not LEARNED & set(map(str, settings.values()))
    ]
    return [
        pytest.param(check, id="-".join([name, *map(str, settings.values()), str(check)]))
        for name, settings in [*asked().items(), *COMPOSED]
        for check in zoo.testing.checks_of(name, settings)
        if (name, settings) in compiled or check.rule.check is not compiled_it_says_the_same
    ]


@pytest.mark.parametrize("check", checks())
def test_contract(check: zoo.testing.Check) -> None:
    check()


@pytest.mark.parametrize("name", asked())
def test_the_bound_is_one_graph(name: str) -> None:
    is_one_graph(first_case(name, asked()[name]))


def test_a_small_version_is_small_and_what_is_given_wins() -> None:
    case = first_case("gaussian-vae", {"latent_dim": 5, "likelihood": "bernoulli"})
    assert case.config["latent_dim"] == 5
    assert case.config["backbone"] == {"name": "mlp", "hidden": [16]}
    assert sum(p.numel() for p in case.model().parameters()) < 10_000


def test_a_name_that_is_not_registered_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian-vae'"):
        zoo.testing.check_variant("gausian-vae")


def complete_config(
    variant: str, settings: dict[str, Any], shape: tuple[int, ...], likelihood: str
) -> dict[str, Any]:
    found = Variant.find(variant)
    return found.complete(found.settings(settings), Facts(shape, likelihood))


def distances(a: Tensor, b: Tensor) -> Tensor:
    """From each row of ``a`` to each of ``b``; cdist's products of matrices would round."""
    return (a.double()[:, None] - b.double()).norm(dim=-1)


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
            ({"likelihood": {"name": "gaussian", "scale": 0}}, "likelihoods.gaussian: 'scale'"),
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
        torch.testing.assert_close(model.infer(x).log_likelihood[0], expected)
