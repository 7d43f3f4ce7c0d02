"""Measure every figure of docs/numbers.md on speed anew, and print what no longer holds.

``claims.yaml`` has each claim, word for word, with the benchmark that measures it and the range in
which the median must lie. Figures against a rival (ratios) hold on any machine; rates and times are
those of the machine that the page names, and elsewhere differ as machines do. Each benchmark runs
once, on a quiet machine; what it needs and does not find here is not measured, and said so. The
status is 1 when a claim does not hold.

    python scripts/benchmarks claims --data-root DIR [--pythae-python PATH] \
        [--hyperspherical-path DIR] [--only startup training] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from _records import environment, write_json
from benchmarks._harness import explained

HERE = Path(__file__).resolve().parent
NEEDS = {
    "--data-root": "MNIST",
    "--pythae-python": "a Python that has pythae",
    "--hyperspherical-path": "hyperspherical_vae",
}
"""What an option of this command stands for."""
BENCHMARKS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "claims.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Claim:
    """What stands on the page, and the figure that it is about: see ``claims.yaml``."""

    benchmark: str
    said: str
    of: str
    within: Sequence[float]
    figure: str = "ratio"
    beside: str | None = None
    case: Mapping[str, Any] = field(default_factory=dict)
    pick: str = "max"

    def measured(self, found: Mapping[str, Any]) -> float:
        """The figure in a benchmark's record."""
        medians = list(self._medians(found))
        if self.beside is None:
            return medians[0]
        return min(medians) if self.pick == "min" else max(medians)

    def _medians(self, found: Mapping[str, Any]) -> Iterator[float]:
        pair = (self.of, self.beside)
        bars = [bar for bar in found["bars"] if (bar["contender"], bar["reference"]) == pair]
        for row in [row for bar in bars for row in bar["cases"]] if self.beside else found["cases"]:
            own = row if self.beside else row["contenders"].get(self.of)
            if own and self.case.items() <= row["case"].items():
                yield float(own[self.figure]["median"])


CLAIMS = [Claim(name, **row) for name, each in BENCHMARKS.items() for row in each["claims"]]


@dataclass(frozen=True)
class Finding:
    """What has become of a claim; ``measured`` is None where its benchmark could not run."""

    claim: Claim
    measured: float | None
    why_not: str = ""

    @property
    def fails(self) -> bool:
        """Whether it was measured, and does not hold."""
        least, most = self.claim.within
        return self.measured is not None and not least <= self.measured <= most

    def __str__(self) -> str:
        if self.measured is None:
            return f"not measured   {self.claim.said!r}: {self.why_not}"
        verdict = "no longer holds" if self.fails else "holds"
        least, most = self.claim.within
        where = f"{self.measured:.4g}, on the page {least:g} to {most:g}"
        return f"{verdict:15}{self.claim.said!r}: {where} ({self.claim.benchmark})"


def find(claim: Claim, found: Mapping[str, Any] | None, why_not: str = "") -> Finding:
    """A claim beside what its benchmark found."""
    return Finding(claim, None if found is None else claim.measured(found), why_not)


def main(arguments: list[str]) -> int:
    """Run the benchmarks that the claims name, then say what has become of each claim."""
    options = build_parser().parse_args(arguments)
    runs = {name: run(name, options) for name in options.only}
    wanted = [claim for claim in CLAIMS if claim.benchmark in runs]
    findings = [find(claim, *runs[claim.benchmark]) for claim in wanted]
    print("\n".join(map(str, findings)))
    if options.json:
        write_json(options.json, {"environment": environment(), "claims": findings})
    return int(any(finding.fails for finding in findings))


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = explained(__name__, __doc__)
    for option, what in NEEDS.items():
        parser.add_argument(option, metavar="PATH", help=f"where to find {what}")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    return parser


def run(name: str, options: argparse.Namespace) -> tuple[Any, str]:
    """What a benchmark finds, as its record says it; or None, and why it did not run."""
    needs = BENCHMARKS[name].get("needs", [])
    given = {need: getattr(options, need[2:].replace("-", "_")) for need in needs}
    if missing := [f"{need} ({NEEDS[need]})" for need, value in given.items() if value is None]:
        return None, f"give {' and '.join(missing)}"
    command = [sys.executable, str(HERE), *shlex.split(BENCHMARKS[name]["run"])]
    command += [part for pair in given.items() for part in pair]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        done = subprocess.run(
            [*command, "--json", str(out)], stdout=subprocess.PIPE, text=True, check=False
        )
        print(done.stdout, file=sys.stderr)
        if not out.exists():
            raise SystemExit(f"error: the benchmark {name} ended with status {done.returncode}")
        return json.loads(out.read_text(encoding="utf-8")), ""
