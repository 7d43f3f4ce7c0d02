"""Examples, codes and weights of every type of numbers: a right result, or what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.latent_space import Euclidean, Product, Sphere
from zoo.core.model import LatentVariableModel
from zoo.errors import DataError, UnsupportedError
from zoo.modalities.images import Images

HIERARCHY = {
    "scales": [{"channels": 8, "cells": 1, "groups": 2, "latents": 2}],
    "stem": [{"channels": 4, "cells": 1}],
}
TRANSFORMER = {"width": 16, "heads": 2, "layers": 2, "groups": 1, "hidden": 16, "latent_dim": 4}
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("gaussian-vae", {"hidden": [8]}),
    ("gaussian-vae", {"hidden": [8], "posterior": "batch-norm", "likelihood": "gaussian"}),
    ("gaussian-vae", {"hidden": [8], "likelihood": "discretized-logistic"}),
    ("gaussian-vae", {"backbone": "conv"}),
    ("cvae", {"hidden": [8]}),
    ("vmf-vae", {"hidden": [8], "latent_dim": 3}),
    ("power-spherical-vae", {"hidden": [8], "latent_dim": 3}),
    ("autoencoder", {"hidden": [8], "latent_dim": 3, "mixture_components": 2}),
    ("nvae-lite-s", {**HIERARCHY, "flows": 1}),
    ("vq-vae", {"channels": [8, 8], "prior_width": 8, "codebook_size": 16}),
    ("univae", TRANSFORMER),
    ("univae", {**TRANSFORMER, "likelihood": "gaussian", "patch": 1}),
]
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.bool, torch.uint8, torch.int32, torch.int64)
HALF = (torch.float16, torch.bfloat16)
CODES = {"decode", "show", "interpolate", "traverse", "resample_groups", "given"}
DRAWN = {"sample", "sample_codes"}


@pytest.fixture(params=MODELS, ids=lambda case: "-".join(map(str, case[1].values()))[:60])
def model(request: pytest.FixtureRequest) -> LatentVariableModel:
    variant, settings = request.param
    torch.manual_seed(0)
    made = zoo.create(variant, dataset="digits", **settings)
    made.variant = variant
    return made


@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
def test_floats_of_other_types_come_to_the_same(
    model: LatentVariableModel, weights: torch.dtype
) -> None:
    model = model.to(weights)
    x, codes = examples(model), exact_codes(model)
    expected = results(model, x.to(weights), codes.to(weights))
    for dtype in FLOATS:
        found = results(model, x.to(dtype), codes.to(dtype))
        for name, value in expected.items():
            assert found[name].dtype == value.dtype, (name, dtype)
            torch.testing.assert_close(found[name], value, msg=f"{name} of {dtype}")


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_are_refused_with_what_makes_floats(
    model: LatentVariableModel, dtype: torch.dtype
) -> None:
    x, codes = examples(model), exact_codes(model)
    for name, call in calls(model, x.to(dtype), codes.to(dtype)).items():
        if name in CODES:
            with pytest.raises(UnsupportedError, match=r"give codes.float\(\)"):
                call()
        elif name not in DRAWN:
            with pytest.raises(DataError, match=r"give x.float\(\), of 8-bit .* x.float\(\) / 255"):
                call()


@pytest.mark.parametrize("dtype", HALF)
def test_a_model_in_half_precision_says_what_to_do(
    model: LatentVariableModel, dtype: torch.dtype
) -> None:
    """It failed in the midst of torch wherever a network met a draw."""
    x, codes = examples(model), exact_codes(model)
    for given in (torch.float32, dtype):
        for call in calls(model.to(dtype), x.to(given), codes.to(given)).values():
            with pytest.raises(UnsupportedError, match=r"are torch\..*float16.*call model.float()"):
                call()
    results(model.float(), x, codes)


def test_ids_of_another_size_are_refused_with_what_mends_them() -> None:
    model = zoo.load("univae-tang")
    ids = model.read(["白日從來往，青山下馬喧。"])  # type: ignore[operator]
    with pytest.raises(DataError, match=r"x.long\(\) makes int64 of other ids"):
        model.encode(ids.int())
    with pytest.raises(DataError, match=r"read\(sentences\) makes them$"):
        model.encode(ids.float())
    with pytest.raises(UnsupportedError, match=r"call model.float\(\)"):
        model.bfloat16().encode(ids)


@pytest.mark.parametrize("dtype", FLOATS)
def test_levels_in_half_precision_are_those_they_stand_for(dtype: torch.dtype) -> None:
    levels = (torch.arange(256, dtype=torch.float32) / 255).view(1, 1, 16, 16)
    found = Images((1, 16, 16)).in_floats(levels.to(dtype), "unit", torch.float32)
    torch.testing.assert_close(found, levels, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", HALF)
def test_unit_vectors_stay_such_in_finer_floats(dtype: torch.dtype) -> None:
    space = Product((Sphere(5), Euclidean(2)))
    z = torch.cat([torch.nn.functional.normalize(torch.rand(50, 5), dim=-1), torch.rand(50, 2)], -1)
    found = space.in_floats(z.to(dtype), torch.float32)
    torch.testing.assert_close(found[:, :5].norm(dim=-1), torch.ones(50))
    assert found[:, 5:].equal(z.to(dtype)[:, 5:].float())
    off = space.in_floats(2 * z.to(dtype), torch.float32)  # which is for the caller to hear of
    assert off.equal(2 * z.to(dtype).float())


def examples(model: LatentVariableModel) -> Tensor:
    """Black and white ones, which all types of floats hold exactly."""
    shape = (2, *model.config.input_shape)
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1)).float()


def exact_codes(model: LatentVariableModel) -> Tensor:
    """Two codes that all types of floats hold exactly, on a sphere axes."""
    codes = torch.zeros(2, model.code_dim)
    codes[0, 0] = codes[1, 1] = 1.0
    return codes


def calls(model: LatentVariableModel, x: Tensor, codes: Tensor) -> dict[str, Callable[[], Any]]:
    """Every public method that reads examples or codes, or draws them."""
    told = None if model.conditioning is None else torch.tensor([1, 2])
    batch, plain = Batch(x, told), Batch(examples(model), told)
    amounts = torch.tensor([0, 1])
    found: dict[str, Callable[[], Any]] = {
        "infer": lambda: model.infer(batch).elbo,
        "encode": lambda: model.encode(batch),
        "reconstruct": lambda: model.reconstruct(batch),
        "edit": lambda: model.edit(batch, [0], torch.Generator().manual_seed(0)),
        "sample": lambda: model.sample(2, condition=told),
        "sample_codes": lambda: model.sample_codes(2, condition=told),
        "decode": lambda: model.decode(codes, told).log_prob(examples(model)),
        "show": lambda: model.show(codes, told),
        "interpolate": lambda: model.interpolate(codes[0], codes[1], 3),
        "traverse": lambda: model.traverse(codes[0], codes[1], amounts),
        "resample_groups": lambda: model.resample_groups(codes, [0], condition=told),
        "given": lambda: model.infer(plain, given=codes[None]).log_likelihood,
    }
    if model.has_evidence:
        found["log_prob"] = lambda: model.log_prob(batch, 3)
        found["log_posteriors"] = lambda: model.log_posteriors(batch)
    if model.variant != "univae":  # which does not factorise
        observed = torch.ones_like(x, dtype=torch.bool)
        found["observed"] = lambda: model.infer(batch._replace(observed=observed)).elbo
    return found


def results(model: LatentVariableModel, x: Tensor, codes: Tensor) -> dict[str, Tensor]:
    found = {}
    for name, call in calls(model, x, codes).items():
        torch.manual_seed(0)
        with torch.no_grad():
            found[name] = call()
    return found
