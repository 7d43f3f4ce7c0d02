"""Learned posteriors and priors in models: trained, saved, compiled, and without waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.testing.cases import cases_of
from zoo.testing.contract.numerics import is_one_graph

VARIANTS = ("flow-vae", "flow-prior-vae", "vamp-vae", "misvae")
PARTS: tuple[dict[str, Any], ...] = (
    {"posterior": "planar", "prior": "realnvp"},
    {"posterior": "iaf", "prior": "spline"},
    {"posterior": "spline", "prior": "mixture"},
    {"posterior": "mixture"},
    {"prior": "vamp"},
)
"""Each at least once; beside a Gaussian the contract has them all."""
each_part = pytest.mark.parametrize("parts", PARTS, ids=json.dumps)


@each_part
def test_a_few_epochs_improve_it_and_it_is_saved_whole(
    parts: dict[str, Any], tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"latent_dim": 4, "hidden": [32], "batch_size": 64, "lr": 3e-3}
    run = zoo.train("gaussian-vae", directory=tmp_path, epochs=4, progress=False, **sizes, **parts)
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    elbo = [json.loads(line)["validation_elbo"] for line in lines]
    assert elbo[-1] > elbo[0] + 1
    loaded = zoo.load(tmp_path)
    x = zoo.load_dataset("digits").validation.batch(torch.arange(4), kind="binary").x
    with torch.no_grad():
        found = []
        for model in (run.model, loaded):
            torch.manual_seed(0)
            found.append([model.encode(x), model.log_prob(x, 3), model.sample(2)])
    for kept, again in zip(*found, strict=True):
        torch.testing.assert_close(kept, again, rtol=0, atol=0)


@each_part
def test_nothing_of_a_step_waits_for_values(parts: dict[str, Any]) -> None:
    """On torch's "meta" device there are none to wait for."""
    (case,) = cases_of("gaussian-vae", {**parts, "likelihood": "bernoulli"})
    model = case.model().train().to("meta")
    draws = model.infer(case.examples(4).to("meta"), 2)
    (-draws.elbo.mean()).backward()
    assert draws.log_weights.is_meta
    assert model.sample_codes(3).is_meta


@each_part
def test_the_bound_is_one_graph(parts: dict[str, Any]) -> None:
    (case,) = cases_of("gaussian-vae", {**parts, "likelihood": "bernoulli"})
    is_one_graph(case)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_gaussian_vae_with_another_part(variant: str) -> None:
    model, plain = zoo.create(variant), zoo.create("gaussian-vae")
    own, other = (each.config.model_dump(mode="json") for each in (model, plain))
    assert len([key for key in own if own[key] != other[key]]) == 1
