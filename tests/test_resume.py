"""Killed with SIGKILL at random moments, resumed each time, a run ends as if never killed."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import forked
from same_run import assert_same_run

import zoo
from zoo.training.config import Experiment
from zoo.training.launch import train_experiment

KILLS = 20
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")


def experiment() -> Experiment:
    return Experiment.build(
        "gaussian-vae",
        "digits",
        model={"latent_dim": 4, "backbone": {"name": "mlp", "hidden": [32]}},
        train={
            "epochs": 40,
            "ema_decay": 0.95,
            "ema_snapshot_epochs": 10,
            "schedule": "cosine",
            "warmup_steps": 30,
            "kl_warmup_steps": 50,
            "clip_grad_norm": 5.0,
            "checkpoint_seconds": 0.0,
        },
    )


def run_in_child(directory: str) -> None:
    torch.set_num_threads(1)
    train_experiment(experiment(), directory, progress=False)


def spawn(directory: Path) -> Any:
    return forked(run_in_child, str(directory))


def finish(directory: Path) -> None:
    child = spawn(directory)
    child.join(120)
    assert child.exitcode == 0


def test_killed_at_random_moments_a_run_ends_bit_identical(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(whole)
    delays = random.Random(0)
    kills = 0
    for _ in range(KILLS):
        child = spawn(torn)
        child.join(delays.uniform(0.05, 0.6))
        kills += child.is_alive()
        child.kill()
        child.join()
    assert kills >= KILLS - 2, "the run is too short to be killed so often"
    finish(torn)
    assert_same_run(torn, whole)
    kept = [
        {path.name: path.read_bytes() for path in (run / "averages").iterdir()}
        for run in (torn, whole)
    ]
    assert len(kept[0]) == 4 and kept[0] == kept[1]
    assert not list(torn.glob("*.tmp")), "what a kill left half-written is cleared away"
    assert zoo.load(torn).sample(1).shape == (1, 1, 8, 8)


def test_the_kill_moments_hit_the_run_itself(tmp_path: Path) -> None:
    """Guards the test above: within its delays a child does get to train."""
    child = spawn(tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "last.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.join()
    assert (tmp_path / "last.safetensors").exists()
