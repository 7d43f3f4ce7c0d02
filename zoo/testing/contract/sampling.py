"""Draws from the prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.testing.cases import Case
from zoo.testing.contract.rule import (
    Rules,
    has_codebook,
    has_deviation,
    has_mean,
    has_no_codebook,
    has_no_deviation,
    has_variance,
)
from zoo.testing.expect import close, differ, expect, refused, same, seed, shaped

rules = Rules()
MANY = 2000
"""Draws, for what is estimated of them."""


def _codes(case: Case, temperature: float, number: int) -> Tensor:
    told = case.condition(MANY)
    with torch.no_grad():
        return case.known.sample_codes(MANY, temperature, seed(number), told)


@rules.add(has_deviation, has_no_codebook, once=True)
def temperature_scales_the_deviation_of_codes(case: Case) -> None:
    """From one code at 0 to ever more different ones."""
    cold, usual, hot = (_codes(case, temperature, 0).std() for temperature in (0.5, 1.0, 2.0))
    expect(cold < usual < hot, f"deviations {cold}, {usual}, {hot}")
    if case.known.code_variance is not None:
        same(_codes(case, 0.0, 0), _codes(case, 0.0, 1), "codes of no deviation")


@rules.add(has_codebook, once=True)
def temperature_sharpens_the_masses_of_codes(case: Case) -> None:
    """From one code at 0 to all of them alike: two draws agree at ever fewer places."""
    cold, usual, hot = (
        _agreement(_codes(case, temperature, 0)) for temperature in (0.25, 1.0, 4.0)
    )
    expect(cold > usual > hot, f"two draws agree at {cold}, {usual}, {hot} of the places")
    same(_codes(case, 0.0, 0), _codes(case, 0.0, 1), "codes of the lowest temperature")


def _agreement(codes: Tensor) -> float:
    """The part of the numbers (N, D) at which two draws are the same, as far as halves show it."""
    one, other = codes.chunk(2)
    return (one == other).double().mean().item()


@rules.add(has_no_deviation, once=True)
def a_temperature_of_no_deviation_is_refused(case: Case) -> None:
    """With the one that there is."""
    for temperature in (0.5, 2.0):
        refused(
            lambda t=temperature: _codes(case, t, 0),  # type: ignore[misc]
            UnsupportedError,
            f"temperature must be 1, got {temperature}",
        )


@rules.add(has_variance, once=True)
def codes_vary_as_much_as_the_model_says(case: Case) -> None:
    """Each coordinate of them."""
    assert case.known.code_variance is not None
    found = _codes(case, 1.0, 0).var(0)
    close(found, torch.full_like(found, case.known.code_variance), "variances", rtol=0.2, atol=0)


@rules.add(once=True)
def impossible_draws_are_refused(case: Case) -> None:
    """Numbers of draws that are none, temperatures that are none."""
    model = case.known
    for n in (-1, 1.5, "3", True):
        for draw in (model.sample_codes, model.sample):
            refused(lambda n=n, draw=draw: draw(n), UnsupportedError, "number of draws")  # type: ignore[misc]
    for temperature in (-1.0, math.nan, math.inf):
        refused(
            lambda t=temperature: model.sample_codes(2, t),  # type: ignore[misc]
            UnsupportedError,
            "temperature must be",
        )
    shaped(model.sample_codes(0, condition=case.condition(0)), (0, model.code_dim), "no codes")


@rules.add()
def samples_follow_the_generator_alone(case: Case) -> None:
    """And without one torch's own; a generator's draws leave torch's as it was."""
    model, told = case.known, case.condition(3)
    state = torch.get_rng_state()
    first, again, other = (
        model.sample_codes(3, generator=seed(number), condition=told).detach()
        for number in (0, 0, 1)
    )
    same(first, again, "codes of one generator")
    differ(first, other, "codes of two generators")
    shown = [model.sample(3, generator=seed(0), condition=told) for _ in range(2)]
    expect(_equal(*shown), "one generator's samples differ")
    same(state, torch.get_rng_state(), "torch's generator before and after")
    torch.manual_seed(4)
    first = model.sample_codes(3, condition=told).detach()
    torch.manual_seed(4)
    same(first, model.sample_codes(3, condition=told).detach(), "codes of torch's generator")
    differ(first, model.sample_codes(3, condition=told).detach(), "codes drawn twice")


@rules.add(has_deviation, has_mean)
def samples_stay_in_range_however_hot(case: Case) -> None:
    """Images of the oddest codes are images."""
    hot = case.known.sample(20, 1000.0, seed(0), case.condition(20))
    assert isinstance(hot, Tensor)
    expect(hot.isfinite().all(), "a sample is not finite")
    if case.known.modality.name == "images":
        expect(((hot >= 0) & (hot <= 1)).all(), "pixels lie beyond [0, 1]")


def _equal(a: Tensor | list[str], b: Tensor | list[str]) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
