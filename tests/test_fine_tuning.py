"""Runs that begin with a checkpoint's weights: what they take over, refuse and repeat."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from processes import forked
from same_run import assert_same_run
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.errors import CheckpointError, ConfigError, TrainingError, UnknownNameError, ZooError
from zoo.files import sha256
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.training.config import Experiment
from zoo.training.launch import Run, train_experiment

NAME = "vmf-vae-digits"
SMALL = {"latent_dim": 3, "backbone": {"name": "mlp", "hidden": [16]}}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small trained model with a likelihood that is not the dataset's."""
    folder = tmp_path_factory.mktemp("start")
    zoo.train("gaussian-vae", directory=folder, epochs=1, progress=False,
              likelihood={"name": "gaussian"}, **SMALL)  # fmt: skip
    return folder


def tune(directory: Path, start: str | Path, **options: Any) -> Run:
    settings = {"variant": "gaussian-vae", "epochs": 1, "lr": 1e-30, **options}
    return zoo.train(directory=directory, start_from=start, progress=False, **settings)


def same_weights(a: Path, b: Path) -> bool:
    ours, theirs = zoo.load(a).state_dict(), zoo.load(b).state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_training_begins_with_the_weights(
    tmp_path: Path, start: Path, ema_decay: float | None
) -> None:
    """Steps too small to change a float32 leave them as they were, also in the moving average."""
    tune(tmp_path, start, ema_decay=ema_decay)
    assert same_weights(tmp_path, start)


def test_settings_nobody_gave_are_the_checkpoints(tmp_path: Path, start: Path) -> None:
    run = tune(tmp_path, start)
    assert run.model.config == zoo.load(start).config
    again = tune(tmp_path / "asked", start, latent_dim=3, backbone={"hidden": [16]})
    assert again.model.config == run.model.config


@pytest.mark.parametrize("how", ["file", "folder", "relative", "name"])
def test_a_run_remembers_what_it_began_with(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(start.parent)
    file = start / "best.safetensors"
    source: dict[str, str | Path] = {
        "file": file, "folder": str(start), "relative": Path(start.name), "name": NAME,
    }  # fmt: skip
    tune(tmp_path, source[how], variant="vmf-vae" if how == "name" else "gaussian-vae")
    remembered = yaml.safe_load((tmp_path / "config.yaml").read_text())["start_from"]
    expected = {
        "file": (str(file), sha256(file)),
        "name": (NAME, registry().checkpoint(NAME).sha256),
    }
    path, digest = expected.get(how, (str(start), sha256(file)))
    assert remembered == {"source": path, "sha256": digest}


def test_a_path_named_like_a_checkpoint_stays_a_path(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(start, tmp_path / NAME)
    experiment = Experiment.build("gaussian-vae", start_from=Path(NAME))
    assert experiment.start_from is not None
    assert experiment.start_from.source == str(tmp_path / NAME)


def test_from_the_command_line(tmp_path: Path) -> None:
    arguments = ["train", "vmf-vae", "--start-from", NAME, "--epochs", "1",
                 "--set", "objective.name=iwae", "--set", "objective.samples=2",
                 "--directory", str(tmp_path)]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["model"] == zoo.load(NAME).config.model_dump(mode="json")
    assert config["objective"] == {"name": "iwae", "samples": 2}
    assert config["start_from"]["source"] == NAME


def test_options_of_its_parts_may_be_repeated_by_their_names(tmp_path: Path, start: Path) -> None:
    run = tune(tmp_path, start, hidden=[16], latent_dim=3, condition=None)
    assert run.model.config == zoo.load(start).config


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"variant": "vmf-vae"}, ConfigError, "train 'gaussian-vae', or start from another"),
        ({"latent_dim": 4}, ConfigError, "model.latent_dim is 3 in "),
        ({"backbone": {"hidden": [32]}}, ConfigError, "model.backbone.hidden is [16] in "),
        ({"hidden": [32]}, ConfigError, "model.backbone.hidden is [16] in "),
        ({"backbone": "conv"}, ConfigError, "model.backbone.name is 'mlp' in "),
        ({"likelihood": "bernoulli"}, ConfigError, "'bernoulli' is asked for; leave it out"),
        ({"latent_dim": 4, "backbone": "conv"}, ConfigError, "model.latent_dim is 3"),
        ({"latent_dims": 4}, ConfigError, "did you mean 'latent_dim'?"),
        ({"image_size": 12}, ConfigError, "reads images of shape (1, 8, 8), 'digits' has (1, 12"),
        ({"start": "vmf-vae-digit"}, UnknownNameError, "did you mean 'vmf-vae-digits'?"),
        ({"start": "vmf-vae"}, CheckpointError, "is a variant, not a trained checkpoint"),
        ({"start": "./missing"}, CheckpointError, "no file or folder"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_training(
    tmp_path: Path, start: Path, options: dict[str, Any], error: type[ZooError], said: str
) -> None:
    with pytest.raises(error) as caught:
        tune(tmp_path / "run", **({"start": start} | options))
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_other_weights_are_another_experiment(tmp_path: Path, start: Path) -> None:
    tune(tmp_path / "run", start)
    shutil.copytree(start, tmp_path / "copy")
    with pytest.raises(
        ConfigError, match=r"start_from\.source: .*copy'\); choose another directory"
    ):
        tune(tmp_path / "run", tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"start_from\.source"):
        zoo.train("gaussian-vae", directory=tmp_path / "run", epochs=1, progress=False)


def test_an_experiment_changed_by_hand_is_refused(tmp_path: Path, start: Path) -> None:
    built = Experiment.build("gaussian-vae", start_from=start)
    changed = built.model_copy(update={"model": {**built.model, "latent_dim": 4}})
    with pytest.raises(ConfigError, match=r"model\.latent_dim is 3 in .* 4 is asked for"):
        train_experiment(changed, tmp_path, progress=False)


# Kills


EPOCHS = 10


def experiment(start: Path, checkpoint_seconds: float) -> Experiment:
    train = {"epochs": EPOCHS, "ema_decay": 0.9, "kl_warmup_steps": 20, "schedule": "cosine",
             "checkpoint_seconds": checkpoint_seconds}  # fmt: skip
    return Experiment.build(
        "gaussian-vae", train=train, objective={"balance": True}, start_from=start
    )


def run_in_child(start: Path, directory: Path, checkpoint_seconds: float) -> None:
    torch.set_num_threads(1)
    train_experiment(experiment(start, checkpoint_seconds), directory, progress=False)


def kill_when(done: Callable[[], bool], *arguments: object) -> None:
    """Train in a process of its own, and kill it as soon as ``done``."""
    child = forked(run_in_child, *arguments)
    deadline = time.monotonic() + 60
    while not done():
        assert child.is_alive(), "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.kill()
    child.join()


@pytest.fixture
def own(tmp_path: Path, start: Path) -> Path:
    """A copy of the start's file that may be changed."""
    return Path(shutil.copy(start / "best.safetensors", tmp_path / "own.safetensors"))


posix = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")


@posix
def test_once_saved_a_killed_run_needs_the_file_no_more(tmp_path: Path, own: Path) -> None:
    whole, torn, copy = tmp_path / "whole", tmp_path / "torn", tmp_path / "copy"
    train_experiment(experiment(own, 1e6), whole, progress=False)
    metrics = torn / "metrics.jsonl"

    def in_the_middle() -> bool:
        return metrics.exists() and metrics.read_bytes().count(b"\n") >= 2

    kill_when(in_the_middle, own, torn, 0.0)
    assert metrics.read_bytes().count(b"\n") < EPOCHS
    shutil.copytree(torn, copy)
    own.write_bytes(b"something else")
    zoo.resume(torn, progress=False)
    own.unlink()
    zoo.resume(copy, progress=False)
    assert_same_run(torn, whole)
    assert_same_run(copy, whole)


@posix
def test_before_the_first_save_another_file_is_an_error(tmp_path: Path, own: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    train_experiment(experiment(own, 1e6), whole, progress=False)
    kill_when(lambda: (torn / "metrics.jsonl").exists(), own, torn, 1e6)
    assert not (torn / "last.safetensors").exists()
    kept = own.read_bytes()
    checkpoint.save(own, zoo.create("gaussian-vae", likelihood={"name": "gaussian"}, **SMALL),
                    variant="gaussian-vae", dataset="digits")  # fmt: skip
    with pytest.raises(TrainingError, match="is not the file the run began with"):
        zoo.resume(torn, progress=False)
    with pytest.raises(ConfigError, match=r"start_from\.sha256"):  # the same command again
        train_experiment(experiment(own, 1e6), torn, progress=False)
    own.unlink()
    with pytest.raises(CheckpointError, match="no file or folder"):
        zoo.resume(torn, progress=False)
    own.write_bytes(kept)
    zoo.resume(torn, progress=False)
    assert_same_run(torn, whole)
