"""The script that holds models of text beside each other, on a corpus of forty sentences."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import zoo
from zoo.errors import ConfigError
from zoo.modalities.tokenizer import Tokenizer
from zoo.training.config import TrainingConfig
from zoo.variants.univae import UniVAEConfig

SCRIPTS = Path(__file__).parents[1] / "scripts"
WORDS = ["red", "green", "blue", "fish", "bird", "cat"]
LINES = [" ".join(WORDS[(i * 5 + j) % 6] for j in range(1 + i % 6)) for i in range(40)]
MODEL = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2, "latent_dim": 4}
POINTS: dict[str, Any] = {
    "kappa 8, d 4": {},
    "kappa 8, d 2": {"model": {"latent_dim": 2}, "train": {"epochs": 2}},
    "gaussian": {"model": {"posterior": "gaussian"}},
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, its experiments replaced by one of a moment."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("compare_text")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(LINES) + "\n")
    experiment = {
        "title": "Colours",
        "dataset": str(corpus),
        "split": "train",
        "samples": 2,
        "examples": 8,
        "model": MODEL,
        "train": {"epochs": 1, "batch_size": 8},
        "points": POINTS,
    }
    experiments = tmp_path / "experiments.yaml"
    experiments.write_text(yaml.safe_dump({"colours": experiment}, sort_keys=False))
    monkeypatch.setattr(module, "EXPERIMENTS", experiments)
    return module


def call(script: ModuleType, folder: Path, *options: str) -> int:
    places = ["--runs", str(folder / "runs"), "--output", str(folder / "found.json")]
    code: int = script.main(["colours", *places, *options])
    return code


def test_every_experiment_is_one_of_models_and_trainings(script: ModuleType) -> None:
    tokenizer = Tokenizer.learn(LINES, "words").json
    facts = {"input_shape": [9], "tokenizer": tokenizer, "likelihood": "categorical"}
    experiments = yaml.safe_load((SCRIPTS / "text_experiments.yaml").read_text())
    for name, experiment in experiments.items():
        assert experiment["dataset"] in zoo.list_datasets(), name
        for point, own in experiment["points"].items():
            assert own.keys() <= {"model", "train"}, point
            settings = script.settings_of(experiment, point)
            TrainingConfig.parse(settings["train"], f"{name}, {point}")
            UniVAEConfig.parse({**facts, **settings["model"]}, f"{name}, {point}")


def test_missing_points_are_trained_and_measured(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(script, tmp_path, "--points", "kappa 8*") == 0
    records = json.loads((tmp_path / "found.json").read_text())
    assert list(records) == ["kappa 8, d 4", "kappa 8, d 2"]
    narrow = records["kappa 8, d 2"]
    assert narrow["settings"]["model"]["latent_dim"] == 2
    assert [record["epochs"] for record in records.values()] == [1, 2]
    assert narrow["evaluation"]["split"] == "train"
    assert narrow["evaluation"]["examples"] == 8
    assert narrow["command"].endswith("colours --points 'kappa 8, d 2'")
    table = capsys.readouterr().out
    assert table.index("| kappa 8, d 4 |") < table.index("| kappa 8, d 2 |")
    assert "/8 |" in table and "/4 |" in table and "| gaussian |" not in table

    (tmp_path / "runs").rename(tmp_path / "gone")
    assert call(script, tmp_path, "--points", "kappa 8*") == 0  # nothing is trained again
    assert not (tmp_path / "runs").exists()
    assert capsys.readouterr().out == table


def test_records_of_other_settings_are_made_anew(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(script, tmp_path, "--points", "gaussian")
    text = script.EXPERIMENTS.read_text().replace("samples: 2", "samples: 3")
    script.EXPERIMENTS.write_text(text)
    assert call(script, tmp_path, "--table") == 0
    assert "Left out, of other settings: gaussian." in capsys.readouterr().out
    call(script, tmp_path, "--points", "gaussian")
    assert "| gaussian |" in capsys.readouterr().out
    text = script.EXPERIMENTS.read_text().replace("epochs: 1", "epochs: 2")
    script.EXPERIMENTS.write_text(text)
    call(script, tmp_path, "--points", "gaussian")
    assert json.loads((tmp_path / "found.json").read_text())["gaussian"]["epochs"] == 2


def test_mistakes(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no point is like 'kapa\*'; there are \['kappa 8, d 4'"):
        call(script, tmp_path, "--points", "kapa*")
    with pytest.raises(SystemExit, match=r"holds no records; run without --table first"):
        call(script, tmp_path, "--table")
    text = script.EXPERIMENTS.read_text().replace("epochs: 1", "epoch: 1")
    script.EXPERIMENTS.write_text(text)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        call(script, tmp_path)
