"""Exported programs say what their models say, also where zoo is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from processes import python
from test_variants import distinct
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.core.batch import Batch
from zoo.core.export import Decode, Encode
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.testing.cases import Case, cases_of, first_case

BATCH, LENGTH = Dim("batch"), Dim("length", min=3, max=16)
BY_TOKEN = ("univae",)
"""Whose likelihoods are autoregressive."""
OTHER_PROCESS = """
import sys
sys.modules["zoo"] = None  # importing it would fail
import torch

folder = sys.argv[1]
for name in ("encode", "decode", "infer"):
    program = torch.export.load(f"{folder}/{name}.pt2").module()
    torch.manual_seed(0)
    given = torch.load(f"{folder}/{name}-given.pt", weights_only=True)
    torch.save(program(given), f"{folder}/{name}-found.pt")
"""


def exported(module: nn.Module, *given: Tensor | None) -> ExportedProgram:
    """A program for any number of examples, and sentences of any length."""
    args = tuple(each for each in given if each is not None)
    return torch.export.export(module, args, dynamic_shapes=tuple(any_size(each) for each in args))


def any_size(x: Tensor) -> dict[int, Dim]:
    is_text = x.dtype == torch.int64 and x.ndim == 2
    return {0: BATCH, 1: LENGTH} if is_text else {0: BATCH}


def run(program: ExportedProgram, *given: Tensor | None) -> Tensor:
    found: Tensor = program.module()(*(each for each in given if each is not None))
    return found


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def check_parts(case: Case) -> tuple[ExportedProgram, LatentVariableModel]:
    """The codes of a program, of other numbers of examples than it was made with."""
    model, batch = case.model(), case.batch(3)
    program = exported(Encode(model), batch.x, batch.condition)
    for count in (1, 5):
        batch = case.batch(count)
        close(run(program, batch.x, batch.condition), model.encode(batch))
    return program, model


def check_means(case: Case, model: LatentVariableModel) -> None:
    codes, condition = torch.randn(3, model.code_dim), case.condition(3)
    program = exported(Decode(model), codes, condition)
    for count in (1, 5):
        codes, condition = torch.randn(count, model.code_dim), case.condition(count)
        close(run(program, codes, condition), model.estimate(codes, condition))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.xfail(strict=True, reason="its batch is no dynamic size yet")
        )
        if name == "m2"
        else name
        for name in distinct()
    ],
)
def test_codes_and_means_are_the_models(name: str) -> None:
    case = first_case(name)
    program, model = check_parts(case)
    operations = {str(node.target) for node in program.graph.nodes}
    values_or_noise = (
        "item",
        "_local_scalar_dense",
        "_assert_async",
        "_assert_scalar",
        "rand",
        "normal",
    )
    assert not [
        each for each in operations if any(f"aten.{part}" in each for part in values_or_noise)
    ]
    if name in BY_TOKEN:
        with pytest.raises(UnsupportedError, match=r"16 passes.* export Encode\(model\)"):
            exported(Decode(model), torch.zeros(3, model.code_dim))
    else:
        check_means(case, model)


@pytest.mark.parametrize("case", cases_of("gaussian-vae", {})[1:], ids=str)
def test_all_likelihoods(case: Case) -> None:
    model = check_parts(case)[1]
    if case.config["likelihood"]["name"].startswith("pixelcnn"):
        with pytest.raises(UnsupportedError, match=r"take \d+ steps.*export Encode\(model\)"):
            exported(Decode(model), torch.zeros(3, model.code_dim))
    else:
        check_means(case, model)


def test_text_of_any_length() -> None:
    case = first_case("univae", {"likelihood": "categorical"})
    assert case.known.modality.name == "text"
    check_parts(case)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("autoencoder", {}),
        ("cvae", {}),
        ("vmf-vae", {}),
        ("vmf-vae-fixed", {}),
        ("power-spherical-vae", {}),
        ("nvae-lite", {}),
        ("univae", {"layers": 2, "groups": 1}),
        ("univae", {"likelihood": "categorical"}),
    ],
)
def test_a_model_itself_says_the_parts_of_its_draws(name: str, settings: dict[str, Any]) -> None:
    case = first_case(name, settings)
    model, batch = case.model(), case.batch(3)
    told = batch.condition is not None
    if told:
        shapes = (Batch({0: BATCH}, {0: BATCH}),)  # type: ignore[arg-type]
        program = torch.export.export(model, (batch,), dynamic_shapes=shapes)
    else:
        program = exported(model, batch.x)
    for count in (1, 5):
        batch = case.batch(count)
        torch.manual_seed(0)
        expected = model(batch).tensors()
        torch.manual_seed(0)
        found = program.module()(batch if told else batch.x)
        assert found.keys() == expected.keys()
        for part in ("z", "code", "log_likelihood", "log_p", "log_q", "kl"):
            torch.testing.assert_close(found[part], expected[part], rtol=1e-5, atol=1e-5)


def test_files_are_read_where_zoo_is_not(tmp_path: Path) -> None:
    case = first_case("gaussian-vae")
    model, x = case.model(), case.examples(5)
    z = torch.randn(5, model.code_dim)
    programs = {
        "encode": (exported(Encode(model), x[:3]), x),
        "decode": (exported(Decode(model), z[:3]), z),
        "infer": (exported(model, x[:3]), x),
    }
    for name, (program, given) in programs.items():
        torch.export.save(program, tmp_path / f"{name}.pt2")
        torch.save(given, tmp_path / f"{name}-given.pt")
    done = python("-c", OTHER_PROCESS, tmp_path)
    assert done.returncode == 0, done.stderr
    found = {
        name: torch.load(tmp_path / f"{name}-found.pt", weights_only=True) for name in programs
    }
    close(found["encode"], model.encode(x))
    close(found["decode"], model.estimate(z))
    torch.manual_seed(0)
    draws = model(x)
    close(found["infer"]["log_likelihood"], draws.log_likelihood)
    close(found["infer"]["kl"], draws.kl)
