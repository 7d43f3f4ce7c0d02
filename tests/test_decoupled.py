"""The decoupled figure, on a model whose evidence is known."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from zoo import Batch, Draws
from zoo.core.draws import LatentDraw
from zoo.data import Split

SCRIPTS = Path(__file__).parents[1] / "scripts"
X = 1.3
EVIDENCE = float(Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(X)))
KL = 0.5 * (X**2 / 4 + 0.5 - 1 - math.log(0.5))
REPEATS = 20_000


@pytest.fixture
def decoupled(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("_decoupled")


class Conjugate:
    """z ~ N(0, 1), x|z ~ N(z, 1), with the exact posterior N(x / 2, 1 / 2)."""

    input_kind = "real"

    def infer(self, batch: Tensor | Batch, samples: int = 1) -> Draws:
        batch = Batch.of(batch)
        x = batch.x.flatten(1)[:, :1]  # (B, 1)
        q = Independent(Normal(x / 2, math.sqrt(0.5)), 1)
        p = Independent(Normal(torch.zeros_like(x), 1.0), 1)
        z = q.rsample((samples,))
        latent = LatentDraw(z, q, p, (samples, len(x)))
        return Draws([latent], lambda: Independent(Normal(z, 1.0), 1), Batch(x), lambda: x / 2, z)


def figures(decoupled: Any, samples: int, repeats: int) -> Tensor:
    torch.manual_seed(0)
    batch = Batch(torch.full((repeats, 1), X))
    values: Tensor = decoupled.decoupled_figure(Conjugate(), batch, samples)
    return values


def within(values: Tensor, expected: float) -> bool:
    error = values.std().item() / math.sqrt(len(values))
    return abs(values.mean().item() - expected) < 5 * error


def test_with_one_draw_it_is_the_elbo_on_average(decoupled: Any) -> None:
    assert within(figures(decoupled, 1, REPEATS), EVIDENCE)  # the posterior is exact


def test_with_many_draws_only_the_reconstruction_is_left_which_is_no_bound(
    decoupled: Any,
) -> None:
    values = figures(decoupled, 2000, 2000)
    assert within(values, EVIDENCE + KL)
    assert not within(values, EVIDENCE)
    weighted = Conjugate().infer(torch.full((5, 1), X), 7).log_evidence
    torch.testing.assert_close(weighted, torch.full((5,), EVIDENCE))  # what the estimate says


def test_it_is_measured_over_all_examples(decoupled: Any) -> None:
    split = Split(torch.full((250, 1, 1, 1), 255, dtype=torch.uint8))
    found = decoupled.measure_decoupled(Conjugate(), split, samples=50)
    again = decoupled.measure_decoupled(Conjugate(), split, samples=50)
    assert (found.value, found.stderr) == (again.value, again.stderr)
    evidence = float(Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(1.0)))
    kl = 0.5 * (1 / 4 + 0.5 - 1 - math.log(0.5))
    assert evidence < found.value < evidence + kl + 5 * found.stderr


@pytest.mark.parametrize("posterior", ["gaussian", "vmf"])
def test_a_prediction_rises_from_the_elbo_to_the_reconstruction(
    decoupled: Any, posterior: str
) -> None:
    one, ten, many = (decoupled.predicted_gap(posterior, 3, 2.0, n) for n in (1, 10, 1000))
    assert one == pytest.approx(0.0, abs=0.2)
    assert one + 0.3 < ten < many - 0.3 < 2.0 - 0.3


@pytest.mark.parametrize("cell", [("gaussian", 2), ("gaussian", 5), ("vmf", 5), ("vmf", 20)])
def test_the_papers_likelihoods_are_what_their_kl_predicts(
    decoupled: Any, cell: tuple[str, int]
) -> None:
    paper = importlib.import_module("_hyperspherical_tables").PAPER[cell]
    gap = decoupled.predicted_gap(*cell, paper.kl)
    assert gap == pytest.approx(paper.log_likelihood - paper.elbo, abs=0.15)
