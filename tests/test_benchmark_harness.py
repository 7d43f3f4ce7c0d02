"""What the benchmarks of speed do alike: whom they measure when, and what counts."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the benchmarks by name."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def figures(part: Callable[[str], ModuleType]) -> Any:
    return part("_figures")


@pytest.fixture
def harness(part: Callable[[str], ModuleType]) -> Any:
    return part("_harness")


def case_of(figures: Any, *names: str, **about: object) -> Any:
    """One whose contenders do one thing in a repetition."""
    return figures.Case(about, {name: figures.Contender(lambda: 1.0) for name in names})


def rounds_of(figures: Any, *rounds: tuple[float, float, float], names: tuple[str, str]) -> Any:
    """Seconds of two contenders, and the foreign load in each round."""
    return [
        {
            name: figures.Sample(seconds, figures.Load(load))
            for name, seconds in zip(names, times, strict=True)
        }
        for *times, load in rounds
    ]


def clock_of(module: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What passes on the module's clock is what is appended."""
    passed: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(passed), perf_counter=lambda: sum(passed))
    monkeypatch.setattr(module, "time", clock)
    return passed


ROUNDS = ((1.0, 6.0, 0.0), (4.0, 8.0, 0.0), (2.0, 8.0, 0.0), (1.0, 99.0, 3.0))
"""The ratio of the median times would be 2; disturbed, the last round would be the best."""


def test_ratios_are_of_one_round_and_leave_out_what_was_disturbed(figures: Any) -> None:
    names = ("ours", "theirs")
    rounds = rounds_of(figures, *ROUNDS, names=names)
    case = case_of(figures, *names, operation="kl")
    assert figures.speed_ratio(case, rounds, "ours", "theirs") == figures.Figure(4.0, 2.0, 6.0)
    assert figures.speed_ratio(case, rounds[3:], "ours", "theirs").mark == "!"
    for limit, met in ((4.0, True), (4.01, False)):
        (row,) = figures.Bar("ours", "theirs", limit).judge([(case, rounds)])
        assert row == {
            "case": {"operation": "kl"},
            "contender": "ours",
            "ratio": figures.Figure(4.0, 2.0, 6.0),
            "met": met,
        }


def test_a_ratio_is_disturbed_where_either_was(figures: Any) -> None:
    quiet, loud = figures.Load(0.05), figures.Load(0.5)
    sample = figures.Sample
    rounds = [
        {"a": sample(1.0, quiet), "b": sample(9.0, loud)},
        {"a": sample(1.0, quiet), "b": sample(2.0, quiet)},
        {"a": sample(3.0, loud), "b": sample(2.0, quiet)},
    ]
    row = figures.summarise(case_of(figures, "a", "b"), rounds)["contenders"]
    assert "ratio" not in row["a"]
    assert row["b"]["ratio"] == figures.Figure(0.5, 0.5, 0.5)
    assert row["a"]["milliseconds"] == figures.Figure(1000, 1000, 1000)
    assert row["b"]["milliseconds"] == figures.Figure(2000, 2000, 2000)
    assert row["b"]["per_second"].median == 0.5


def test_speeds_are_of_the_work_done_and_of_the_peak(figures: Any) -> None:
    load = figures.Load(None)  # where it cannot be measured nothing is left out
    contenders = {
        "products": figures.Contender(lambda: 1.0, work=None, operations=1e9),
        "slow": figures.Contender(lambda: 1.0, work=10, operations=2e6),
        "fast": figures.Contender(lambda: 1.0, work=5),
    }
    seconds = {"products": 0.1, "slow": 0.001, "fast": 0.0001}
    rounds = [{name: figures.Sample(each, load) for name, each in seconds.items()}]
    row = figures.summarise(figures.Case({}, contenders, "images"), rounds)["contenders"]
    assert set(row["products"]) == {"milliseconds", "gigaflops"}
    assert row["products"]["gigaflops"].median == 10
    assert row["slow"]["of_peak"].median == pytest.approx(2 / 10)
    assert row["slow"]["megaflop"] == pytest.approx(0.2)
    assert row["fast"]["ratio"].median == pytest.approx(50_000 / 10_000)
    assert "of_peak" not in row["fast"]


def test_a_cost_is_limited_from_above(
    figures: Any, harness: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = figures.Bar("ours", "theirs", 2.5, is_cost=True, where={"width": (41,)})
    names = ("ours", "theirs")
    judged = bar.judge(
        (case_of(figures, *names, width=width, batch=n), rounds_of(figures, times, names=names))
        for n, (width, times) in enumerate(
            [(41, (5.0, 2.0, 0.0)), (41, (6.0, 2.0, 0.0)), (129, (9.0, 2.0, 0.0))]
        )
    )
    assert [(row["ratio"].median, row["met"]) for row in judged] == [(2.5, True), (3.0, False)]
    harness.print_bar(bar, judged)
    shown = capsys.readouterr().out
    assert "bar: ours at most 2.5 x the time of theirs (width 41)" in shown
    assert "width 41, batch 0: ours 2.50 (2.50 to 2.50), met" in shown
    assert "worst 3.00 (3.00 to 3.00) at width 41, batch 1; 1 of 2 missed" in shown


def test_of_several_contenders_the_fastest_counts(figures: Any) -> None:
    case = case_of(figures, "bare", "zoo", "zoo-bf16")
    load = figures.Load(0.0)
    seconds = {"bare": 3.0, "zoo": 2.0, "zoo-bf16": 1.0}
    rounds = [{name: figures.Sample(each, load) for name, each in seconds.items()}]
    for pattern, fastest, ratio in (("zoo", "zoo", 1.5), ("zoo*", "zoo-bf16", 3.0)):
        (row,) = figures.Bar(pattern, "bare", 1.0).judge([(case, rounds)])
        assert (row["contender"], row["ratio"].median) == (fastest, ratio)
    assert figures.Bar("zoo", "pythae", 1.0).judge([(case, rounds)]) == []


def test_contenders_take_turns_in_every_round(
    figures: Any, harness: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(harness, "wait_until_quiet", waited.append)
    order: list[str] = []
    clock = clock_of(harness, monkeypatch)

    def contender(name: str, seconds: float) -> Any:
        def measure() -> float:
            order.append(name)
            clock.append(seconds)
            return seconds

        return figures.Contender(measure)

    cases = [
        figures.Case({"width": 1}, {"a": contender("a", 0.0), "b": contender("b", 0.6)}),
        figures.Case({"width": 2}, {"c": contender("c", 0.0)}),
    ]
    found = harness.measure(cases, argparse.Namespace(rounds=2, wait=3.0))
    assert order == ["a", "b", "c", "a", "b", "c"]
    assert waited == [3.0] * 4  # before "a", and again once "b" had filled a stretch
    assert [[list(each) for each in rounds] for rounds in found] == [[["a", "b"]] * 2, [["c"]] * 2]
    first, second = found[0][0], found[1][0]
    assert first["a"].load is first["b"].load and second["c"].load is not first["b"].load
    assert "round 2 of 2: width 2: c 0.00 ms; foreign load" in capsys.readouterr().err


def test_a_record_has_all_that_its_figures_depend_on(
    figures: Any, harness: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "record.json"
    parser = harness.build_parser("benchmarks.mine", "Mine.\n\nAt length.\n", block=0.5)
    options = harness.start(parser, ["--rounds", "1", "--wait", "0", "--json", str(file)])
    cases = [case_of(figures, "ours", "theirs", operation="kl", batch=128)]
    bar = figures.Bar("ours", "theirs", 1.0, where={"batch": (128,)})
    harness.report(options, cases, harness.measure(cases, options), [bar], {"note": "a note"})
    record = json.loads(file.read_text())
    assert record["command"] == f"python scripts/benchmarks mine --rounds 1 --wait 0 --json {file}"
    assert record["environment"]["torch"] == torch.__version__
    assert record["settings"]["block"] == 0.5 and record["note"] == "a note"
    ((judged,),) = (each["cases"] for each in record["bars"])
    assert judged["met"] and judged["ratio"]["median"] == 1.0
    assert record["cases"][0]["rounds"][0]["theirs"]["seconds"] == 1.0
    shown = capsys.readouterr().out
    assert "kl, batch 128: theirs" in shown and "of peak" not in shown and "note: a note" in shown
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    explained = " ".join(capsys.readouterr().out.split())
    assert "At length." in explained and "Ratios are of speeds in one round" in explained


def test_a_block_takes_at_least_its_time(
    part: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, cpu = part("_blocks"), torch.device("cpu")
    clock = clock_of(blocks, monkeypatch)
    clock.append(5.0)
    took = blocks.seconds_of(lambda: clock.append(3.0 if len(clock) == 1 else 0.001), 0.02, cpu)
    assert took == pytest.approx(0.001)  # the first call, which sets things up, does not count
    assert 20 <= len(clock) - 2 < 40
    clock.clear()
    assert blocks.seconds_of(lambda: clock.append(0.25), 0, cpu) == 0.25
    assert len(clock) == 2


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
def test_work_of_descendants_is_not_foreign(part: Callable[[str], ModuleType]) -> None:
    load = part("_load")
    before = load._own_ticks()
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    subprocess.run([sys.executable, "-c", nested], check=True)
    assert load._own_ticks() - before >= 45  # hundredths of a second


def test_a_name_that_is_none_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = ROOT / "scripts" / "benchmarks"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    unknown = run("startups")
    assert unknown.returncode == 2
    assert "unknown benchmark 'startups'; NAME is one of claims, evaluation" in unknown.stderr
    assert run().returncode == 0
    helped = run("startup", "--help")
    assert helped.returncode == 0 and "python scripts/benchmarks startup" in helped.stdout


def test_a_rival_s_process_needs_no_zoo() -> None:
    """Its Python has torch and the rival, and perhaps nothing else of what zoo needs."""
    missing = "sys.modules |= dict.fromkeys(['zoo', 'yaml', 'pydantic'])"
    scripts = str(ROOT / "scripts")
    code = f"import sys; {missing}; sys.path[0] = {scripts!r}; import benchmarks.training"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_folder_has_all_of_them() -> None:
    """What they share is written once: nobody else waits, interleaves or writes records."""
    folder = ROOT / "scripts" / "benchmarks"
    assert not list((ROOT / "scripts").glob("benchmark*.py"))
    for file in folder.glob("[!_]*.py"):
        text = file.read_text("utf-8")
        assert "measured_load" not in text and "wait_until_quiet" not in text, file.name
