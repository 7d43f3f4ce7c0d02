"""Vectors from arrays and files to figures, samples and codes, in Python and by command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.errors import ConfigError, DataError

SATELLITE = Path(__file__).parents[2] / "shared" / "data" / "anomaly" / "satellite.npz"
SMALL: dict[str, Any] = {"hidden": [16], "latent_dim": 4, "epochs": 1, "progress": False}


def call(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def vectors(count: int = 200) -> np.ndarray[Any, Any]:
    """Points near a plane in R^6, beyond [0, 1]."""
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(count, 2)) @ generator.normal(size=(2, 6))
    return (3 * plane + 0.1 * generator.normal(size=(count, 6))).astype(np.float32)


@pytest.fixture(scope="module", params=["gaussian-vae", "vmf-vae", "autoencoder"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    folder = tmp_path_factory.mktemp("run")
    np.savez(folder / "points.npz", X=vectors(), y=np.arange(200) % 3)
    settings = {**SMALL, "sample_every_epochs": 1}
    return zoo.train(
        request.param, dataset=str(folder / "points.npz"), directory=folder / "run", **settings
    )


def test_figures_are_those_of_vectors(run: zoo.Run) -> None:
    result = zoo.evaluate(run, samples=5)
    assert result.bits_per_dim is None and "bits" not in str(result)
    assert "mean per number" in str(result) and "pixel" not in str(result)
    table = zoo.compare([run], samples=5)
    assert "bits per dimension" not in str(table) and "pixels" not in table.notes[0]
    squared = zoo.compare([run], ["squared-error"]).outcomes[0][0].measured
    error = zoo.evaluate(run, samples=2).mse_per_pixel
    assert squared is not None and error is not None and squared.value == error.value


def test_the_squared_error_is_that_of_the_reconstruction(run: zoo.Run) -> None:
    test = zoo.load_dataset(run.directory.parent / "points.npz").test.rows
    again = run.model.reconstruct(test)
    assert isinstance(again, torch.Tensor)
    error = zoo.evaluate(run, samples=2).mse_per_pixel
    assert error is not None
    assert error.value == pytest.approx((test - again).square().mean().item(), rel=1e-4)


def test_samples_and_codes_in_files(run: zoo.Run, tmp_path: Path) -> None:
    folder, test = run.directory, zoo.load_dataset(run.directory.parent / "points.npz").test
    call("sample", folder, "--n", 5, "--out", tmp_path / "a.npy")
    call("sample", folder, "--n", 5, "--out", tmp_path / "a.npz")
    drawn = np.load(tmp_path / "a.npy")
    assert drawn.shape == (5, 6) and drawn.dtype == np.float32
    assert np.array_equal(np.load(tmp_path / "a.npz")["vectors"], drawn)
    assert zoo.load_dataset(tmp_path / "a.npz").modality == "vectors"
    call("encode", folder, "--out", tmp_path / "codes.npz")
    codes = np.load(tmp_path / "codes.npz")
    assert np.array_equal(codes["codes"], run.model.encode(test.rows).detach().numpy())
    assert np.array_equal(codes["labels"], test.labels)
    call("reconstruct", folder, "--n", 5, "--out", tmp_path / "pairs.npz")
    assert np.array_equal(np.load(tmp_path / "pairs.npz")["originals"], test.rows[:5].numpy())
    for name in ("a.png", "a.txt"):
        said = call("sample", folder, "--out", tmp_path / name, code=2).stderr
        assert "the model makes vectors, for a file .npy or .npz" in said
    assert "vectors" in call("reconstruct", folder, "--out", tmp_path / "a.png", code=2).stderr
    assert not list(tmp_path.glob("a.png"))


def test_saved_and_loaded_it_is_the_same(run: zoo.Run, tmp_path: Path) -> None:
    zoo.save(run, tmp_path / "mine.safetensors")
    loaded, x = zoo.load(tmp_path / "mine.safetensors"), torch.from_numpy(vectors(5))
    assert torch.equal(loaded.encode(x), run.model.encode(x))
    assert loaded.modality.name == "vectors"


def test_tensorboard_shows_values_and_no_pictures(run: zoo.Run) -> None:
    shown = EventAccumulator(str(run.directory / "tensorboard")).Reload().Tags()
    assert (shown["histograms"], shown["images"]) == (["samples"], [])


def test_a_report_without_pictures(run: zoo.Run, tmp_path: Path) -> None:
    page = zoo.report([run], out=tmp_path / "a.html", metrics=["squared-error"])
    assert "squared, a number" in page.read_text("utf-8")
    assert page.read_text("utf-8").count("<img") == 1  # the map of its codes


@pytest.mark.parametrize("place", ["scale", "likelihood.scale", "model.likelihood.scale"])
def test_an_option_of_the_likelihood_that_vectors_choose(place: str, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", vectors())
    options = ["--dataset", tmp_path / "points.npy", "--set", f"{place}=0.1"]
    small = ["--epochs", 1, "--hidden", "[8]", "--directory", tmp_path / "run"]
    call("train", "gaussian-vae", *options, *small)
    model = zoo.load(tmp_path / "run")
    assert model.config.model_dump()["likelihood"]["scale"] == 0.1


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_the_command_line_trains_on_files(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"mine{suffix}"
    np.save(file, vectors()) if suffix == ".npy" else np.savez(file, vectors=vectors())
    small = ("--hidden", "[16]", "--epochs", 1, "--directory", tmp_path / "run")
    call("train", "gaussian-vae", "--dataset", file, *small)
    found = json.loads(call("evaluate", tmp_path / "run", "--samples", 2, "--json").stdout)
    assert (found["parts"], found["dataset"], found["bits_per_dim"]) == ("numbers", "mine", None)


@pytest.mark.parametrize("variant", ["nvae-lite-s", "univae"])
def test_variants_of_images_name_those_that_read_vectors(variant: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not vectors; train autoencoder or gaussian-vae"):
        zoo.create(variant, dataset=vectors())
    np.save(tmp_path / "mine.npy", vectors())
    said = call("train", variant, "--dataset", tmp_path / "mine.npy", code=2).stderr
    assert "not vectors; train autoencoder or gaussian-vae" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "conv"}, "Conv reads images .* choose 'mlp'"),
        ({"likelihood": "discretized-logistic-mixture"}, "one of images .* choose 'gaussian'"),
    ],
)
def test_parts_of_images_refuse_vectors(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        zoo.create("gaussian-vae", dataset=vectors(), **settings)


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic"])
def test_values_that_a_likelihood_cannot_read_are_refused_before_training(
    likelihood: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "mine.npy", vectors())
    with pytest.raises(DataError, match=r"values must be in \[0, 1\]"):
        zoo.train(
            "gaussian-vae",
            dataset=str(tmp_path / "mine.npy"),
            directory=tmp_path / "run",
            likelihood=likelihood,
            **SMALL,
        )
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_checkpoint_of_images_does_not_start_a_run_on_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", vectors())
    with pytest.raises(ConfigError, match="reads images, 'mine' holds vectors"):
        zoo.train(
            "gaussian-vae",
            dataset=str(tmp_path / "mine.npy"),
            directory=tmp_path / "run",
            start_from="gaussian-vae-digits",
            epochs=1,
        )


@pytest.mark.skipif(not SATELLITE.exists(), reason="needs the shared data")
def test_real_measurements(tmp_path: Path) -> None:
    """Standardised readings of a satellite: the model learns more than their variance of 1."""
    with np.load(SATELLITE) as file:
        x, labels = file["X"].astype(np.float64), file["y"]
    standard = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    np.savez(tmp_path / "satellite.npz", X=standard, y=labels)
    run = zoo.train(
        "gaussian-vae",
        dataset=str(tmp_path / "satellite.npz"),
        directory=tmp_path / "run",
        **{**SMALL, "hidden": [64], "epochs": 5},
    )
    error = zoo.evaluate(run, samples=2).mse_per_pixel
    assert error is not None and error.value < 0.5
