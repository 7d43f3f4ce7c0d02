"""What an evaluation says in words; verifications fail outside the recorded error."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import zoo
from zoo.errors import DataError
from zoo.evaluation import (
    Estimate,
    Evaluation,
    Verification,
    evaluate_model,
    verify_figures,
)
from zoo.registry import MetricSpec, registry

TEST_SET = "mnist/test, 10000 examples, binarised with seed 0"


def evaluation(model: str, nll: float | None = 90.0, **changes: Any) -> Evaluation:
    likelihood = None if nll is None else Estimate(value=nll, stderr=0.25)
    fields: dict[str, Any] = {
        "model": model,
        "variant": "gaussian-vae",
        "parameters": 1234567,
        "dataset": "mnist",
        "split": "test",
        "test_set": TEST_SET,
        "test_set_sha256": "0123456789abcdef",
        "input_kind": "binary",
        "parts": "pixels",
        "protocol": "test images binarised once with seed 0",
        "measure": "mass",
        "dims": 784,
        "examples": 10000,
        "samples": 1000,
        "seed": 0,
        "nll": likelihood,
        "bits_per_dim": likelihood and Estimate(value=0.1656, stderr=0.0005),
        "elbo": likelihood and Estimate(value=-95.5, stderr=0.3),
        "log_likelihood": Estimate(value=-70.25, stderr=0.2),
        "kl": likelihood and Estimate(value=25.25, stderr=0.1),
        "kl_per_group": (25.25,),
        "kl_per_dimension": (20.0, 5.25),
        "mse_per_pixel": Estimate(value=0.0123, stderr=0.0001),
        "active_units": 1,
        "active_threshold": 0.01,
        "code_dim": 2,
    }
    return Evaluation.model_validate(fields | changes)


def test_groups_are_shown_where_there_are_several() -> None:
    several = evaluation("deep", 80.0, kl_per_group=(12.5, 0.1, 0.0999, 0.0))
    assert several.active_groups == 2
    assert "KL of the groups        12.50 0.10 0.10 0.00 (2 of 4 carry at least 0.1)" in str(
        several
    )
    assert "groups" not in str(evaluation("flat", 80.0))


def test_the_text_carries_its_convention() -> None:
    assert str(evaluation("short", 100.125)).splitlines()[-1] == (
        "nats per example, summed over pixels, averaged over 10000 examples; ± one standard "
        "error; K = 1000 importance samples; test images binarised once with seed 0; "
        "likelihoods are probability masses"
    )


def verify(**recorded: dict[str, Any]) -> Verification:
    specs = {name: MetricSpec.parse(spec, name) for name, spec in recorded.items()}
    return verify_figures("released", specs, evaluation("released", 90.0))


@pytest.mark.parametrize(
    ("value", "passed"), [(90.0, True), (90.2, True), (89.7, False), (91.0, False)]
)
def test_a_figure_must_lie_within_its_standard_error(value: float, passed: bool) -> None:
    result = verify(nll={"value": value, "stderr": 0.25})
    assert result.passed is passed
    assert ("outside its error" in str(result)) is not passed


@pytest.mark.parametrize(("value", "passed"), [(90.0005, True), (90.002, False)])
def test_a_figure_that_no_example_changes_may_be_rounded(value: float, passed: bool) -> None:
    assert verify(nll={"value": value, "stderr": 0.0}).passed is passed


def test_one_wrong_figure_fails_the_whole() -> None:
    right = {"value": 90.0, "stderr": 0.25}
    assert verify(nll=right, active_units={"value": 1}).passed
    result = verify(nll=right, active_units={"value": 2})
    assert not result.passed
    assert [check.passed for check in result.checks] == [True, False]


def test_a_recorded_figure_that_cannot_be_recomputed_fails() -> None:
    assert not verify(nlll={"value": 90.0, "stderr": 0.25}).passed
    plain = evaluation("plain", None)
    result = verify_figures("plain", {"nll": MetricSpec(value=90.0, stderr=0.25)}, plain)
    assert not result.passed


def test_a_checkpoint_without_figures_is_not_verified() -> None:
    assert not verify().passed


def test_figures_of_other_examples_are_refused() -> None:
    with pytest.raises(DataError, match="recorded on 'elsewhere'"):
        verify(nll={"value": 90.0, "stderr": 0.25, "test_set": "elsewhere"})


def test_what_verify_allows_is_the_noise_of_the_estimate_and_no_more() -> None:
    """Not the spread over examples, which is fifty times as wide."""
    name = "gaussian-vae-digits"
    recorded = registry().checkpoint(name).metrics
    model = zoo.load(name)
    evaluation = zoo.evaluate(model, dataset="digits")
    assert verify_figures(name, recorded, evaluation).passed
    assert evaluation.nll is not None
    assert evaluation.nll.monte_carlo is not None
    assert evaluation.nll.monte_carlo < evaluation.nll.stderr / 20
    for metric, change in (("nll", 0.1), ("kl", 0.01), ("mse_per_pixel", 1e-4)):
        spec = recorded[metric]
        moved = {**recorded, metric: spec.model_copy(update={"value": spec.value + change})}
        assert not verify_figures(name, moved, evaluation).passed, metric
    with torch.no_grad():
        model.decoder.layers[2].weight.mul_(1.3)
    spoilt = zoo.evaluate(model, dataset="digits")
    assert not verify_figures(name, recorded, spoilt).passed


@pytest.mark.parametrize("metric", ["nll", "elbo", "log_likelihood"])
def test_the_monte_carlo_error_is_how_far_other_draws_lead(metric: str) -> None:
    said, values = zip(*(again(metric, seed) for seed in range(16)), strict=True)
    spread = torch.tensor(values).std().item()
    assert spread == pytest.approx(sum(said) / len(said), rel=0.6)  # 16 draws know it within 18 %


@cache
def measured_again(seed: int) -> Evaluation:
    """One model on the same black and white images, with other draws of z."""
    examples = zoo.load_dataset("digits").test.fixed("binary", 0)
    model = zoo.load("gaussian-vae-digits")
    return evaluate_model(model, examples, name="a", dataset="digits", samples=10, seed=seed)


def again(metric: str, seed: int) -> tuple[float, float]:
    figure = getattr(measured_again(seed), metric)
    return figure.monte_carlo, figure.value
