"""What the benchmarks of speed do alike; each says only its contenders, and in which cases.

In each round every contender of every case is measured once, in turn, when the machine is quiet.
Processor time of foreign processes is measured all the while: what was disturbed is left out where
something undisturbed remains, and marked with a "!" where not. Ratios are of speeds in one round,
never across rounds. Shown are the median and, in brackets, the extremes over rounds.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from _records import available_cores, environment, positive, write_json
from benchmarks._figures import Bar, Case, Figure, Rounds, Sample, describe, short, summarise
from benchmarks._load import Load, measured_load, wait_until_quiet

STRETCH_SECONDS = 0.5
"""Measurements that take less share one measured load: over a shorter time it is noise."""
TITLES = {
    "milliseconds": "ms",
    "per_second": "a second",
    "ratio": "x the first",
    "of_peak": "of peak",
    "gigaflops": "GFLOP/s",
    "megaflop": "MFLOP each",
}
"""Of the figures, in the order of the table's columns."""


def duration(text: str) -> float:
    """An argparse type: a finite duration of at least 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 on, got {text}")
    return value


def explained(module: str, doc: str, method: str = "") -> argparse.ArgumentParser:
    """A command line that says what the module does."""
    summary, _, details = doc.partition("\n\n")
    return argparse.ArgumentParser(
        prog=f"python scripts/benchmarks {module.rpartition('.')[2]}",
        description=summary,
        epilog=method + details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def build_parser(
    module: str, doc: str, rounds: int = 5, option: str = "--rounds", block: float | None = None
) -> argparse.ArgumentParser:
    """A benchmark's command line, with what all of them are told.

    ``option`` is what it calls its rounds; ``block`` is given where it repeats in blocks.
    """
    parser = explained(module, doc, (__doc__ or "").partition("\n\n")[2] + "\n")
    parser.add_argument(option, dest="rounds", type=positive, default=rounds, metavar="N")
    if block is not None:
        least = "the least a block of repetitions takes"
        parser.add_argument("--block", type=duration, default=block, metavar="SECONDS", help=least)
    parser.add_argument("--threads", type=positive, default=available_cores())
    wait = "how long to wait for a quiet machine before each measurement"
    parser.add_argument("--wait", type=duration, default=30.0, metavar="SECONDS", help=wait)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    return parser


def start(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """The options, obeyed as far as they are every benchmark's."""
    from zoo.memory import keep_freed_memory  # here: the other trainers' processes have no zoo

    options = parser.parse_args(arguments)
    options.command = f"{parser.prog} {shlex.join(arguments)}".strip()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    return options


def measure(cases: Sequence[Case], options: argparse.Namespace) -> list[Rounds]:
    """All rounds of each case."""
    found: list[list[dict[str, Sample]]] = [[] for _ in cases]
    for number in range(1, options.rounds + 1):
        for rounds in found:
            rounds.append({})
        turns = deque(
            (case, name, rounds[-1])
            for case, rounds in zip(cases, found, strict=True)
            for name in case.contenders
        )
        while turns:
            wait_until_quiet(options.wait)
            with measured_load() as load:
                done = measure_stretch(turns, load)
            print(
                f"round {number} of {options.rounds}: {done}; {load}", file=sys.stderr, flush=True
            )
    return list(found)


def measure_stretch(turns: deque[tuple[Case, str, dict[str, Sample]]], load: Load) -> str:
    """As many measurements as one load is measured over; what they gave, in words."""
    began, done = time.monotonic(), []
    while turns and time.monotonic() - began < STRETCH_SECONDS:
        case, name, results = turns.popleft()
        seconds = case.contenders[name].seconds()
        results[name] = Sample(seconds, load)
        done.append(f"{label(str(case), name)} {short(1e3 * seconds)} ms")
    return "; ".join(done)


def label(case: str, name: str) -> str:
    """A contender and its case."""
    return f"{case}: {name}" if case else name


def report(
    options: argparse.Namespace,
    cases: Sequence[Case],
    found: Sequence[Rounds],
    bars: Sequence[Bar] = (),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Print the figures, and what has become of the bars; write them where --json asks for it."""
    about = describe_run(options)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows = [summarise(*each) for each in zip(cases, found, strict=True)]
    print_table(rows)
    judged = [(bar, bar.judge(zip(cases, found, strict=True))) for bar in bars]
    for bar, results in judged:
        print_bar(bar, results)
    for key, value in (extra or {}).items():
        print(f"{key}: {value}")
    if options.json:
        asked = {k: v for k, v in vars(options).items() if k not in ("command", "json")}
        content = {"command": options.command, "environment": about, "settings": asked}
        written = [{**asdict(bar), "cases": results} for bar, results in judged]
        write_json(options.json, {**content, **(extra or {}), "cases": rows, "bars": written})


def describe_run(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on beside the code."""
    from zoo.training.device import choose_device  # as above

    device = choose_device(getattr(options, "device", "cpu"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**environment(), "threads": options.threads, "device": name}


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each contender of a case."""
    found = {
        label(describe(row["case"]), name): figures
        for row in rows
        for name, figures in row["contenders"].items()
    }
    keys = [key for key in TITLES if any(key in figures for figures in found.values())]
    lines = [["", *(TITLES[key] for key in keys)]]
    for name, figures in found.items():
        lines.append([name, *(cell(figures.get(key)) for key in keys)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        shown = (f"{text:>{width}}" for text, width in zip(cells, widths[1:], strict=True))
        print("   ".join([f"{name:{widths[0]}}", *shown]))
    units = " or ".join(dict.fromkeys(row["unit"] for row in rows))
    print(f"\nin a second {units}; x the first contender's speed; ! disturbed in every round")


def cell(found: Figure | float | None) -> str:
    """A figure in the table."""
    return "" if found is None else short(found) if isinstance(found, float) else str(found)


def print_bar(bar: Bar, rows: Sequence[dict[str, Any]]) -> None:
    """Every case that it covers, and the worst."""
    print(f"\nbar: {bar}")
    for row in rows:
        met = "met" if row["met"] else "missed"
        print(f"  {label(describe(row['case']), row['contender'])} {row['ratio']}, {met}")
    if not rows:
        print("  not measured")
    elif len(rows) > 1:
        worst = (max if bar.is_cost else min)(rows, key=lambda row: row["ratio"].median)
        missed = sum(not row["met"] for row in rows)
        print(
            f"  worst {worst['ratio']} at {describe(worst['case'])}; {missed} of {len(rows)} missed"
        )
