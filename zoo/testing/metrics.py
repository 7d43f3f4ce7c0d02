"""The checks of a metric: what must hold of it, on models of several kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from zoo.api.load import load
from zoo.api.make import create
from zoo.core.component import Selected
from zoo.data import Dataset, load_dataset
from zoo.data.sprites import FACTORS, drawn
from zoo.data.text import TextSplit
from zoo.metrics import Measured, Metric, Outcome, Subject, measure_all
from zoo.metrics.run import measure_reference
from zoo.modalities.tokenizer import Tokenizer
from zoo.testing.cases import SENTENCES, tokenizer
from zoo.testing.expect import expect
from zoo.testing.tasks import HELPFUL

MODELS = ("gaussian-vae-digits", "autoencoder-digits", "cvae-digits", "nvae-lite-digits")
"""A flat model, one without log p(x), one that is told classes, and a hierarchy."""
EXAMPLES, FACTORED = 100, 200
"""On which a metric is tried out: digits, and drawn shapes of known factors."""
VALUES = 4
"""Of a factor, at most."""


def check_metric(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Measure a registered metric on small subjects of several kinds; AssertionError for a fault.

    A figure is finite, the same again from a new subject where it is recorded, the mean of its
    values, has its references beside it, and leaves model and random state as they were. A refusal
    says what to do. A metric that nothing has fails too. ``settings`` go on top of the registered
    ones. Raises UnknownNameError for a name that is not registered, ConfigError for wrong settings.

    >>> check_metric("elbo")
    """
    metric = Selected.parse("metrics", {"name": name, **(settings or {})})
    found = [_tried(metric, make) for make in _subjects()]
    expect(any(found), f"{name} can be measured of none of {len(found)} models")


def _subjects() -> Iterator[Callable[[], Subject]]:
    """Makers of subjects, each time new ones."""
    digits = load_dataset("digits")
    for name in MODELS:
        data = digits.conditioned("labels") if name.startswith("cvae") else digits
        yield lambda name=name, data=data: Subject(  # type: ignore[misc]
            load(name), data, samples=5, examples=EXAMPLES
        )
    of_classes = create("m2", dataset=digits, latent_dim=4, hidden=[8]).eval()
    yield lambda: Subject(of_classes, digits, samples=5, examples=EXAMPLES)
    shapes = _shapes()
    model = create("gaussian-vae", dataset="sprites", latent_dim=3, hidden=[8]).eval()
    yield lambda: Subject(model, shapes, samples=5)
    sentences = _sentences()
    reader = create("univae", dataset=sentences, width=16, heads=2, hidden=24, groups=2).eval()
    yield lambda: Subject(reader, sentences, samples=5)


@cache
def _shapes() -> Dataset:
    """A few, of few values of each factor: metrics take their time over every value."""
    train, validation, test = (drawn(_factors(seed)) for seed in range(3))
    return Dataset("sprites", train, validation, test, "bernoulli", "none")


def _factors(seed: int) -> Tensor:
    """Factors of as many sprites as there are, at even distances, (N, 5)."""
    generator = torch.Generator("cpu").manual_seed(seed)
    steps = [max(1, size // VALUES) for size in FACTORS.values()]
    columns = [
        step * torch.randint(VALUES, (FACTORED,), generator=generator, device="cpu") % size
        for step, size in zip(steps, FACTORS.values(), strict=True)
    ]
    return torch.stack(columns, 1)


def _sentences() -> Dataset:
    """A few, one of them with characters that the vocabulary lacks."""
    form = tokenizer()
    ids = Tokenizer(form).ids([*SENTENCES * 5, "a dog"]).int()
    split = TextSplit(ids)
    return Dataset("sentences", split, split, split, "categorical", "none", tokenizer=form)


def _tried(metric: Selected[Metric], make: Callable[[], Subject]) -> bool:
    """Whether it can be measured of a subject; then what must hold does."""
    state = torch.get_rng_state()
    subject = make()
    (outcome,) = measure_all(subject, [metric], None)
    expect(bool(torch.equal(state, torch.get_rng_state())), "it changed the caller's random state")
    if outcome.measured is None:
        helps = any(word in str(outcome.refusal) for word in (*HELPFUL, "it is of", "take "))
        expect(helps, f"the refusal {outcome.refusal!r} should say what to use instead")
        return False
    _consistent(outcome.measured)
    for role in metric.component.references:
        beside = measure_reference(subject, metric, None, role, outcome.measured.basis)
        expect(beside.measured is not None, f"it has no figure as {role!r}: {beside.refusal}")
    expect(not subject.model.training, "it left the model in training mode")
    if metric.component.recorded:
        (again,) = measure_all(make(), [metric], None)
        _same(outcome, again)
    return True


def _consistent(found: Measured) -> None:
    expect(math.isfinite(found.value), f"the figure is {found.value}")
    for name in ("stderr", "monte_carlo"):
        error = getattr(found, name)
        expect(error is None or (math.isfinite(error) and error >= 0), f"{name} is {error}")
    if found.values is not None:
        expect(found.values.dtype == torch.float64, f"values are {found.values.dtype}")
        mean = found.values.mean().item()
        near = math.isclose(mean, found.value, rel_tol=1e-9, abs_tol=1e-12)
        expect(near, f"{found.value} is not the mean of its values, {mean}")


def _same(one: Outcome, other: Outcome) -> None:
    first, second = one.measured, other.measured
    assert first is not None
    same = second is not None and (first.value, first.stderr) == (second.value, second.stderr)
    expect(same, f"measured twice it is {first} and {second}; take all noise from subject.seed")
