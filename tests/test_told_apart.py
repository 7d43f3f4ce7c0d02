"""What goes together, and what is refused because it would be wrong without a word."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from zoo.errors import ConfigError, DataError
from zoo.registry import entry_points

TRAINED: dict[str, Any] = {"epochs": 1, "latent_dim": 2, "hidden": [8], "progress": False}


@pytest.mark.parametrize("posterior", ["planar", "iaf", "spline", "mixture"])
def test_draws_of_a_way_of_their_own_are_not_doubly_reparameterised(
    posterior: str, tmp_path: Path
) -> None:
    """Their density does not come by z alone, or they are not independent: biased by up to 90 %."""
    with pytest.raises(ConfigError, match=r"'dreg' asks for independent draws.*'iwae' or 'stl'"):
        zoo.train("gaussian-vae", directory=tmp_path / "run", objective="dreg",
                  posterior=posterior, **TRAINED)  # fmt: skip


def test_a_compiled_step_would_leave_gradients_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'dreg' changes gradients.*leave out train\.compile"):
        zoo.train("gaussian-vae", directory=tmp_path, objective="dreg", compile=True, **TRAINED)


@pytest.mark.parametrize("posterior", ["batch-norm", "batch-norm-moments"])
def test_pseudo_inputs_are_not_normalised_with_the_batch(posterior: str) -> None:
    with pytest.raises(ConfigError, match=r"'vamp' is made of posteriors.*'gaussian'.*'mixture'"):
        zoo.create("vamp-vae", posterior=posterior)


def test_errors_are_those_of_what_is_observed() -> None:
    x = np.random.default_rng(0).normal(3, 1, (60, 4)).astype(np.float32)
    observed = np.random.default_rng(1).random(x.shape) < 0.5
    model = zoo.create("gaussian-vae", dataset=x, hidden=[8], latent_dim=2)
    score = zoo.evaluate(model, dataset={"vectors": x, "observed": observed}, samples=2)
    data = zoo.load_dataset({"vectors": x, "observed": observed}).test
    seen = torch.where(data.observed, data.rows, 0)
    shown = model.reconstruct(seen)
    errors = torch.where(data.observed, (seen - shown).square(), 0).sum(1)
    expected = (errors / data.observed.sum(1).clamp(min=1)).mean().item()
    assert score.mse_per_pixel.value == pytest.approx(expected, rel=1e-5)


def test_bits_per_dimension_are_of_whole_images() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4), dtype=np.uint8)
    observed = np.random.default_rng(1).random(x.shape) < 0.5
    model = zoo.create("gaussian-vae", dataset=x, hidden=[8], latent_dim=2)
    assert zoo.evaluate(model, dataset=x, samples=2).bits_per_dim is not None
    score = zoo.evaluate(model, dataset={"images": x, "observed": observed}, samples=2)
    assert score.bits_per_dim is None and score.nll is not None
    assert "- bits per dimension" in str(score)


def test_entry_points_that_cannot_be_read_spoil_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def malformed() -> None:
        raise TypeError("Pair.__new__() missing 1 required positional argument: 'value'")

    class Broken:
        metadata = {"Name": "broken-plugin"}

        @property
        def entry_points(self) -> None:
            malformed()

    sound = SimpleNamespace(metadata={"Name": "sound"}, entry_points=[
        entry_points.EntryPoint("mine", "package:Mine", "zoo.posteriors"),
    ])  # fmt: skip
    monkeypatch.setattr(entry_points, "entry_points", malformed)
    monkeypatch.setattr(entry_points, "distributions", lambda: [Broken(), sound])
    found = entry_points.installed()
    assert found.entries["posteriors", "mine"]["component"] == "package:Mine"
    assert "The entry points of broken-plugin cannot be read" in found.broken[0]


def test_a_model_told_the_labels_is_as_wide_as_they_are(tmp_path: Path) -> None:
    """Another column stood in for them: labels 3 to 9 were told as nothing at all."""
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    labels = np.arange(80) % 10
    data = {"vectors": x, "labels": labels, "condition": labels % 3}
    run = zoo.train("gaussian-vae", dataset=data, condition="labels", directory=tmp_path / "run",
                    **TRAINED)  # fmt: skip
    assert run.model.condition_width == 10
    assert zoo.create("gaussian-vae", dataset=data, condition="labels").condition_width == 10
    assert zoo.create("gaussian-vae", dataset=data, condition="condition").condition_width == 3


@pytest.mark.parametrize("prior", ["realnvp", "spline"])
def test_a_load_leaves_the_random_state_alone(prior: str, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    zoo.save(zoo.create("gaussian-vae", prior=prior, latent_dim=3), file)
    before = torch.manual_seed(0).get_state()
    zoo.load(file)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_conversion_said_anew_is_no_other_dataset(tmp_path: Path) -> None:
    """Data that had changed were measured without a word."""
    file = tmp_path / "mine.npz"
    generator = np.random.default_rng(0)
    np.savez(file, images=generator.integers(0, 256, (60, 3, 4, 4), dtype=np.uint8))
    run = zoo.train("gaussian-vae", dataset=str(file), image_channels=1,
                    directory=tmp_path / "run", **TRAINED)  # fmt: skip
    assert zoo.evaluate(run, image_channels=1, samples=2).examples > 1
    np.savez(file, images=generator.integers(0, 256, (60, 3, 4, 4), dtype=np.uint8))
    for asked in ({}, {"image_channels": 1}):
        with pytest.raises(DataError, match="has changed since the model was trained"):
            zoo.evaluate(run, samples=2, **asked)
