"""Every registered objective with every kind of model: it takes a step, or says why it does not."""

from __future__ import annotations

import copy
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import zoo
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.errors import ConfigError
from zoo.objectives import Loss, Objective, Step
from zoo.registry import packaged_root, read_registry
from zoo.testing.cases import Case, cases_of
from zoo.training.config import TrainingConfig

REGISTRY = read_registry([packaged_root() / "registry.yaml"])
OBJECTIVES = tuple(REGISTRY.objectives)
MODELS: dict[str, tuple[str, str]] = {
    "vae": ("gaussian-vae", "images-bernoulli"),
    "of-vectors": ("gaussian-vae", "vectors-gaussian"),
    "told": ("cvae", "images-bernoulli"),
    "sphere": ("vmf-vae", "images-bernoulli"),
    "hierarchy": ("nvae-lite", "images-bernoulli"),
    "transformer": ("univae", "images-bernoulli"),
    "of-text": ("univae", "text-categorical"),
    "codebook": ("vq-vae", "images-bernoulli"),
    "deterministic": ("autoencoder", "images-bernoulli"),
    "classes": ("m2", "images-bernoulli"),
}
OF_RANDOM = {"iwae", "dreg", "stl"}
OF_COORDINATES = {"beta-tc", "dip-i", "dip-ii"}
ALWAYS = {"contractive", "semi-supervised", "vq"}
"""Of an autoencoder's Jacobian, of a classifier, and of a codebook."""
REFUSED = {
    "vae": ALWAYS,
    "of-vectors": {*ALWAYS, "consistency"},
    "told": ALWAYS,
    "sphere": {*ALWAYS, *OF_COORDINATES},
    "hierarchy": {*ALWAYS, "dreg", *OF_COORDINATES},
    "transformer": {*ALWAYS, "dreg", *OF_COORDINATES},
    "of-text": {*ALWAYS, "consistency", "denoising", "dreg", *OF_COORDINATES},
    "codebook": {"contractive", "semi-supervised", "consistency", *OF_RANDOM, *OF_COORDINATES},
    "deterministic": set(OBJECTIVES) - {"elbo", "mmd", "denoising", "contractive"},
    "classes": set(OBJECTIVES) - {"elbo", "beta", "capacity", "semi-supervised"},
}


ONLY = {"contractive": "deterministic", "semi-supervised": "classes", "vq": "codebook"}
"""Objectives of one kind of model."""


class OnDevice(TorchDispatchMode):
    """Nothing here makes the host wait for a number."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "the host waits"
        assert func is not torch.ops.aten.nonzero.default, "the host waits"
        return func(*args, **(kwargs or {}))


@cache
def case_of(kind: str) -> Case:
    variant, name = MODELS[kind]
    return next(case for case in cases_of(variant, {}) if case.name == name)


def labelled(case: Case) -> Batch:
    """Six examples, of which half have a label."""
    return case.batch(6)._replace(labels=torch.tensor([0, -1, 2, -1, 1, -1]))


def chosen(name: str, **settings: Any) -> Objective:
    return Selected.parse("objectives", {"name": name, **settings}).build()


def check(objective: Objective, name: str, case: Case, **train: Any) -> None:
    objective.check(name, case.variant, TrainingConfig(**train))
    objective.check_model(name, case.model())


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("kind", MODELS)
def test_a_step_or_a_refusal(name: str, kind: str) -> None:
    """A step has its logs by name, gradients that are finite, and nothing the host waits for."""
    case, objective = case_of(kind), chosen(name)
    if name in REFUSED[kind]:
        with pytest.raises(ConfigError, match=f"'{name}'.*choose|no KL.*choose"):
            check(objective, name, case)
        return
    check(objective, name, case)
    model, batch = case.model().train(), labelled(case)
    objective.loss(objective.draws(model, batch), Step(examples=100))  # what is looked up once
    with OnDevice():
        draws = objective.draws(model, batch)
        value, logs = objective.loss(draws, Step(torch.tensor(0.5), 100, 50))
    value.backward()
    assert value.shape == ()
    assert tuple(logs) == objective.logs
    assert all(log.isfinite() and not log.requires_grad for log in logs.values())
    reached = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in reached)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_is_one_graph(name: str) -> None:
    objective = chosen(name)
    case = case_of(ONLY.get(name, "vae"))
    model, batch = case.model().train(), labelled(case)

    def step() -> Loss:
        return objective.loss(objective.draws(model, batch), Step(torch.tensor(0.5), 100))

    torch.compiler.reset()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    plain = step()
    model.load_state_dict(before)  # a codebook moves with every step
    torch.manual_seed(0)
    compiled = torch.compile(step, fullgraph=True, backend="eager")()
    torch.testing.assert_close(compiled.value, plain.value)


@pytest.mark.parametrize("name", ["beta-tc", "dip-i", "dip-ii", "mmd"])
def test_a_batch_of_one_is_no_sample_of_codes(name: str) -> None:
    with pytest.raises(ConfigError, match="train.batch_size is 1; set it to at least 2"):
        check(chosen(name), name, case_of("vae"), batch_size=1)


def test_gaussian_noise_is_for_real_numbers() -> None:
    noisy = chosen("denoising", noise="gaussian")
    check(noisy, "denoising", case_of("of-vectors"))
    with pytest.raises(ConfigError, match="reads binary ones; choose noise 'masking'"):
        check(noisy, "denoising", case_of("deterministic"))


def test_settings_decide_before_the_first_step(tmp_path: Path) -> None:
    """The variant is one of the plane; the posterior asked for is not."""
    with pytest.raises(ConfigError, match="'dip-ii' is for codes.*live on a sphere.*'mmd'"):
        zoo.train("dip-vae", directory=tmp_path, posterior="vmf", epochs=1, progress=False)
    assert not list(tmp_path.glob("*.safetensors"))
    with pytest.raises(ConfigError, match="The objective 'beta' has it"):
        zoo.train("gaussian-vae", directory=tmp_path, objective="iwae", beta=2.0)


TRAINED = [
    *(("gaussian-vae", {"objective": name}) for name in ("dreg", "stl", "dip-i", "consistency")),
    ("gaussian-vae", {"objective": "capacity", "capacity": 3.0, "kl_warmup_steps": 10}),
    ("vmf-vae", {"objective": "mmd", "alpha": 0.0}),
    ("gaussian-vae", {"objective": "denoising"}),
    *((name, {}) for name in ("beta-tc-vae", "dip-vae", "info-vae")),
    *((name, {}) for name in ("wae", "denoising-autoencoder", "contractive-autoencoder")),
]


@pytest.mark.parametrize(("variant", "options"), TRAINED, ids=str)
def test_trained_on_digits(variant: str, options: dict[str, Any], tmp_path: Path) -> None:
    """It learns, records its terms, and keeps the model that is best by its figure."""
    small = {"latent_dim": 4, "backbone": {"name": "mlp", "hidden": [32]}, "lr": 5e-3}
    run = zoo.train(variant, directory=tmp_path, epochs=3, progress=False, **small, **options)
    spec = REGISTRY.variant(variant).objective
    objective = chosen(options.get("objective", spec["name"]))
    history = run.history
    assert all(math.isfinite(value) for record in history for value in record.values())
    assert {f"train_{name}" for name in objective.logs} - {"train_kl"} <= history[0].keys()
    terms = [record["validation_log_likelihood"] for record in history]
    assert terms[-1] > terms[0] + 1
    figure = f"validation_{objective.selects(run.model)}"
    counted = history if not options.get("kl_warmup_steps") else history[1:]
    assert run.metrics[figure] == max(record[figure] for record in counted)
    assert ("validation_elbo" in history[0]) is run.model.has_evidence
    assert zoo.load(tmp_path).sample(2).shape == (2, 1, 8, 8)
