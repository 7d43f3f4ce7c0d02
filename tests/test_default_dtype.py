"""A caller's default type of floats reaches neither a model's weights nor its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.data import load_for_model
from zoo.precision import float32_by_default

HIERARCHY = {
    "scales": [{"channels": 8, "cells": 1, "groups": 2, "latents": 2}],
    "stem": [{"channels": 4, "cells": 1}],
}
TRANSFORMER = {"width": 16, "heads": 2, "layers": 2, "groups": 1, "hidden": 16}
SENTENCES = ["a red cat", "the hat", "a cat sat", "the red hat sat"]


@pytest.fixture(params=[torch.float64, torch.bfloat16])
def other_default(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def usual() -> dict[str, dict[str, Any]]:
    """Results under the usual default, by variant and settings."""
    return {}


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("gaussian-vae", {"backbone": {"name": "mlp", "hidden": [8]}}),
        ("vmf-vae", {"backbone": {"name": "mlp", "hidden": [8]}, "latent_dim": 3}),
        ("univae", {"width": 16, "heads": 2, "layers": 2, "groups": 1, "hidden": 16}),
    ],
)
def test_training_resuming_and_loading(
    variant: str, settings: dict[str, object], other_default: torch.dtype, tmp_path: Path
) -> None:
    for epochs in (1, 2):
        run = zoo.train(variant, directory=tmp_path, epochs=epochs, progress=False, **settings)
    assert torch.get_default_dtype() == other_default
    loaded = zoo.load(tmp_path)
    for model in (run.model, loaded, zoo.create(variant, **settings)):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("gaussian-vae", {"hidden": [8], "posterior": "batch-norm"}),
        ("cvae", {"hidden": [8]}),
        ("vmf-vae", {"hidden": [8], "latent_dim": 3}),
        ("power-spherical-vae", {"hidden": [8], "latent_dim": 3, "backbone": "mlp"}),
        ("autoencoder", {"hidden": [8], "latent_dim": 3}),
        ("nvae-lite-s", HIERARCHY),
        ("univae", TRANSFORMER),
        ("univae", {**TRANSFORMER, "dataset": "text"}),
        ("gaussian-vae", {"hidden": [8], "dataset": "vectors"}),
    ],
)
def test_every_result_is_that_of_the_usual_default(
    variant: str,
    settings: dict[str, Any],
    other_default: torch.dtype,
    tmp_path: Path,
    usual: dict[str, dict[str, Any]],
) -> None:
    key = json.dumps([variant, settings])
    if key not in usual:
        with float32_by_default():
            usual[key] = results(variant, settings, tmp_path / "usual")
    expected = usual[key]
    found = results(variant, settings, tmp_path / "other")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert is_same(found[name], value), name


def results(variant: str, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What training, figures, samples, codes and the ways between them come to."""
    source = data(str(settings.get("dataset", "digits")), folder)
    run = zoo.train(
        variant,
        directory=folder,
        epochs=1,
        progress=False,
        sample_every_epochs=1,
        **{**settings, "dataset": source},
    )
    model = run.model
    split = load_for_model(model.config, source).test.fixed(model.input_kind, 0)
    batch = split.batch(torch.arange(2), kind="real")
    told = batch.condition
    found: dict[str, Callable[[], Any]] = {
        "figures": lambda: zoo.evaluate(run, dataset=source, samples=3).model_copy(
            update={"model": ""}
        ),
        "sample": lambda: model.sample(2, generator=generator(), condition=told),
        "codes": lambda: model.sample_codes(2, generator=generator(), condition=told),
        "encode": lambda: model.encode(batch).detach(),
        "reconstruct": lambda: model.reconstruct(batch),
        "edit": lambda: model.edit(batch, [0], generator()),
        "way": lambda: model.interpolate(*model.encode(batch).detach(), 3),
        "traverse": lambda: model.traverse(
            *model.encode(batch).detach(), torch.tensor([0.0, 0.25, 0.5])
        ),
        "created": lambda: created(variant, {**settings, "dataset": source}),
        "weights": lambda: list(model.state_dict().values()),
        "metrics": lambda: run.metrics,
    }
    if model.has_evidence:
        found["log_prob"] = lambda: model.log_prob(batch, samples=3)
        found["log_posteriors"] = lambda: model.log_posteriors(batch)
    return {name: seeded(call) for name, call in found.items()}


def data(kind: str, folder: Path) -> Any:
    if kind == "text":
        (folder.parent / "lines.txt").write_text("\n".join(SENTENCES * 10))
        return folder.parent / "lines.txt"
    if kind == "vectors":
        return torch.randn(60, 5, generator=generator(), dtype=torch.float32)
    return kind


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def seeded(call: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return call()


def created(variant: str, settings: Mapping[str, Any]) -> list[Tensor]:
    return list(zoo.create(variant, **settings).state_dict().values())


def is_same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(is_same, found, expected))
    return bool(found == expected)
