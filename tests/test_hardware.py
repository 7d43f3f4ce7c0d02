"""``auto`` means what it meant when a run began; where it was computed is noted by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from zoo.devices import hardware, processor
from zoo.errors import ConfigError
from zoo.storage import checkpoint
from zoo.training.config import Experiment, TrainingConfig
from zoo.training.device import made_definite
from zoo.training.launch import Run
from zoo.training.run import RunDirectory, refuse_difference


def train(directory: Path, epochs: int) -> Run:
    return zoo.train(
        "gaussian-vae", directory=directory, progress=False, epochs=epochs, latent_dim=3, hidden=[8]
    )


def test_auto_is_resolved_when_a_run_starts(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    stored = RunDirectory(tmp_path).read_config().train
    assert stored.device in ("cpu", "cuda") and stored.precision in ("float32", "bfloat16")


@pytest.mark.parametrize(("here", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_run_resumed_elsewhere_keeps_its_precision(
    here: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def existing(name: str) -> torch.device:
        if name == "cuda" and not here:
            raise ConfigError("not here")
        return torch.device(name)

    monkeypatch.setattr("zoo.training.device.existing_device", existing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: here)
    new, _ = made_definite(Experiment.build("gaussian-vae"), None)
    usual = "bfloat16" if here else "float32"
    assert (new.train.device, new.train.precision) == (device, usual)
    for precision in ("float32", "bfloat16"):
        began = TrainingConfig(device="cuda", precision=precision)
        found, place = made_definite(Experiment.build("gaussian-vae"), began)
        assert (found.train.device, found.train.precision) == (device, precision)
        assert place == torch.device(device)


def test_a_run_that_began_on_the_cpu_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    began = TrainingConfig(device="cpu", precision="float32")
    found, device = made_definite(Experiment.build("gaussian-vae"), began)
    assert device == torch.device("cpu") and found.train.precision == "float32"


def test_every_machine_is_noted_and_a_change_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, epochs=1)
    first = hardware(torch.device("cpu"))
    assert processor() in first and "auto" not in first and " thread" in first
    assert "goes on" not in capsys.readouterr().err
    monkeypatch.setattr("zoo.training.session.hardware", lambda device: "another machine")
    train(tmp_path, epochs=2)
    assert f"the run was on {first} and is on another machine" in capsys.readouterr().err
    assert RunDirectory(tmp_path).hardware == [first, "another machine"]
    training = checkpoint.read_metadata(tmp_path / "best.safetensors").training
    assert training is not None and training["hardware"].startswith(first)


def test_a_state_of_an_earlier_version_that_says_its_device_goes_on() -> None:
    old = {"train.schedule": "constant", "train.epochs": 1, "train.device": "auto"}
    new = {"train.schedule": "constant", "train.epochs": 1}
    refuse_difference(old, new, Path("run"))


def test_the_processor_is_named_as_the_machine_calls_it() -> None:
    information = Path("/proc/cpuinfo")
    if "model name" not in information.read_text():
        pytest.skip("a machine that says none")
    assert f": {processor()}\n" in information.read_text()


def test_an_accelerator_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    found = hardware(torch.device("cuda"))
    assert found == f"NVIDIA H100 80GB HBM3, torch {torch.__version__}"
