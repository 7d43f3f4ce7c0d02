"""The classifiers that metrics read features of: their accuracy, their files, their training."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open

from zoo.data import Dataset, load_dataset
from zoo.errors import CheckpointError, DataError, UnsupportedError
from zoo.metrics.features import (
    Classifier,
    ClassifierConfig,
    classifier_of,
    load_classifier,
    save_classifier,
)
from zoo.registry import packaged_root, registry
from zoo.storage import hub

ROOT = Path(__file__).parents[1]
RELEASED = registry().classifiers
BEFORE = "benchmarks:\n  b: {x: 1}\n\n"
AFTER = "\n# of models\ncheckpoints:\n  c:\n    y: 2\n"
SMALL = {"name": "conv", "encoder_channels": (4,), "encoder_blocks": (0,), "hidden": 8}


@pytest.fixture
def small() -> Classifier:
    torch.manual_seed(0)
    config = {"input_shape": (1, 8, 8), "classes": 3, "backbone": SMALL}
    return Classifier(ClassifierConfig.parse(config, "config")).eval()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """What trains classifiers, writing below ``tmp_path``."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("train_classifier")
    (tmp_path / "checkpoints").mkdir()
    text = (
        "benchmarks:\n  b: {x: 1}\n\nclassifiers: {}\n\n# of models\ncheckpoints:\n  c:\n    y: 2\n"
    )
    (tmp_path / "registry.yaml").write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "classifiers.json")
    monkeypatch.setattr(module, "SIZES", {k: v for k, v in SMALL.items() if k != "name"})
    return module


def data_of(name: str) -> Dataset:
    try:
        return load_dataset(RELEASED[name].dataset, root=ROOT.parent / "shared" / "data")
    except DataError:
        pytest.skip(f"{RELEASED[name].dataset} is not here")


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_classifier_is_as_right_as_recorded(
    name: str, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    data = data_of(name)
    found = script.measured(classifier_of(data), data)
    for figure, recorded in RELEASED[name].metrics.items():
        # Another processor may round a few images to the other side.
        assert found[figure]["value"] == pytest.approx(recorded.value, abs=3 / len(data.test))
        assert found[figure]["test_set"] == recorded.test_set


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_file_is_small_halved_and_says_what_it_is(name: str) -> None:
    spec = RELEASED[name]
    with safe_open(packaged_root() / "checkpoints" / spec.file, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        said = json.loads(file.metadata()["zoo.classifier"])
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert sum(tensor.numel() for tensor in tensors.values()) <= 300_000
    assert spec.bytes <= 600_000
    assert said["training"]["metrics"]["accuracy"]["value"] == spec.metrics["accuracy"].value


def test_features_of_training_images_are_standard() -> None:
    data = load_dataset("digits")
    classifier = classifier_of(data)
    (batch,) = data.train.batches(len(data.train), "real")
    features = classifier.features(batch.x)
    torch.testing.assert_close(features.mean(0), torch.zeros(64), atol=5e-3, rtol=0)
    assert features.var(0).mean().item() == pytest.approx(1, abs=5e-3)
    assert torch.equal(classifier.classify(features), classifier(batch.x).argmax(-1))


def test_standardising_twice_is_standardising_once(small: Classifier) -> None:
    x = torch.rand(50, 1, 8, 8)
    logits = small(x)
    with torch.no_grad():
        small.standardise(small.features(x))
        once = small.features(x)
        small.standardise(once)
    torch.testing.assert_close(small.features(x), once)
    torch.testing.assert_close(once.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert once.var(0).mean().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(small(x), logits)


def test_a_file_holds_the_weights_as_half_precision_rounds_them(
    small: Classifier, tmp_path: Path
) -> None:
    save_classifier(tmp_path / "c.safetensors", small, {"seed": 1})
    found = load_classifier(tmp_path / "c.safetensors")
    for name, tensor in small.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.half().float()), name
    assert found.config == small.config and not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_weights_that_are_of_no_use_are_not_written(small: Classifier, tmp_path: Path) -> None:
    with torch.no_grad():
        small.head.bias[0] = 1e6  # beyond half precision
    with pytest.raises(CheckpointError, match=r"head\.bias"):
        save_classifier(tmp_path / "c.safetensors", small, {})


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RELEASED["classifier-digits"]
    content = bytearray((packaged_root() / "checkpoints" / spec.file).read_bytes())
    content[-1] ^= 1
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / spec.file).write_bytes(content)
    monkeypatch.setattr(hub, "packaged_root", lambda: tmp_path)
    with pytest.raises(CheckpointError, match=r"not the registered size or SHA-256") as error:
        classifier_of(load_dataset("digits"))
    assert spec.file in str(error.value) and spec.sha256 in str(error.value)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = packaged_root() / "checkpoints" / "gaussian-vae-digits.safetensors"
    with pytest.raises(CheckpointError, match="no classifier that zoo saved"):
        load_classifier(path)


def test_a_file_that_lies_of_its_sizes_is_refused(small: Classifier, tmp_path: Path) -> None:
    huge = {**SMALL, "encoder_channels": (2048,), "hidden": 16384}
    lying = ClassifierConfig.parse(
        {"input_shape": (1, 800, 800), "classes": 3, "backbone": huge}, "config"
    )
    small.config = lying  # 5 TB of weights
    save_classifier(tmp_path / "c.safetensors", small, {})
    with pytest.raises(CheckpointError, match="do not fit its configuration"):
        load_classifier(tmp_path / "c.safetensors")


def test_data_without_a_classifier_are_told_which_have_one() -> None:
    with pytest.raises(UnsupportedError, match=r"for mine, .* choose one of digits"):
        classifier_of(load_dataset(torch.rand(50, 1, 8, 8), name="mine"))
    resized = load_dataset("digits", image_size=16)
    with pytest.raises(UnsupportedError, match="at its own size"):
        classifier_of(resized)


def test_a_killed_training_goes_on_as_if_nothing_had_been(
    script: ModuleType, tmp_path: Path
) -> None:
    data, recipe = load_dataset("digits"), {"dataset": "digits", "epochs": 3, "batch": 256}
    whole = script.Training(tmp_path / "whole", data, recipe)
    whole.run()

    class KilledError(Exception):
        pass

    class Killed(script.Training):  # type: ignore[misc, name-defined]
        def _train(self) -> None:
            super()._train()
            if self.epoch == 1:
                raise KilledError

    with pytest.raises(KilledError):
        Killed(tmp_path / "killed", data, recipe).run()
    again = script.Training(tmp_path / "killed", data, recipe)
    again.run()
    for name, tensor in whole.best().state_dict().items():
        assert torch.equal(tensor, again.best().state_dict()[name]), name


def test_a_release_writes_the_file_its_entry_and_its_record(
    script: ModuleType, tmp_path: Path
) -> None:
    recipe = {"dataset": "digits", "epochs": 1, "batch": 256}
    options = argparse.Namespace(runs=tmp_path / "runs", data_root=None)
    script.release("classifier-x", recipe, options)
    text = (tmp_path / "registry.yaml").read_text()
    assert text.startswith(f"{BEFORE}classifiers:\n  classifier-x:\n") and text.endswith(AFTER)
    entry: dict[str, Any] = yaml.safe_load(text)["classifiers"]["classifier-x"]
    file = tmp_path / "checkpoints" / entry["file"]
    assert entry["bytes"] == file.stat().st_size
    record = json.loads((tmp_path / "classifiers.json").read_text())["classifier-x"]
    assert record["accuracy"] == entry["metrics"]["accuracy"]
    data = load_dataset("digits")
    assert script.measured(load_classifier(file), data) == entry["metrics"]


def test_about_half_of_the_images_are_binarised(script: ModuleType) -> None:
    x = torch.full((2000, 1, 4, 4), 0.3)
    found = script.half_binary(x, torch.Generator().manual_seed(0))
    binary = ((found == 0) | (found == 1)).flatten(1).all(1)
    assert binary.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)
    assert torch.equal(found[~binary], x[~binary])
    error = (0.3 * 0.7 / (16 * binary.sum().item())) ** 0.5
    assert found[binary].mean().item() == pytest.approx(0.3, abs=4 * error)
