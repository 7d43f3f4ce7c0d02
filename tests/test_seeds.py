"""Several seeds of one training: their mean, its errors, and what is no such group."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from figures import figures

import zoo
from zoo import Run
from zoo.core.component import Selected
from zoo.errors import ConfigError
from zoo.metrics import Measured, Outcome, Scores
from zoo.metrics.scores import difference
from zoo.metrics.seeds import Group, averaged, mean_of_runs
from zoo.metrics.shown import shown

TINY: dict[str, Any] = {"latent_dim": 2, "backbone": {"hidden": [8]}, "epochs": 1}
NAME = "gaussian-vae (3 seeds)"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three of one training, and one of another."""
    folder = tmp_path_factory.mktemp("seeds")
    changes: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}, {"seed": 2}, {"latent_dim": 3}]
    return [
        zoo.train("gaussian-vae", directory=folder / str(n), progress=False, **TINY | change)
        for n, change in enumerate(changes)
    ]


def compare(sources: Any, **given: Any) -> Scores:
    return zoo.compare(sources, ["nll", "weights"], samples=2, examples=40, **given)


def test_figures_are_means_with_the_deviation_over_seeds(runs: list[Run]) -> None:
    alone, together = compare(runs), compare(runs, average_seeds=True)
    assert together.models == (NAME, str(runs[3].directory))
    mean = together.outcomes[0][0].measured
    assert mean is not None and mean.deviation is not None
    three = figures(alone)[:3]
    assert (mean.value, mean.runs) == (pytest.approx(statistics.fmean(three)), 3)
    assert mean.deviation == pytest.approx(statistics.stdev(three))
    assert figures(together)[1] == figures(alone)[3]
    assert together.table()[1][1].rstrip("*") == shown(Measured(mean.value, mean.deviation))
    (note,) = [note for note in together.notes if note.startswith(NAME)]
    assert all(str(run.directory) in note for run in runs[:3])
    assert [row["runs"] for row in together.rows()] == [3, 1, 3, 1]
    assert figures(together, 1) == [figures(alone, 1)[0], figures(alone, 1)[3]]


def test_a_difference_has_the_errors_of_seeds_and_of_examples() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    members = [Measured.of_each("x", each) for each in values]
    mean, other = mean_of_runs(members[:3]), members[3]
    paired = values[:3].mean(0) - values[3]
    seeds = statistics.stdev(each.value for each in members[:3]) / math.sqrt(3)
    for found in (difference(mean, other), difference(other, mean)):
        assert abs(found.value) == pytest.approx(abs(paired.mean().item()))
        assert found.stderr == pytest.approx(math.hypot(paired.std() / math.sqrt(50), seeds))
    unpaired = difference(mean_of_runs([Measured(1.0), Measured(3.0)]), Measured(0.0))
    assert (unpaired.value, unpaired.stderr) == (2.0, pytest.approx(1.0))


def test_seeds_decide_which_models_tie() -> None:
    """What is far in examples may be near in trainings."""
    metric = Selected.parse("metrics", "nll")
    given = [[1.0, 1.1], [5.0, 5.1], [0.9, 1.0], [0.8, 0.9]]
    row = tuple(Outcome(Measured.of_each("x", torch.tensor(each))) for each in given)
    alone = Scores("title", ("a", "b", "c", "d"), (metric,), (row,))
    assert alone.ties(0) == [False, False, False, True]
    groups = [Group("ab", [0, 1]), Group("cd", [2, 3])]
    assert averaged(alone, groups).ties(0) == [True, True]


def test_a_metric_that_one_run_lacks_the_group_lacks() -> None:
    metric = Selected.parse("metrics", "nll")
    row = Outcome(Measured(1.0)), Outcome(refusal="it diverged; take 'nll'")
    found = averaged(Scores("t", ("a", "b"), (metric,), (row,)), [Group("ab", [0, 1])])
    assert found.outcomes[0][0].measured is None
    assert "ab has no nll: it diverged" in str(found)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([0, 3], r"no two runs differ in their seed alone.*model\.latent_dim \(2 and 3\)"),
        ([0], "fewer than two are given"),
        ([0, 0], "have the same seed, 0"),
        ([0, 1, 0], "have the same seed, 0"),
    ],
)
def test_what_is_not_averaged(runs: list[Run], chosen: list[int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compare([runs[n] for n in chosen], average_seeds=True)


def test_models_without_settings_stand_by_themselves(runs: list[Run]) -> None:
    given = {"a": runs[0], "b": runs[1], "c": "gaussian-vae-digits", "d": runs[2].model}
    found = compare(given, dataset="digits", average_seeds=True)
    assert found.models == ("gaussian-vae (2 seeds)", "c", "d")
    with pytest.raises(ConfigError, match="fewer than two are given"):
        compare(["gaussian-vae-digits", "beta-vae-digits"], average_seeds=True)


def test_records_are_those_of_the_runs(runs: list[Run], tmp_path: Path) -> None:
    compare(runs[:3], average_seeds=True, records=tmp_path)
    again = compare(runs[:3], average_seeds=True, records=tmp_path)
    assert all(outcome.reused for row in again.outcomes for outcome in row)
