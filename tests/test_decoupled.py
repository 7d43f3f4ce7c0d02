"""The decoupled figure, on a model whose evidence is known, and what a KL predicts of it."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

import zoo
from zoo import Batch, Draws
from zoo.core.draws import LatentDraw
from zoo.metrics.decoupled import decoupled

SCRIPTS = Path(__file__).parents[1] / "scripts"
X = 1.3
EVIDENCE = float(Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(X)))
KL = 0.5 * (X**2 / 4 + 0.5 - 1 - math.log(0.5))
REPEATS = 20_000


@pytest.fixture
def predicted_gap(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("decoupled").predicted_gap


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


def figures(samples: int, repeats: int) -> Tensor:
    torch.manual_seed(0)
    return decoupled(Conjugate(), Batch(torch.full((repeats, 1), X)), samples)  # type: ignore[arg-type]


def within(values: Tensor, expected: float) -> bool:
    error = values.std().item() / math.sqrt(len(values))
    return abs(values.mean().item() - expected) < 5 * error


def test_with_one_draw_it_is_the_elbo_on_average() -> None:
    assert within(figures(1, REPEATS), EVIDENCE)  # the posterior is exact


def test_with_many_draws_only_the_reconstruction_is_left_which_is_no_bound() -> None:
    values = figures(2000, 2000)
    assert within(values, EVIDENCE + KL)
    assert not within(values, EVIDENCE)
    weighted = Conjugate().infer(torch.full((5, 1), X), 7).log_evidence
    torch.testing.assert_close(weighted, torch.full((5,), EVIDENCE))  # what the estimate says


@pytest.mark.parametrize("posterior", ["gaussian", "vmf"])
def test_a_prediction_rises_from_the_elbo_to_the_reconstruction(
    predicted_gap: Any, posterior: str
) -> None:
    one, ten, many = (predicted_gap(posterior, 3, 2.0, n) for n in (1, 10, 1000))
    assert one == pytest.approx(0.0, abs=0.2)
    assert one + 0.3 < ten < many - 0.3 < 2.0 - 0.3


@pytest.mark.parametrize("cell", [("gaussian", 2), ("gaussian", 5), ("vmf", 5), ("vmf", 20)])
def test_the_papers_likelihoods_are_what_their_kl_predicts(
    predicted_gap: Any, cell: tuple[str, int]
) -> None:
    posterior, dim = cell
    report = zoo.reproduce("davidson2018")
    point = f"{'S' if posterior == 'vmf' else 'N'}-VAE, d = {dim}"
    said, elbo, kl = (report.theirs(point, name) for name in ("log p(x)", "ELBO", "KL"))
    assert said is not None and elbo is not None and kl is not None
    assert predicted_gap(posterior, dim, kl.value) == pytest.approx(
        said.value - elbo.value, abs=0.15
    )
