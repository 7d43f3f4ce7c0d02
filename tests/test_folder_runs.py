"""Runs on folders of images: another decoder, files that are damaged, files that change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.data import images
from zoo.errors import DataError, TrainingError
from zoo.storage.checkpoint import read_metadata

SMALL: dict[str, Any] = {"hidden": [8], "latent_dim": 2, "progress": False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty pictures of two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        place = tmp_path / "pictures" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.png")
    return tmp_path / "pictures"


def train(folder: Path, epochs: int = 1, **settings: Any) -> zoo.Run:
    options = {**SMALL, **settings, "epochs": epochs}
    directory = folder.parent / "run"
    return zoo.train("gaussian-vae", dataset=str(folder), directory=directory, **options)


def one_level_apart(patch: pytest.MonkeyPatch) -> None:
    """Every picture is one grey level brighter from now on."""
    decode = images.decode
    brighter = lambda *given: decode(*given).clamp(0, 254).add(1)  # noqa: E731
    patch.setattr("zoo.data.folder.decode", brighter)
    patch.setattr("zoo.data.folder.decoder_versions", lambda: "Pillow 99")


def test_a_run_goes_on_where_another_decoder_reads_other_pixels(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder)
    decoder = zoo.load_dataset(folder).decoder
    one_level_apart(monkeypatch)
    run = train(folder, epochs=2)
    assert run.metrics["epoch"] in (1, 2) and len(run.history) == 2
    said = capsys.readouterr().err
    assert "Pillow 99 reads other pixels than" in said and str(decoder) in said
    assert zoo.evaluate(run, samples=2).dataset == "pictures"


def test_the_same_decoder_is_not_mentioned(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epochs in (1, 2):
        train(folder, epochs)
    assert "decoder" not in capsys.readouterr().err


def test_a_changed_file_is_other_data(folder: Path) -> None:
    run = train(folder)
    Image.new("L", (8, 8)).save(folder / "cat" / "0.png")
    with pytest.raises(TrainingError, match="not those the run"):
        train(folder, epochs=2)
    with pytest.raises(DataError, match="has changed since"):
        zoo.evaluate(run)


def test_runs_and_checkpoints_that_know_the_pixels_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were written before files were identified by their bytes."""
    data = zoo.load_dataset(folder)
    bare = {"train": data.train.rows, "validation": data.validation.rows, "test": data.test.rows}
    pixels = zoo.load_dataset(bare).digest()
    assert data.identity.pixels == pixels != data.digest()
    with monkeypatch.context() as patch:
        patch.setattr("zoo.data.dataset.Dataset.identity", zoo.load_dataset(bare).identity)
        run = train(folder)
    training = read_metadata(run.directory / "best.safetensors").training
    assert training is not None and training["data"] == pixels
    assert zoo.evaluate(run, samples=2).examples == 3
    assert train(folder, epochs=2).history[-1]["epoch"] == 2


def test_the_identity_knows_size_and_condition(folder: Path) -> None:
    data, small = zoo.load_dataset(folder), zoo.load_dataset(folder, image_size=4)
    told = data.conditioned("labels")
    assert len({each.digest() for each in (data, small, told)}) == 3
    assert data.digest() == zoo.load_dataset(folder, image_size=8).digest()


def test_a_dataset_changed_in_memory_is_known_by_its_pixels(folder: Path, tmp_path: Path) -> None:
    data = zoo.load_dataset(folder)
    inverted = replace(data.train, rows=255 - data.train.rows)
    train_in_memory = {"directory": tmp_path / "memory", "epochs": 1, **SMALL}
    zoo.train("gaussian-vae", dataset=data, **train_in_memory)
    with pytest.raises(TrainingError, match="not those the run"):
        zoo.train("gaussian-vae", dataset=replace(data, train=inverted), **train_in_memory)


class TestUnreadable:
    def test_it_is_refused_unless_asked_for(self, folder: Path) -> None:
        (folder / "cat" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        with pytest.raises(DataError, match=r"0\.png .*skip_unreadable=True \(--skip-unreadable\)"):
            train(folder)

    def test_left_out_counted_and_left_out_again(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("0", "2"):
            (folder / "cat" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        data = zoo.load_dataset(folder, skip_unreadable=True)
        assert sum(map(len, data.splits.values())) == 28 and len(data.skipped) == 2
        run = train(folder, skip_unreadable=True)
        assert "warning: 2 files were left out: cat/0.png cannot be read" in capsys.readouterr().err
        assert zoo.evaluate(run, samples=2).examples == len(data.test)
        zoo.resume(run.directory, progress=False, epochs=2)
        assert len(run.history) == 2

    def test_a_file_damaged_after_the_training_is_not_left_out(self, folder: Path) -> None:
        run = train(folder)
        (folder / "cat" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        with pytest.raises(DataError, match="has changed since"):
            zoo.evaluate(run)

    def test_the_command_line_has_it(self, folder: Path, tmp_path: Path) -> None:
        (folder / "cat" / "0.png").write_bytes(b"")
        asked = ["train", "gaussian-vae", "--dataset", str(folder), "--directory"]
        asked += [str(tmp_path / "run"), "--epochs", "1", "--hidden", "[8]"]
        assert "--skip-unreadable" in CliRunner().invoke(app, asked).stderr
        result = CliRunner().invoke(app, [*asked, "--skip-unreadable"])
        assert result.exit_code == 0, result.output
        assert "1 file was left out: cat/0.png" in result.stderr
        result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), "--samples", "2"])
        assert result.exit_code == 0, result.output
