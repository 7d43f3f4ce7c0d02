"""The check of an accelerator, on a CPU: at sizes that say nothing, and on faults made for it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from processes import python
from torch import Tensor

import zoo
from zoo.core.model import LatentVariableModel

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as Python does when it runs one, its processes as small as the test."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return importlib.import_module("accelerator_check")


@pytest.fixture
def checks(script: ModuleType) -> ModuleType:
    return importlib.import_module("_device_checks")


def forked_worker(command: list[str], output: Any, errors: Any, seconds: float) -> str:
    """What the script starts, with torch at once."""
    done = python(*command[1:])
    output.write(done.stdout)
    errors.write(done.stderr)
    return f"the process ended before it with code {done.returncode}"


def test_a_dry_run_on_the_cpu_writes_the_whole_record(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "end_of", forked_worker)
    variants = ["autoencoder", "vmf-vae", "univae", "cvae"]
    file = tmp_path / "record.json"
    arguments = ["--device", "cpu", "--quick", "--variants", *variants, "--json", str(file)]
    assert script.main(arguments) == 0, capsys.readouterr().out
    record = json.loads(file.read_text())
    assert record["passed"] and record["quick"] and record["seconds"] > 0
    assert record["environment"]["torch"] == torch.__version__
    assert list(record["variants"]) == variants
    for variant, found in record["variants"].items():
        assert list(found) == ["resume", "figures", "no copies", "eager", "compiled", "graph"]
        assert found["resume"]["passed"] and found["resume"]["tensors"] > 1
        assert found["figures"]["checkpoint"] == f"{variant}-digits"
        speed = found["eager"]["float32"]
        assert speed["examples_per_second"] > 0 and 0 < speed["of_peak"] < 1
        assert speed["of_bare"] == pytest.approx(
            speed["examples_per_second"] / speed["bare_examples_per_second"]
        )
        assert speed["megabytes"] > 0
        assert all(call["seconds"] > 0 for call in found["no copies"]["calls"].values())
        assert found["compiled"]["passed"] is None and found["graph"]["passed"] is None
    assert set(record["variants"]["autoencoder"]["figures"]["measures"]) == {"elbo"}
    assert set(record["variants"]["vmf-vae"]["figures"]["measures"]) == {"elbo", "iw-10"}
    assert set(record["variants"]["vmf-vae"]["no copies"]["calls"]) == {"bound", "sample", "iw-50"}
    assert "passed after" in capsys.readouterr().out


def test_what_was_not_reached_in_time_is_a_failure_that_says_so(
    script: ModuleType, checks: ModuleType
) -> None:
    found = script.run_checks(["gaussian-vae"], checks.quick("cpu"), 0.01)["gaussian-vae"]
    assert list(found) == list(checks.CHECKS)
    for name, row in found.items():
        assert row["reason"].startswith("not reached within 0 s")
        assert script.verdict(name, row) == ("does not work" if name == "graph" else "FAILED")


def test_a_process_that_dies_is_a_failure_that_gives_its_last_words(
    script: ModuleType, checks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    found = script.run_checks(["gaussian-vae"], checks.quick("cpu"), 60)["gaussian-vae"]
    assert all("ended before it with code 1" in row["reason"] for row in found.values())


def test_a_check_that_raises_is_a_failure_that_says_why(checks: ModuleType) -> None:
    row = checks.attempted(checks.resumes, "gaussian-vae", checks.quick("nowhere"))
    assert not row["passed"]
    assert row["reason"].startswith("ConfigError: device 'nowhere' is not available here")


def test_a_resumed_run_that_differs_is_found(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = zoo.resume

    def wrong(*arguments: Any, **settings: Any) -> zoo.Run:
        run = right(*arguments, **settings)
        with torch.no_grad():
            next(run.model.parameters()).view(-1)[0] += 1e-6
        return run

    assert checks.resumes("gaussian-vae", checks.quick("cpu"))["passed"]
    monkeypatch.setattr(zoo, "resume", wrong)
    assert not checks.resumes("gaussian-vae", checks.quick("cpu"))["passed"]


def test_a_figure_that_differs_by_more_than_its_noise_is_found(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, shift = checks.bound, iter([0.0, 0.0, 2.0, 2.0])

    def wrong(model: LatentVariableModel, x: Tensor) -> Tensor:
        value: Tensor = right(model, x)
        return value + next(shift)

    sizes = replace(checks.quick("cpu"), examples=64)
    assert checks.figures_agree("gaussian-vae", sizes)["passed"]
    monkeypatch.setattr(checks, "bound", wrong)
    found = checks.figures_agree("gaussian-vae", sizes)
    assert not found["passed"]
    assert not found["measures"]["elbo"]["passed"] and found["measures"]["iw-10"]["passed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cpu", "--variants", "vea"], "unknown variants vea; known are autoencoder"),
        (["--device", "cpu"], "the following arguments are required: --json"),
    ],
)
def test_wrong_arguments_are_errors(
    script: ModuleType,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = ["--json", str(tmp_path / "x.json")] if "required" not in message else []
    with pytest.raises(SystemExit):
        script.main([*arguments, *file])
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_accelerator_is_an_error_that_helps(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script.main(["--json", str(tmp_path / "x.json")])
    assert "no CUDA device; --device cpu --quick" in capsys.readouterr().err


def test_what_cannot_be_imported_is_said_before_anything_is_done(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "NEEDED", "torch surely_not_installed")
    with pytest.raises(SystemExit):
        script.main(["--device", "cpu", "--json", str(tmp_path / "x.json")])
    assert "cannot import surely_not_installed" in capsys.readouterr().err
