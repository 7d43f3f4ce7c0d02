"""The scripts that measure what docs/metrics.md and docs/generation.md show: once each."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import zoo
from zoo.evaluation.disentanglement import mutual_information_gap

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


def test_codes_are_what_they_are_called(script: Callable[[str], ModuleType]) -> None:
    codes = script("measure_codes").CODES
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.randint(n, (900,), generator=generator) for n in (3, 6, 8)], 1)
    made = {name: code(factors) for name, code in codes.items()}
    same, noisy, rotated, noise = made.values()
    torch.testing.assert_close(rotated.norm(dim=1), same.norm(dim=1))
    assert (noisy - same).std().item() == pytest.approx(0.05, rel=0.05)
    scores = [mutual_information_gap(each, factors) for each in made.values()]
    assert scores == sorted(scores, reverse=True)
    assert noise.shape == same.shape and scores[-1] < 0.02


def test_codes_are_measured_once_each(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, output = script("measure_codes"), tmp_path / "codes.json"
    monkeypatch.setattr(module, "METRICS", ("mig", "sap"))
    kinds = dict(module.CODES)
    monkeypatch.setattr(
        module, "CODES", {"the factors": kinds["the factors"]}
    )  # then it was killed
    arguments = ["--examples", "300", "--output", str(output)]
    assert module.main(arguments) == 0
    before = json.loads(output.read_text())
    assert before["the factors"]["figures"]["mig"]["stderr"] > 0
    monkeypatch.setattr(module, "CODES", kinds)
    assert module.main(arguments) == 0
    after = json.loads(output.read_text())
    assert list(after) == list(kinds)
    assert after["the factors"] == before["the factors"]
    assert (
        after["the factors"]["figures"]["sap"]["value"] > after["noise"]["figures"]["sap"]["value"]
    )


def test_samples_and_times_are_measured_once_for_each_file(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, output = script("measure_generation"), tmp_path / "generation.json"
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "METRICS", ("frechet-distance", "memorisation"))
    monkeypatch.setattr(module, "TIMES", ("weights",))
    arguments = ["--models", "gaussian-vae-digits", "--output", str(output)]
    threads = torch.get_num_threads()
    try:
        assert module.main(arguments) == 0
        found: dict[str, Any] = json.loads(output.read_text())
        before = output.stat().st_mtime_ns
        assert module.main(arguments) == 0
    finally:
        torch.set_num_threads(threads)
    assert output.stat().st_mtime_ns == before
    own = "samples/gaussian-vae-digits"
    assert list(found) == ["samples/halves", "samples/training", own, "times/gaussian-vae-digits"]
    assert found["samples/training"]["figures"]["memorisation"]["value"] == 1
    assert found[own]["sha256"] == zoo.info("gaussian-vae-digits").sha256
    scores = zoo.compare("gaussian-vae-digits", ["frechet-distance"])
    (measured,) = (row[0].measured for row in scores.outcomes)
    assert measured is not None
    assert found[own]["figures"]["frechet-distance"]["value"] == measured.value
    output.write_text(json.dumps({**found, own: {**found[own], "sha256": "another"}}))
    assert module.main(arguments) == 0
    assert json.loads(output.read_text())[own]["sha256"] == found[own]["sha256"]
