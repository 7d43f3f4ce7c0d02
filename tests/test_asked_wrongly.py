"""What models are asked that they cannot answer: an error that says so, never another answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

import zoo
from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.priors import Given, Prior
from zoo.priors.standard_normal import StandardNormal
from zoo.settings import Settings
from zoo.testing.small import small_settings
from zoo.variants import Variant

VARIANTS = ("gaussian-vae", "cvae", "vmf-vae", "autoencoder", "nvae-lite", "univae")


def examples(model: LatentVariableModel, count: int) -> Batch:
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    return Batch(x, torch.arange(count) if model.conditioning else None)


@pytest.fixture(scope="module", params=VARIANTS)
def model(request: pytest.FixtureRequest) -> LatentVariableModel:
    found = Variant.find(request.param)
    torch.manual_seed(0)
    settings: dict[str, Any] = small_settings(found.model, found.settings({}))
    return zoo.create(request.param, **settings)


class TestInference:
    @pytest.mark.parametrize("samples", [0, -1, 1.5, "2"])
    def test_no_number_of_draws(self, model: LatentVariableModel, samples: Any) -> None:
        with pytest.raises(UnsupportedError, match="samples must be a whole number of at least 1"):
            model.infer(examples(model, 2), samples)

    @pytest.mark.parametrize("shape", [(2,), (1, 1), (3, 1), (3, 5)])
    def test_codes_of_other_examples(
        self, model: LatentVariableModel, shape: tuple[int, ...]
    ) -> None:
        """Also of one example: (1, D) would pass for (1, 1, D)."""
        given = torch.zeros(*shape, model.code_dim)
        with pytest.raises(UnsupportedError, match=r"give codes \(draws, 2, \d+\)"):
            model.infer(examples(model, 2), given=given)
        with pytest.raises(UnsupportedError, match=r"give codes \(draws, 1, \d+\)"):
            model.infer(examples(model, 1), given=torch.zeros(1, model.code_dim))

    def test_codes_of_another_width(self, model: LatentVariableModel) -> None:
        with pytest.raises(UnsupportedError, match="give codes"):
            model.infer(examples(model, 2), given=torch.zeros(3, 2, model.code_dim + 1))


class TestCodes:
    def test_one_code_is_decoded_like_several(self, model: LatentVariableModel) -> None:
        batch = examples(model, 1)
        code = model.encode(batch)
        one, several = (model.decode(z, batch.condition) for z in (code[0], code))
        assert one.batch_shape == () and several.batch_shape == (1,)
        torch.testing.assert_close(one.log_prob(batch.x[0]), several.log_prob(batch.x)[0])

    @pytest.mark.parametrize("make", [lambda d: torch.zeros(2, d + 1), lambda d: [0.0] * d])
    def test_what_is_no_code(self, model: LatentVariableModel, make: Callable[[int], Any]) -> None:
        condition = examples(model, 2).condition
        with pytest.raises((UnsupportedError, DataError), match="codes? "):
            model.decode(make(model.code_dim), condition)

    @pytest.mark.parametrize("shape", [(), (2, 3)])
    def test_what_is_no_batch_of_codes_to_resample(
        self, model: LatentVariableModel, shape: tuple[int, ...]
    ) -> None:
        """(D,) was taken for D codes, (2, 3, D) for 2."""
        with pytest.raises(UnsupportedError, match=r"give codes \(B, \d+\)"):
            model.resample_groups(torch.zeros(*shape, model.code_dim), [0])

    def test_as_many_conditions_as_codes(self) -> None:
        model = zoo.create("cvae")
        with pytest.raises(DataError, match="1 codes need as many conditions, got 3"):
            model.decode(torch.zeros(model.code_dim), torch.arange(3))


@pytest.mark.parametrize("temperature", [[0.5, 0.7, 0.9], "1", torch.ones(())])
def test_no_temperature(model: LatentVariableModel, temperature: Any) -> None:
    """One for each scale is what hierarchies alone take."""
    condition = None if model.conditioning is None else 1
    with pytest.raises(UnsupportedError, match="temperature"):
        model.sample_codes(2, temperature, condition=condition)


class TestObserved:
    @pytest.mark.parametrize("observed", [torch.ones(2, 1, 8, 8), torch.ones(2).bool()])
    def test_what_is_no_mask(self, model: LatentVariableModel, observed: Tensor) -> None:
        batch = examples(model, 2)._replace(observed=observed)
        with pytest.raises(DataError, match=r"observed must be boolean of shape \(2, 1, 8, 8\)"):
            model.infer(batch)

    @pytest.mark.parametrize("missing", [float("nan"), 1.0, 7.0])
    def test_the_encoder_does_not_read_what_is_missing(
        self, model: LatentVariableModel, missing: float
    ) -> None:
        batch = examples(model, 2)
        observed = torch.arange(8).expand(2, 1, 8, 8) > 2
        codes = [
            model.encode(batch._replace(x=torch.where(observed, batch.x, fill), observed=observed))
            for fill in (0.0, missing)
        ]
        torch.testing.assert_close(*codes, rtol=0, atol=0)


class TestLikelihoods:
    @pytest.mark.parametrize("variant", ["gaussian-vae", "autoencoder", "nvae-lite"])
    def test_one_of_tokens_is_none_of_images(self, variant: str) -> None:
        """It took the rows of pixels for tokens, and the batch broadcast against them."""
        with pytest.raises(ConfigError, match="'categorical' is one of tokens, and images"):
            zoo.create(variant, likelihood="categorical")

    @pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic"])
    def test_values_of_vectors_may_be_binary_or_levels(self, likelihood: str) -> None:
        shape = (3, 7)
        config = {"likelihood": likelihood, "input_shape": shape[1:]}
        model = Variant.find("gaussian-vae").build(config).eval()
        draws = model.infer(torch.ones(shape), 2)
        masses = torch.stack(
            [
                model.decode(draws.z).log_prob(torch.full(shape, level / 255))
                for level in (range(256) if likelihood != "bernoulli" else (0, 255))
            ]
        )
        assert draws.log_likelihood.shape == (2, 3) and masses.isfinite().all()
        torch.testing.assert_close(draws.log_likelihood, masses[-1])


class TestConditions:
    def test_fewer_classes_than_the_data_have(self) -> None:
        with pytest.raises(ConfigError, match=r"condition.classes is 3, and the data have 10"):
            zoo.create("cvae", condition={"classes": 3})

    def test_of_which_nothing_is_known(self) -> None:
        """The model would be told vectors of no number."""
        with pytest.raises(DataError, match="no labels is given to condition on"):
            zoo.create("cvae", dataset=np.zeros((20, 8, 8), dtype=np.uint8))
        with pytest.raises(ConfigError, match="'labels', of which nothing is known"):
            Variant.find("cvae").build({"input_shape": (1, 8, 8), "condition": "labels"})

    def test_more_may_be_known(self) -> None:
        assert zoo.create("cvae", condition={"classes": 12}).condition_width == 12

    def test_classes_are_no_numbers(self) -> None:
        with pytest.raises(ConfigError, match="10 classes or 2 numbers, not both"):
            zoo.create("gaussian-vae", condition={"numbers": 2})


class TestEvents:
    """A distribution that lacks its Independent: sums became means, rows became codes."""

    def test_of_a_likelihood(self) -> None:
        x = torch.zeros(5, 2)
        p = Normal(torch.zeros(3, 5, 2), 1.0)
        for observed in (None, torch.ones_like(x).bool()):
            batch = Batch(x, observed=observed)
            draws = Draws([], lambda: p, batch, lambda: x, torch.zeros(3, 5, 1))
            with pytest.raises(UnsupportedError, match=r"wrap it in Independent\(\.\.\., 1\)"):
                _ = draws.log_likelihood

    def test_of_a_prior(self) -> None:
        class Bare(StandardNormal):
            def forward(self, given: Given) -> Distribution:
                return Normal(torch.zeros(self.dim), 1.0)

            sample = Prior.sample

        prior = Bare(Settings(), Euclidean(4), (1, 8, 8))
        with pytest.raises(UnsupportedError, match=r"one over \(\), and codes are \(4,\)"):
            prior.sample(2, Given(torch.zeros(())), 1.0, None)
