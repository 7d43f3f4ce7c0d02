"""Metrics: the figures of an evaluation bit by bit, closed forms, and refusals."""

from __future__ import annotations

import math

import pytest
import torch

import zoo
from zoo.core.component import Selected
from zoo.data import load_dataset
from zoo.errors import UnsupportedError
from zoo.evaluation import evaluate_model
from zoo.metrics import Measured, Subject


def measured(name: str, subject: Subject) -> Measured:
    metric = Selected.parse("metrics", name).build()
    metric.check(subject)
    with torch.no_grad():
        return metric.measure(subject)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(zoo.load("gaussian-vae-digits"), load_dataset("digits"), samples=20)


FIELDS = {
    "nll": "nll",
    "bits-per-dim": "bits_per_dim",
    "elbo": "elbo",
    "rate": "kl",
    "squared-error": "mse_per_pixel",
}


@pytest.mark.parametrize(("name", "field"), FIELDS.items())
def test_figures_are_those_of_an_evaluation_bit_by_bit(
    name: str, field: str, subject: Subject
) -> None:
    evaluation = evaluate_model(
        subject.model, subject.data.test, name="m", dataset="digits", samples=20
    )
    found = measured(name, subject)
    expected = getattr(evaluation, field)
    assert (found.value, found.stderr, found.monte_carlo) == (
        expected.value,
        expected.stderr,
        expected.monte_carlo,
    )
    assert found.values is not None
    assert found.values.mean().item() == pytest.approx(found.value, rel=1e-12)


def test_distortion_and_rate_make_the_elbo(subject: Subject) -> None:
    parts = [measured(name, subject).values for name in ("distortion", "rate", "elbo")]
    distortion, rate, elbo = (part for part in parts if part is not None)
    torch.testing.assert_close(-distortion - rate, elbo)


def test_the_rate_is_information_and_what_the_prior_does_not_know(subject: Subject) -> None:
    rate, information, rest = (
        measured(name, subject).value for name in ("rate", "mutual-information", "aggregate-kl")
    )
    assert rate == pytest.approx(information + rest, rel=1e-6)
    assert 0 < information <= math.log(len(subject.examples))


def test_what_an_autoencoder_has_not_is_refused() -> None:
    subject = Subject(zoo.load("autoencoder-digits"), load_dataset("digits"))
    for name in ("nll", "elbo", "rate", "mutual-information"):
        with pytest.raises(UnsupportedError, match="gaussian-vae"):
            measured(name, subject)
    assert measured("distortion", subject).value > 0


def test_pixels_of_another_size_are_another_basis() -> None:
    """More pixels cost more nats: a model of smaller images is no better for it."""
    bases = set()
    for size in (6, 8):
        data = load_dataset("digits", image_size=size)
        model = zoo.create("gaussian-vae", dataset=data, latent_dim=2).eval()
        basis = measured("nll", Subject(model, data, samples=2, examples=10)).basis
        assert f"1 x {size} x {size}" in basis
        bases.add(basis)
    assert len(bases) == 2
