"""The benchmark of the spherical latents, at sizes that say nothing about speed."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
STAND_IN = """
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.von_mises_fisher import VonMisesFisher as Ours


class VonMisesFisher(Ours):
    def rsample(self, sample_shape=()):
        return super().rsample(sample_shape) * float("nan" if self.m == 129 else 1)
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as Python does when it runs one."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return importlib.import_module("benchmark_spherical")


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A folder with something of hyperspherical_vae's interface in it."""
    folder = tmp_path / "package"
    (folder / "hyperspherical_vae" / "distributions").mkdir(parents=True)
    (folder / "hyperspherical_vae" / "__init__.py").touch()
    (folder / "hyperspherical_vae" / "distributions" / "__init__.py").write_text(STAND_IN)
    yield folder
    for name in ("hyperspherical_vae", "hyperspherical_vae.distributions"):
        sys.modules.pop(name, None)


def few_cases(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in benchmark.CASES if case.width in (6, 129) and case.batch == 128]
    monkeypatch.setattr(benchmark, "CASES", cases)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hyperspherical-path", "no/such"], "no package hyperspherical_vae in no/such"),
        (["--parts", "sampling"], "invalid choice: 'sampling'"),
        (["--rounds", "0"], "must be at least 1"),
        (["--block", "-1"], "must be a number of seconds"),
    ],
)
def test_nonsense_is_refused(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as error:
        benchmark.main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_device_is_refused(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--device", "cuda"])
    assert "leave out --device cuda" in capsys.readouterr().err


def test_a_package_that_cannot_be_imported_is_named(benchmark: ModuleType, package: Path) -> None:
    (package / "hyperspherical_vae" / "__init__.py").write_text("import no_such_scipy")
    with pytest.raises(SystemExit, match=r"error: hyperspherical_vae from .*no_such_scipy"):
        benchmark.main(
            ["--parts", "operations", "--hyperspherical-path", str(package), "--threads", "1"]
        )


def test_every_case_of_every_requirement_has_one_bar(benchmark: ModuleType) -> None:
    asked = {
        (case.operation, case.width, case.batch, bar.reference): bar.limit
        for case in benchmark.CASES
        for bar in benchmark.BARS
        if bar.covers(case)
    }
    kl = {("kl", m, n): 2.0 if n == 128 else 5.0 for m in (6, 11, 41, 129) for n in (128, 4096)}
    sample = {("sample", m, n): 2.0 if m == 41 else 3.0 for m in (6, 11, 41) for n in (128, 4096)}
    assert asked == {
        **{(*case, "hyperspherical_vae"): limit for case, limit in {**kl, **sample}.items()},
        **{("sample", m, 4096, "gaussian"): 2.5 for m in (41, 129)},
    }
    assert sum(bar.covers(case) for bar in benchmark.BARS for case in benchmark.CASES) == 32


def visits_of(benchmark: ModuleType, rounds: list[tuple[float, float, float]]) -> list[Any]:
    """Visits from seconds of the vmf and of a reference, and the foreign load."""
    return [
        benchmark.Visit(
            {"vmf": own, "hyperspherical_vae": other, "gaussian": other}, benchmark.Load(load)
        )
        for own, other, load in rounds
    ]


def test_ratios_are_of_one_round_and_leave_out_what_was_disturbed(benchmark: ModuleType) -> None:
    # The ratio of the median times would be 2; disturbed, the last round would be the best.
    visits = visits_of(benchmark, [(1.0, 6.0, 0.0), (4.0, 8.0, 0.0), (2.0, 8.0, 0.0), (1, 99, 3.0)])
    case = benchmark.Case("kl", 6, 2.0, 128)
    (row,) = benchmark.judge(
        benchmark.Bar("kl", (6,), (128,), "hyperspherical_vae", 4.0), {case: visits}
    )
    assert row == {"case": case, "ratio": (4.0, 2.0, 6.0), "mark": "", "met": True}
    bar = benchmark.Bar("kl", (6,), (128,), "hyperspherical_vae", 4.01)
    assert not benchmark.judge(bar, {case: visits})[0]["met"]
    assert benchmark.judge(bar, {case: visits[3:]})[0]["mark"] == "!"


def test_a_cost_is_limited_from_above(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = benchmark.BARS[-1]
    good, bad = (benchmark.Case("sample", 41, k, 4096) for k in (2.0, 100.0))
    visits = {
        good: visits_of(benchmark, [(5.0, 2.0, 0.0)]),
        bad: visits_of(benchmark, [(6.0, 2.0, 0.0)]),
    }
    rows = benchmark.judge(bar, visits)
    assert [(row["ratio"][0], row["met"]) for row in rows] == [(2.5, True), (3.0, False)]
    benchmark.print_bar(bar, rows)
    shown = capsys.readouterr().out
    assert f"{good}: 2.50 (2.50 to 2.50), met" in shown
    assert f"worst 3.00 at {bad}; 1 of 2 missed" in shown


def test_operations_are_timed_and_judged(
    benchmark: ModuleType,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few_cases(benchmark, monkeypatch)
    file = package / "spherical.json"
    arguments = ["--parts", "operations", "--hyperspherical-path", str(package)]
    arguments += ["--rounds", "2", "--block", "0", "--threads", "1", "--wait", "0"]
    assert benchmark.main([*arguments, "--json", str(file)]) == 0
    content = json.loads(file.read_text())["operations"]
    assert len(content["cases"]) == 8
    for row in content["cases"]:
        names = ["vmf", "power-spherical", "gaussian", "hyperspherical_vae"]
        assert list(row["times"]) == names
        assert [list(each["seconds"]) for each in row["rounds"]] == [names, names]
        broken = row["case"]["operation"] == "sample" and row["case"]["width"] == 129
        finite = [each["finite"] for each in row["times"].values()]
        assert finite == [True, True, True, not broken]
    shown = capsys.readouterr().out
    assert "bar: kl at least 2.0 x as fast as hyperspherical_vae (m 6 to 129, batch 128)" in shown
    assert shown.count("not measured") == 3  # at batch 4096, and sampling at m = 41


def test_without_the_package_its_bars_are_not_measured(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few_cases(benchmark, monkeypatch)
    arguments = ["--parts", "operations", "--rounds", "1", "--block", "0", "--threads", "1"]
    assert benchmark.main([*arguments, "--wait", "0"]) == 0
    assert capsys.readouterr().out.count("not measured") == len(benchmark.BARS)


def test_a_step_gives_the_gradients_of_what_it_computes(benchmark: ModuleType) -> None:
    rivals = benchmark.contenders(None)
    for name in ("vmf", "power-spherical", "gaussian"):
        for operation, shapes in (("sample", [(5, 6), (5, 1)]), ("kl", [(5, 1)])):
            case = benchmark.Case(operation, 6, 2.0, 5)
            value, *gradients = benchmark.step_of(case, rivals[name], "cpu")()
            if name == "gaussian":
                shapes = [(5, 6), (5, 6)]
            assert value.shape == ()
            assert [tuple(each.shape) for each in gradients] == shapes
            assert all(each.abs().sum() > 0 for each in gradients)


def test_a_block_takes_at_least_its_time(benchmark: ModuleType) -> None:
    calls = []
    runner = benchmark.prepare(lambda: calls.append(1) or (torch.ones(()),), 0.002, "cpu")
    calls.clear()
    seconds = runner.seconds()
    assert len(calls) == runner.repetitions > 10
    assert 0 < seconds < 0.002


def test_a_wait_of_the_host_is_reported(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def waits() -> tuple[torch.Tensor, ...]:
        raise RuntimeError("called a synchronizing CUDA operation")

    assert benchmark.host_waits([lambda: ()]) is None
    assert benchmark.host_waits([lambda: (), waits]) == "called a synchronizing CUDA operation"
    assert modes == ["error", "default"] * 2


def test_an_epoch_is_compared_within_rounds(benchmark: ModuleType) -> None:
    def results(*rounds: tuple[float, float]) -> list[Any]:
        return [benchmark.Result(seconds, 0.0, benchmark.Load(load)) for seconds, load in rounds]

    compared = benchmark.compare_training(
        {
            "vmf-vae": results((1.2, 0.0), (2.6, 0.0), (9.0, 0.0), (1.0, 0.0)),
            "gaussian-vae": results((1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 0.0)),
        }
    )
    assert compared["ratio"] == pytest.approx((1.2, 1.0, 1.3))
    assert compared["met"]
    assert compared["epochs"]["vmf-vae"]["seconds"][2] == 9.0
    assert compared["epochs"]["gaussian-vae"]["seconds"] == (1.0, 1.0, 2.0)


def test_training_runs_both_variants(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def noise(path: Path, root: str | None) -> int:
        random = np.random.default_rng(0)
        sizes = {"train": 200, "validation": 20, "test": 20}
        np.savez(
            path,
            **{
                k: random.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8) for k, n in sizes.items()
            },
        )
        return sizes["train"]

    monkeypatch.setattr(benchmark, "write_data", noise)
    file = tmp_path / "spherical.json"
    arguments = ["--parts", "training", "--rounds", "2", "--epochs", "1", "--threads", "1"]
    assert benchmark.main([*arguments, "--wait", "0", "--json", str(file)]) == 0
    content = json.loads(file.read_text())["training"]
    vmf, gaussian = (
        [each["seconds"] for each in content["epochs"][name]["rounds"]]
        for name in ("vmf-vae", "gaussian-vae")
    )
    ratios = [v / g for v, g in zip(vmf, gaussian, strict=True)]
    assert any(abs(content["ratio"][0] - r) < 1e-9 for r in [*ratios, statistics.mean(ratios)])
    assert "bar: vmf-vae at most 1.25 x the time of gaussian-vae" in capsys.readouterr().out
