"""The shipped contract finds what is wrong, and says which check found it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import zoo.testing
from zoo.core import draws
from zoo.core.latent_space import Euclidean
from zoo.posteriors.gaussian import Gaussian
from zoo.priors.standard_normal import StandardNormal
from zoo.variants.vae import VAE

Patch = pytest.MonkeyPatch
SETTINGS = {"likelihood": "bernoulli"}


def no_generator(patch: Patch) -> None:
    patch.setattr(StandardNormal, "sample", lambda self, n, given, t, g: t * torch.randn(n, 3))


def no_temperature(patch: Patch) -> None:
    def sample(self: Any, n: int, given: Any, t: float, g: Any) -> Any:
        return torch.randn(n, 3, generator=g, dtype=given.like.dtype)

    patch.setattr(StandardNormal, "sample", sample)


def wrong_variance(patch: Patch) -> None:
    patch.setattr(StandardNormal, "variance", 2.0)


def drawn_code(patch: Patch) -> None:
    patch.setattr(Gaussian, "code", lambda self, q: q.sample())


def wrong_divergence(patch: Patch) -> None:
    right = draws.closed_form_kl
    patch.setattr(draws, "closed_form_kl", lambda q, p: 1.2 * right(q, p))


def blind_to_codes_given(patch: Patch) -> None:
    right = VAE.infer
    patch.setattr(VAE, "infer", lambda self, batch, samples=1, given=None: right(self, batch))


def blind_to_masks(patch: Patch) -> None:
    patch.setattr(draws, "observed_log_prob", lambda p, x, observed: p.log_prob(x))


def detours(patch: Patch) -> None:
    right = Euclidean.interpolate
    patch.setattr(
        Euclidean, "interpolate", lambda self, a, b, n: right(self, a, b, n).square().sqrt()
    )


def unsaved_buffer(patch: Patch) -> None:
    right = VAE.build_code

    def build(self: VAE, features: int) -> Any:
        self.register_buffer("secret", torch.zeros(1), persistent=False)
        return right(self, features)

    patch.setattr(VAE, "build_code", build)


@pytest.mark.parametrize(
    ("sabotage", "found_by"),
    [
        (no_generator, "samples_follow_the_generator_alone"),
        (no_temperature, "temperature_scales_the_deviation_of_codes"),
        (wrong_variance, "codes_vary_as_much_as_the_model_says"),
        (drawn_code, "encoding_is_deterministic_and_each_example_stands_alone"),
        (wrong_divergence, "the_divergence_is_what_draws_say"),
        (blind_to_codes_given, "codes_given_have_the_density_they_were_drawn_with"),
        (blind_to_masks, "what_is_missing_does_not_count"),
        (detours, "paths_lead_from_the_first_code_to_the_last"),
        (unsaved_buffer, "is_built_without_memory_and_saves_all_its_state"),
    ],
)
def test_what_is_wrong_is_found(
    sabotage: Callable[[Patch], None], found_by: str, monkeypatch: Patch
) -> None:
    checks = zoo.testing.checks_of("gaussian-vae", SETTINGS)
    (check,) = [each for each in checks if each.rule.name == found_by]
    check()
    sabotage(monkeypatch)
    (check,) = [
        each
        for each in zoo.testing.checks_of("gaussian-vae", SETTINGS)
        if each.rule.name == found_by
    ]
    with pytest.raises(AssertionError, match=f"^gaussian-vae: images-bernoulli-{found_by}: "):
        check()


def test_rules_follow_from_what_a_model_can_do() -> None:
    def names(variant: str, settings: dict[str, Any]) -> set[str]:
        return {check.rule.name for check in zoo.testing.checks_of(variant, settings)}

    flat, sphere = names("gaussian-vae", SETTINGS), names("vmf-vae", SETTINGS)
    assert "temperature_scales_the_deviation_of_codes" in flat - sphere
    assert "a_temperature_of_no_deviation_is_refused" in sphere - flat
    assert "the_divergence_is_the_sum_over_dimensions" in flat - sphere
    told = names("gaussian-vae", {**SETTINGS, "condition": "labels"})
    assert "wrong_conditions_are_refused" in told - flat
    plain = names("autoencoder", SETTINGS)
    assert "without_evidence_the_likelihood_is_refused" in plain - flat
    assert "shapes_of_densities" in flat - plain
    text = names("univae", {"likelihood": "categorical"})
    assert "sentences_are_written" in text - flat
    assert "what_is_shown_are_means" in flat - text
