"""The README says nothing that is not so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from zoo import Experiment, Run
from zoo.api.train import default_directory
from zoo.cli import app
from zoo.registry import COMPONENTS, CheckpointSpec, read_registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
SHOWN = re.compile(r"'(validation_\w+)': (-?\d+\.\d\d)")
"""A figure of the first training."""


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


def test_every_python_block_runs_and_the_first_training_ends_as_shown(tmp_path: Path) -> None:
    shown = dict(SHOWN.findall(README))
    assert set(shown) == {"validation_elbo", "validation_kl"}
    assert float(shown["validation_kl"]) > 2  # of a code that says something
    checks = [
        f"assert abs(run.metrics[{name!r}] - {value}) < 0.1, run.metrics"
        for name, value in shown.items()
    ]
    script = tmp_path / "readme.py"
    script.write_text("\n".join([*blocks("python"), *checks]))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", zoo.list_checkpoints())
def test_the_table_of_checkpoints_says_what_the_registry_says(name: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [`{name}`]")]
    spec = zoo.info(name)
    assert isinstance(spec, CheckpointSpec)
    for figure in ("nll", "elbo", "kl"):
        if figure in spec.metrics:
            metric = spec.metrics[figure]
            assert f"{metric.value:.2f}" in row, figure
    if "nll" in spec.metrics:
        assert f"± {spec.metrics['nll'].stderr:.2f}" in row
        assert f"| {spec.metrics['nll'].samples} |" in row
    assert f"{spec.bytes / 1e6:.1f} MB" in row


def test_every_variant_part_and_dataset_is_named() -> None:
    packaged = read_registry([ROOT / "registry.yaml"])  # other tests register variants too
    named = [name for section in COMPONENTS if section != "modalities"
             for name in packaged.names(section)]  # fmt: skip
    for name in [*named, *packaged.datasets]:
        assert f"`{name}`" in README, name


def test_the_table_of_the_comparison_is_what_its_command_prints() -> None:
    """Up to the last digits, in which processors differ."""
    command, shown = next(
        pair for pair in pairwise(blocks("")) if pair[0].startswith("zoo compare")
    )
    result = CliRunner().invoke(app, command.split()[1:])
    assert result.exit_code == 0, result.output
    assert words(result.stdout) == words(shown)
    assert numbers(result.stdout) == pytest.approx(numbers(shown), rel=1e-2, abs=0.02)


def words(table: str) -> list[str]:
    return [line.rstrip() for line in NUMBER.sub("#", re.sub("-{3,}| +", " ", table)).splitlines()]


def numbers(table: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(table)]


def test_its_trainings_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown option or name would be told before the first look at the data."""
    given: list[Experiment] = []

    def train(experiment: Experiment, directory: Path) -> Run:
        given.append(experiment)
        return Run(zoo.load("gaussian-vae-digits"), directory, {})

    monkeypatch.setattr(zoo, "train_experiment", train, raising=False)
    lines = [shlex.split(line) for block in blocks("") for line in block.splitlines()]
    for command in (line[1:] for line in lines if line[:2] == ["zoo", "train"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output)
    tuned = default_directory(given[5])
    assert len(given) == 9
    assert tuned == default_directory(
        Experiment.build(
            "vmf-vae",
            start_from="vmf-vae-digits",
            objective={"name": "iwae", "samples": 10},
            train={"epochs": 5, "lr": 1e-4},
        )
    )  # of the Python above it: the same run


def test_every_file_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
