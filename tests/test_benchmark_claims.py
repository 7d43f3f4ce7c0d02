"""The figures of docs/numbers.md on speed, each with what measures it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from processes import python

ROOT = Path(__file__).parents[1]
NUMBERS = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
SPEED = NUMBERS.partition("\n## Speed\n")[2].partition("\n## ")[0]
RECORDS = {"hierarchy": "throughput.json", "transformer": "univae.json"}


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module = importlib.import_module("benchmarks.claims")
    forked = SimpleNamespace(run=lambda command, **_: python(*command[1:]), PIPE=subprocess.PIPE)
    monkeypatch.setattr(module, "subprocess", forked)
    return module


def test_what_is_claimed_stands_on_the_page(speed: Any) -> None:
    said = " ".join(SPEED.split())
    for claim in speed.CLAIMS:
        assert claim.said in said, claim.said


def test_every_benchmark_is_run_with_options_that_it_has(speed: Any) -> None:
    runs = [each["run"].split() for each in speed.BENCHMARKS.values()]
    folder = ROOT / "scripts" / "benchmarks"
    assert {run[0] for run in runs} == {file.stem for file in folder.glob("[!_]*.py")} - {"claims"}
    shared = (folder / "_harness.py").read_text("utf-8")
    for name, benchmark in speed.BENCHMARKS.items():
        text = shared + (folder / f"{benchmark['run'].split()[0]}.py").read_text("utf-8")
        needs = benchmark.get("needs", [])
        for option in [*needs, *re.findall(r"--[\w-]+", benchmark["run"])]:
            assert f'"{option}"' in text, (name, option)
        assert set(needs) <= set(speed.NEEDS)
        assert benchmark["claims"]


def test_claims_hold_of_the_records_they_were_made_of(speed: Any) -> None:
    for claim in speed.CLAIMS:
        if record := RECORDS.get(claim.benchmark):
            found = json.loads((ROOT / "scripts" / "results" / record).read_text())
            finding = speed.find(claim, found)
            assert not finding.fails and finding.measured is not None, finding


def test_what_no_longer_holds_is_printed(speed: Any) -> None:
    rows = [
        {"case": {"hidden": 400}, "contenders": {"bare": {}, "zoo": {"ratio": {"median": 0.5}}}}
    ]
    claim = next(claim for claim in speed.CLAIMS if claim.said.startswith("6.0 | 1.04"))
    finding = speed.find(claim, {"cases": rows, "bars": []})
    assert finding.fails
    assert str(finding) == (
        "no longer holds'6.0 | 1.04 (0.95 to 1.15)': 0.5, on the page 0.95 to 1.15 (training)"
    )


def test_spheres_are_judged_over_widths_and_batches(speed: Any) -> None:
    def bar(reference: str, operation: str, ratios: dict[int, float]) -> dict[str, Any]:
        rows = [
            {
                "case": {"operation": operation, "width": width, "concentration": concentration},
                "ratio": {"median": ratio * (2 if concentration == 2 else 1)},
            }
            for width, ratio in ratios.items()
            for concentration in (2, 100)
        ]
        return {"contender": "vmf", "reference": reference, "cases": rows}

    others = "hyperspherical_vae"
    bars = [
        bar(others, "sample", {6: 4.0, 41: 2.0}),
        bar(others, "kl", {6: 50.0}),
        bar(others, "kl", {11: 5.0}),
        bar("gaussian", "sample", {41: 3.0, 129: 1.7}),
    ]
    found = {"cases": [], "bars": bars}
    measured = [claim.measured(found) for claim in speed.CLAIMS if claim.benchmark == "spheres"]
    assert measured == [5.0, 100.0, 2.0, 8.0, 1.7, 3.0]


def test_it_runs_what_it_can_and_says_what_it_cannot(
    speed: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = {"run": "startup --repeats 1 --wait 0"}
    monkeypatch.setitem(speed.BENCHMARKS, "startup", short)
    file = tmp_path / "speed.json"
    status = speed.main(["--only", "startup", "training", "--json", str(file)])
    claims = json.loads(file.read_text())["claims"]
    by_benchmark = {
        name: [each["measured"] for each in claims if each["claim"]["benchmark"] == name]
        for name in ("startup", "training")
    }
    assert all(0 < measured < 60_000 for measured in by_benchmark["startup"])
    assert set(by_benchmark["training"]) == {None}
    late = [each for each in claims if (each["measured"] or 0) > each["claim"]["within"][1]]
    assert status == bool(late)
    assert (
        "not measured   'float32 | 6.2 | 1 |': give --data-root (MNIST)" in capsys.readouterr().out
    )


def test_a_benchmark_that_fails_ends_it(speed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speed.BENCHMARKS, "startup", {"run": "startup --repeats 0"})
    with pytest.raises(SystemExit, match="the benchmark startup ended with status 2"):
        speed.main(["--only", "startup"])
