"""The shipped contract of metrics, over every name of the registry, and that it can fail."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from zoo.metrics import Measured, Subject
from zoo.metrics.latents import ActiveUnits
from zoo.registry import registry
from zoo.testing import check_metric

NAMES = tuple(registry().names("metrics"))
FEWER = {
    "decoupled-likelihood": {"draws": 4},
    "encode-time": {"seconds": 0.02},
    "decode-time": {"seconds": 0.02},
}
"""Draws and repeats, where what holds of many holds of few."""


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_keeps_the_contract(name: str) -> None:
    check_metric(name, FEWER.get(name))


def noisy(metric: ActiveUnits, subject: Subject) -> Measured:
    return Measured(torch.rand((), generator=torch.Generator().manual_seed(id(subject))).item())


FAULTS: dict[str, Callable[[ActiveUnits, Subject], Measured]] = {
    "take all noise": noisy,
    "the figure is": lambda metric, subject: Measured(math.nan),
    "not the mean": lambda metric, subject: Measured(1.0, values=torch.zeros(3).double()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_metric_that_breaks_it_is_told(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActiveUnits, "measure", FAULTS[fault])
    with pytest.raises(AssertionError, match=fault):
        check_metric("active-units")
