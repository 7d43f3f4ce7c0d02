"""The figures of docs/numbers.md on speed, each with what measures it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NUMBERS = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
SPEED = NUMBERS.partition("\n## Speed\n")[2].partition("\n## ")[0]
RECORDS = {"hierarchy": "throughput.json", "transformer": "univae.json"}


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return importlib.import_module("measure_speed")


def test_what_is_claimed_stands_on_the_page(speed: Any) -> None:
    said = " ".join(SPEED.split())
    for claim in speed.CLAIMS:
        assert claim.said in said, claim.said


def test_every_benchmark_of_the_section_is_run(speed: Any) -> None:
    run = {benchmark.script for benchmark in speed.BENCHMARKS.values()}
    assert run == {path.name for path in (ROOT / "scripts").glob("benchmark_*.py")}
    assert {claim.benchmark for claim in speed.CLAIMS} == set(speed.BENCHMARKS)


def test_claims_hold_of_the_records_they_were_made_of(speed: Any) -> None:
    for claim in speed.CLAIMS:
        if record := RECORDS.get(claim.benchmark):
            found = json.loads((ROOT / "scripts" / "results" / record).read_text())
            finding = speed.find(claim, found, "")
            assert not finding.fails and finding.measured is not None, finding


def test_what_no_longer_holds_is_printed(speed: Any) -> None:
    rows = [{"name": "zoo", "ratio": [0.5, 0.4, 0.6], "ms_per_step": [9.0, 8.0, 9.5]}]
    claim = next(claim for claim in speed.CLAIMS if claim.said.startswith("6.0 | 1.04"))
    finding = speed.find(claim, {"rows": rows}, "")
    assert finding.fails
    assert str(finding) == (
        "no longer holds'6.0 | 1.04 (0.95 to 1.15)': 0.5, on the page 0.95 to 1.15 (training)"
    )


def test_spheres_are_judged_over_widths_and_batches(speed: Any) -> None:
    def row(width: int, ratio: float) -> dict[str, Any]:
        case = {"operation": "sample", "width": width, "batch": 4096}
        return {"case": case, "ratio": [ratio, ratio, ratio]}

    bars = {
        "sample at least 3.0 x as fast as hyperspherical_vae": [row(6, 4.0), row(41, 2.0)],
        "kl at least 5.0 x as fast as hyperspherical_vae": [row(6, 50.0)],
        "sample at most 2.5 x the time of gaussian": [row(41, 3.0), row(129, 1.7)],
    }
    found = {"operations": {"bars": bars}}
    assert [speed.rivalled("sample", pick)(found) for pick in (min, max)] == [2.0, 4.0]
    assert [speed.beside_gaussian(width)(found) for width in (41, 129)] == [3.0, 1.7]


def test_it_runs_what_it_can_and_says_what_it_cannot(
    speed: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = replace(speed.BENCHMARKS["startup"], arguments=("--repeats", "1", "--wait", "0"))
    monkeypatch.setitem(speed.BENCHMARKS, "startup", short)
    file = tmp_path / "speed.json"
    status = speed.main(["--only", "startup", "training", "--json", str(file)])
    claims = json.loads(file.read_text())["claims"]
    by_benchmark = {
        name: [each["measured"] for each in claims if each["benchmark"] == name]
        for name in ("startup", "training")
    }
    assert all(0 < measured < 60 for measured in by_benchmark["startup"])
    assert set(by_benchmark["training"]) == {None}
    assert status == int(
        any(each["measured"] and each["measured"] > each["most"] for each in claims)
    )
    assert (
        "not measured   'float32 | 6.2 | 1 |': give --data-root (MNIST)" in capsys.readouterr().out
    )


def test_a_benchmark_that_fails_ends_it(speed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(speed.BENCHMARKS["startup"], arguments=("--repeats", "0"))
    monkeypatch.setitem(speed.BENCHMARKS, "startup", wrong)
    with pytest.raises(SystemExit, match="benchmark_startup.py ended with status 2"):
        speed.main(["--only", "startup"])
