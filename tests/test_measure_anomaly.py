"""The measurement of anomaly detection, on sets that say nothing of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("measure_anomaly")
    monkeypatch.setattr(module, "EPOCH", 64)
    monkeypatch.setattr(
        module, "VECTOR_TRAINING", {"epochs": 1, "batch_size": 32, "kl_warmup_steps": 0}
    )
    return module


def test_a_set_is_measured_once_and_shown(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyod")
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(80, 4)), random.normal(9.0, 1.0, size=(8, 4))])
    x[:, 2] = 3.0  # a column that says nothing
    (tmp_path / "anomaly").mkdir()
    np.savez(tmp_path / "anomaly" / "cardio.npz", X=x, y=np.arange(88) >= 80)
    output = tmp_path / "out.json"
    command = ["vectors", "--sets", "cardio", "--seeds", "1", "--output", str(output)]
    script.main([*command, "--data-root", str(tmp_path)])
    found = json.loads(output.read_text())["vectors"]["cardio/0"]
    for method in script.METHODS:
        assert found[method]["auroc"] > 0.95, method  # these anomalies nothing can miss
    assert 0 <= found["ks"] <= 1
    assert "revision" in found
    script.main(command)  # of nowhere: what is recorded is not measured again
    assert "| cardio |" in capsys.readouterr().out


def test_ranks_and_means_are_those_of_the_records(script: ModuleType) -> None:
    def record(*aurocs: float) -> dict[str, object]:
        named = zip(script.METHODS, aurocs, strict=True)
        return {"ks": 0.5, **{name: {"auroc": auroc, "ap": 0.1} for name, auroc in named}}

    table = script.vector_table({
        "a/0": record(0.9, 0.8, 0.7, 0.6, 0.5),
        "a/1": record(0.7, 0.8, 0.7, 0.6, 0.5),
        "b/0": record(0.5, 0.8, 0.7, 0.6, 0.9),
    })  # fmt: skip
    *_, a, b, ranks = table.splitlines()
    assert a.startswith("| a | 0.800 / 0.100 | 0.800 / 0.100 | 0.700")
    assert b.startswith("| b | 0.500")
    assert ranks == "| mean rank | 3.25 | 1.75 | 3.00 | 4.00 | 3.00 | |"


def test_an_unknown_part_is_refused(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["vektors"])
    assert "unknown part 'vektors'; known: vectors, digits, fashion" in capsys.readouterr().err
