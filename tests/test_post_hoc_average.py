"""Averages of any length made of two, against those accumulated directly."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.errors import ConfigError, TrainingError
from zoo.storage.tensors import read_tensors
from zoo.training.averages import (
    LONGEST,
    STORED,
    MovingAverage,
    combination,
    exponent_of,
    overlap,
    power,
)

STEPS, EVERY = 2000, 100


def walk() -> torch.Tensor:
    """The weights of a training: they move to a place, noisily; (steps, weights)."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(STEPS, 64, generator=generator, dtype=torch.float64)
    place = torch.linspace(0, 3, STEPS, dtype=torch.float64)[:, None].tanh()
    return place + 0.3 * noise


def accumulated(weights: torch.Tensor, length: float) -> list[torch.Tensor]:
    """The average after every step, step by step."""
    weight, found = power(length), [weights[0]]
    for step in range(1, len(weights)):
        found.append(torch.lerp(found[-1], weights[step], weight(step)))
    return found


@given(st.floats(1e-3, LONGEST))
def test_a_profile_has_the_length_asked_for(length: float) -> None:
    """Its standard deviation, by the moments of a power."""
    gamma = exponent_of(length)
    mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
    assert math.sqrt(square - mean**2) == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 0.29, 1.0, math.nan])
def test_lengths_that_no_average_has_are_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 0.2887"):
        exponent_of(wrong)


@pytest.mark.parametrize(("a", "b"), [((17.0, 50.0), (7.0, 80.0)), ((0.0, 9.0), (3.0, 4.0))])
def test_overlaps_are_integrals(a: tuple[float, float], b: tuple[float, float]) -> None:
    tau = np.linspace(0, min(a[1], b[1]), 200_001)
    profiles = [(g + 1) * tau**g / t ** (g + 1) for g, t in (a, b)]
    assert overlap(a, b) == pytest.approx(np.trapezoid(np.prod(profiles, axis=0), tau), rel=1e-6)


def test_overlaps_of_long_runs_are_finite() -> None:
    """Powers of a million steps overflow."""
    assert overlap((900.0, 1e6), (900.0, 1e6)) == pytest.approx(901**2 / 1801 / 1e6)


@pytest.mark.parametrize("length", [0.05, 0.1])
def test_what_was_kept_is_itself(length: float) -> None:
    snapshots = [(each, step) for step in (500, 1000) for each in STORED]
    shares = combination(snapshots, length, 1000)
    wanted = [float(key == (length, 1000)) for key in snapshots]
    assert shares == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("length", [0.03, 0.07, 0.15, 0.25])
def test_other_lengths_are_those_accumulated_directly(length: float) -> None:
    weights = walk()
    kept = {each: accumulated(weights, each) for each in STORED}
    keys = [(each, step) for step in range(EVERY, STEPS + 1, EVERY) for each in STORED]
    shares = combination(keys, length, STEPS)
    made = sum(s * kept[each][step - 1] for s, (each, step) in zip(shares, keys, strict=True))
    assert isinstance(made, torch.Tensor)
    direct = accumulated(weights, length)[-1]
    others = min((kept[each][-1] - direct).norm() for each in STORED)
    assert (made - direct).norm() < 0.1 * others


def test_the_average_follows_the_model() -> None:
    """In the weights of a real module, against the formula."""
    model = zoo.create("gaussian-vae", latent_dim=2)
    average = MovingAverage(model, power(0.1))
    weights = next(model.parameters())
    seen = []
    for step in range(20):
        with torch.no_grad():
            weights.add_(torch.randn_like(weights))
        seen.append(weights.detach().clone())
        average.update(step)
    direct = accumulated(torch.stack(seen).flatten(1), 0.1)[-1].view_as(weights)
    torch.testing.assert_close(next(average.model.parameters()).detach(), direct)


def train(folder: Path, **settings: object) -> zoo.Run:
    return zoo.train(
        "gaussian-vae", directory=folder, latent_dim=4, backbone={"name": "mlp", "hidden": [32]},
        epochs=8, lr=5e-3, progress=False, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    return train(tmp_path_factory.mktemp("run"), ema_snapshot_epochs=2)


def test_the_best_length_is_taken_and_written(run: zoo.Run) -> None:
    found = zoo.average(run, [0.02, 0.1, 0.2])
    assert found.measured[found.length] == max(found.measured.values())
    assert found.own == run.metrics["validation_elbo"]
    loaded = zoo.load(found.path)
    for ours, theirs in zip(found.model.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    score = zoo.evaluate(found.path, samples=10)
    assert score.dataset == "digits"
    moments, own = loaded.latent_moments, zoo.load(run.directory).latent_moments
    assert moments is not None and own is not None
    torch.testing.assert_close(moments.deviation, own.deviation, rtol=0.2, atol=0)
    assert not torch.equal(moments.mean, own.mean)


def test_a_length_that_was_kept_is_the_average_of_the_last_state(run: zoo.Run) -> None:
    found = zoo.average(run.directory, [0.1])
    state, _ = read_tensors(run.directory / "last.safetensors")
    for name, weights in found.model.state_dict().items():
        torch.testing.assert_close(weights, state[f"average-0.1.{name}"], rtol=1e-4, atol=1e-5)


def test_keeping_averages_changes_no_run(run: zoo.Run, tmp_path: Path) -> None:
    plain = train(tmp_path)
    for ours, theirs in zip(run.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not (tmp_path / "averages").exists()
    with pytest.raises(TrainingError, match="train with ema_snapshot_epochs"):
        zoo.average(plain)


def test_batch_statistics_are_those_of_the_average(tmp_path: Path) -> None:
    run = train(tmp_path, ema_snapshot_epochs=2, posterior="batch-norm", objective="elbo")
    found = zoo.average(run, [0.1, 0.25])
    with torch.no_grad():
        codes = found.model.encode(zoo.load_dataset("digits").train.fixed("binary", 0).batch(
            torch.arange(1000), kind="binary"))  # fmt: skip
    assert codes.std(0).mean().item() == pytest.approx(0.6, abs=0.1)


def test_command_line(run: zoo.Run) -> None:
    result = CliRunner().invoke(app, ["average", str(run.directory), "--length", "0.1", "--json"])
    assert result.exit_code == 0, result.output
    assert '"length": 0.1' in result.stdout
    result = CliRunner().invoke(app, ["average", str(run.directory), "--length", "0.5"])
    assert (result.exit_code, "at most 0.2887" in result.stderr) == (2, True)
