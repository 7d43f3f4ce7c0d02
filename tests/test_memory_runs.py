"""Data that a program holds: trained on, gone on with, measured on, and refused where missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import figures
from same_run import assert_same_run
from torch import Tensor
from torch.utils.data import TensorDataset
from typer.testing import CliRunner

import zoo
from zoo.api.train import default_directory
from zoo.cli import app
from zoo.errors import ConfigError, DataError, TrainingError
from zoo.training.config import Experiment

SMALL: dict[str, Any] = {"hidden": [8], "latent_dim": 2, "progress": False}
GREY = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
CLASSES = np.arange(60) % 3
VECTORS = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
SOURCES: dict[str, Any] = {
    "array": GREY,
    "tensor": torch.from_numpy(GREY),
    "labelled": (GREY, CLASSES),
    "dictionary": {"images": GREY, "labels": CLASSES},
    "parts": {"train": GREY[:40], "test": GREY[40:]},
    "vectors": VECTORS,
    "torch": TensorDataset(torch.from_numpy(VECTORS), torch.from_numpy(CLASSES)),
    "dataset": zoo.load_dataset((GREY, CLASSES), name="mine"),
}


def train(directory: Path, source: Any, **settings: Any) -> zoo.Run:
    return zoo.train(
        "gaussian-vae", dataset=source, directory=directory, **{**SMALL, "epochs": 2, **settings}
    )


@pytest.fixture(params=[*SOURCES, "frame"])
def source(request: pytest.FixtureRequest) -> Any:
    if request.param == "frame":
        return pytest.importorskip("pandas").DataFrame(VECTORS, columns=list("abcde"))
    return SOURCES[request.param]


def test_trained_measured_compared_and_made(source: Any, tmp_path: Path) -> None:
    run = train(tmp_path, source)
    of_run = zoo.evaluate(run, dataset=source, samples=3)
    of_file = zoo.evaluate(zoo.load(tmp_path), dataset=source, samples=3)
    assert (of_run.nll, of_run.elbo) == (of_file.nll, of_file.elbo)
    assert of_run.nll is not None
    assert figures(zoo.compare([run], ["nll"], dataset=source, samples=3)) == [of_run.nll.value]
    assert zoo.create("gaussian-vae", dataset=source).config.input_shape == run.model.modality.shape


def test_gone_on_with_the_same_data_it_ends_bit_for_bit(source: Any, tmp_path: Path) -> None:
    train(tmp_path / "whole", source, epochs=3)
    train(tmp_path / "again", source, epochs=1)
    train(tmp_path / "again", source, epochs=3)
    assert_same_run(tmp_path / "again", tmp_path / "whole")
    train(tmp_path / "resumed", source, epochs=1)
    zoo.resume(tmp_path / "resumed", progress=False, epochs=3, dataset=source)
    assert_same_run(tmp_path / "resumed", tmp_path / "whole")


def test_a_form_of_the_same_examples_is_the_same_data(tmp_path: Path) -> None:
    train(tmp_path / "run", GREY, epochs=1)
    np.save(tmp_path / "grey.npy", GREY)
    for same in (torch.from_numpy(GREY), GREY[:, None], tmp_path / "grey.npy"):
        assert zoo.resume(tmp_path / "run", progress=False, dataset=same).metrics["epoch"] == 1


def test_without_the_data_it_is_said_what_to_do(tmp_path: Path) -> None:
    run = train(tmp_path, GREY)
    config = (tmp_path / "config.yaml").read_text()
    assert "dataset: memory:array" in config
    attempts = [
        lambda: zoo.resume(tmp_path),
        lambda: zoo.evaluate(run),
        lambda: zoo.evaluate(tmp_path),
        lambda: zoo.compare([run, tmp_path]),
        lambda: zoo.train("gaussian-vae", dataset="memory:array", directory=tmp_path / "other"),
    ]
    for attempt in attempts:
        with pytest.raises(DataError, match="'array' was held in memory .* dataset=x"):
            attempt()
    for command in (["train", "--resume"], ["evaluate"], ["encode", "--out", "a.npz"]):
        result = CliRunner().invoke(app, [*command, str(tmp_path)])
        assert result.exit_code == 2 and "'array' was held in memory" in result.stderr


def test_the_command_line_goes_on_with_a_file_of_the_data(tmp_path: Path) -> None:
    train(tmp_path / "whole", VECTORS, epochs=2)
    train(tmp_path / "run", VECTORS, epochs=1)
    np.save(tmp_path / "mine.npy", VECTORS)
    asked = ["train", "--resume", str(tmp_path / "run"), "--epochs", "2", "--dataset"]
    result = CliRunner().invoke(app, [*asked, str(tmp_path / "mine.npy")])
    assert result.exit_code == 0, result.output
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_other_data_are_refused(tmp_path: Path) -> None:
    train(tmp_path, GREY)
    with pytest.raises(TrainingError, match="not those the run"):
        zoo.resume(tmp_path, dataset=255 - GREY)
    with pytest.raises(TrainingError, match="not those the run"):
        train(tmp_path, 255 - GREY)
    with pytest.raises(ConfigError, match="'input_shape'"):
        zoo.resume(tmp_path, dataset=VECTORS)
    with pytest.raises(DataError, match="holds vectors, the model reads images"):
        zoo.evaluate(zoo.load(tmp_path), dataset=VECTORS)


def test_folders_are_told_apart_by_name_and_data() -> None:
    def folder(data: zoo.data.Dataset) -> str:
        experiment = Experiment.build("gaussian-vae", f"memory:{data.name}")
        return default_directory(experiment, data).as_posix()

    mine, others = (zoo.load_dataset(x, name="my own/set") for x in (GREY, 255 - GREY))
    assert folder(mine) == f"runs/gaussian-vae-my-own-set-{mine.digest()[:6]}-s0"
    assert folder(mine) != folder(others)


def test_a_registered_dataset_loaded_before_is_data_in_memory(tmp_path: Path) -> None:
    digits = zoo.load_dataset("digits")
    run = train(tmp_path, digits, epochs=1)
    assert "dataset: memory:digits" in (tmp_path / "config.yaml").read_text()
    assert zoo.evaluate(run, dataset="digits", samples=2).dataset == "digits"


def test_text_cut_by_another_tokenizer_is_refused(tmp_path: Path) -> None:
    def sentences(*lines: str) -> Any:
        (tmp_path / "a.txt").write_text("\n".join(lines * 10))
        return zoo.load_dataset(tmp_path / "a.txt")

    small = {"width": 16, "heads": 2, "layers": 2, "groups": 1, "hidden": 16, "progress": False}
    data = sentences("a cat", "a hat", "the cat")
    zoo.train("univae", dataset=data, directory=tmp_path / "run", epochs=1, **small)
    with pytest.raises(ConfigError, match="cut by another tokenizer"):
        zoo.train(
            "univae",
            dataset=sentences("ein Hund", "zwei Hunde", "kein Hut"),
            directory=tmp_path / "other",
            start_from=tmp_path / "run",
            epochs=1,
            progress=False,
        )


def test_images_in_memory_are_resized(tmp_path: Path) -> None:
    run = zoo.train(
        "gaussian-vae", dataset=GREY, directory=tmp_path, image_size=4, epochs=1, **SMALL
    )
    assert run.model.modality.shape == (1, 4, 4)
    assert zoo.evaluate(run, dataset=GREY, samples=2).examples == 6
    assert isinstance(run.model.sample(2), Tensor)
