"""The benchmark of the spherical latents, at sizes that say nothing about speed."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from forked_worker import FORKED

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
    return importlib.import_module("benchmarks.spherical")


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
    few = [each for each in benchmark.SETTINGS if each.width in (6, 129) and each.batch == 128]
    monkeypatch.setattr(benchmark, "SETTINGS", few)


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
    cases = [benchmark.Case(asdict(setting), {}) for setting in benchmark.SETTINGS]
    covered = [
        (bar, c.about) for c in cases for bar in benchmark.BARS if bar.where and bar.covers(c)
    ]
    asked = {
        (about["operation"], about["width"], about["batch"], bar.reference): bar.limit
        for bar, about in covered
    }
    kl = {("kl", m, n): 2.0 if n == 128 else 5.0 for m in (6, 11, 41, 129) for n in (128, 4096)}
    sample = {("sample", m, n): 2.0 if m == 41 else 3.0 for m in (6, 11, 41) for n in (128, 4096)}
    assert asked == {
        **{(*case, "hyperspherical_vae"): limit for case, limit in {**kl, **sample}.items()},
        **{("sample", m, 4096, "gaussian"): 2.5 for m in (41, 129)},
    }
    assert len(covered) == 32
    assert {bar.reference for bar in benchmark.BARS if bar.is_cost} == {"gaussian", "gaussian-vae"}


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
    content = json.loads(file.read_text())
    assert len(content["cases"]) == 8
    for row in content["cases"]:
        names = ["vmf", "power-spherical", "gaussian", "hyperspherical_vae"]
        assert list(row["contenders"]) == names
        assert [list(each) for each in row["rounds"]] == [names, names]
    broken = [name for name in content["not_finite"] if "'sample', 'width': 129" in name]
    assert broken == content["not_finite"] and len(broken) == 2
    assert all(name.startswith("hyperspherical_vae at") for name in broken)
    shown = capsys.readouterr().out
    assert "vmf at least 2 x as fast as hyperspherical_vae (kl, width 6 to 129, batch 128)" in shown
    assert shown.count("not measured") == 4  # at batch 4096, sampling at width 41, and training


def test_without_the_package_its_bars_are_not_measured(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few_cases(benchmark, monkeypatch)
    arguments = ["--parts", "operations", "--rounds", "1", "--block", "0", "--threads", "1"]
    assert benchmark.main([*arguments, "--wait", "0"]) == 0
    assert capsys.readouterr().out.count("not measured") == len(benchmark.BARS)


def test_a_step_gives_the_gradients_of_what_it_computes(benchmark: ModuleType) -> None:
    rivals = benchmark.families(None)
    for name in ("vmf", "power-spherical", "gaussian"):
        for operation, shapes in (("sample", [(5, 6), (5, 1)]), ("kl", [(5, 1)])):
            setting = benchmark.Setting(operation, 6, 2, 5)
            step = benchmark.step_of(setting, rivals[name], torch.device("cpu"))
            value, *gradients = step()
            if name == "gaussian":
                shapes = [(5, 6), (5, 6)]
            assert value.shape == ()
            assert [tuple(each.shape) for each in gradients] == shapes
            assert all(each.abs().sum() > 0 for each in gradients)


def test_a_wait_of_the_host_is_reported(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    cuda = torch.device("cuda")

    def waits() -> tuple[torch.Tensor, ...]:
        raise RuntimeError("called a synchronizing CUDA operation")

    assert benchmark.host_waits([lambda: ()], cuda) is None
    assert (
        benchmark.host_waits([lambda: (), waits], cuda) == "called a synchronizing CUDA operation"
    )
    assert modes == ["error", "default"] * 2


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

    monkeypatch.setattr("benchmarks._trainers.write_data", noise)
    monkeypatch.setattr("benchmarks._workers.subprocess", FORKED)
    file = tmp_path / "spherical.json"
    arguments = ["--parts", "training", "--rounds", "2", "--epochs", "1", "--threads", "1"]
    assert benchmark.main([*arguments, "--wait", "0", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    (row,), (bar,) = content["cases"], [bar for bar in content["bars"] if bar["cases"]]
    ratios = [
        each["vmf-vae"]["seconds"] / each["gaussian-vae"]["seconds"] for each in row["rounds"]
    ]
    shown = bar["cases"][0]["ratio"]["median"]
    assert any(abs(shown - r) < 1e-9 for r in [*ratios, statistics.mean(ratios)])
    assert "bar: vmf-vae at most 1.25 x the time of gaussian-vae" in capsys.readouterr().out
