"""Measure every figure of docs/numbers.md on speed anew, and print what no longer holds.

Each claim is a piece of that page, word for word, the benchmark that measures it, and the range in
which the median must lie. Figures against a rival (ratios) hold on any machine; rates and times are
those of the machine that the page names, and elsewhere differ as machines do. Each benchmark runs
once, on a quiet machine; what it needs and does not find here is not measured, and said so.

    python scripts/measure_speed.py --data-root DIR [--pythae-python PATH] \
        [--hyperspherical-path DIR] [--only startup training] [--json FILE]

The status is 1 when a claim does not hold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _timing import environment, write_json

SCRIPTS = Path(__file__).resolve().parent
Figure = Callable[[Any], float]
NEEDS = {
    "--data-root": "MNIST",
    "--pythae-python": "a Python that has pythae",
    "--hyperspherical-path": "hyperspherical_vae",
}
"""What an option of this script stands for."""


@dataclass(frozen=True)
class Benchmark:
    """A script and its arguments; ``needs`` are options of this one that it is also given."""

    script: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """``said`` stands on the page; ``figure`` of the benchmark's JSON lies in [least, most]."""

    said: str
    benchmark: str
    figure: Figure
    least: float = 0.0
    most: float = 1e9


@dataclass(frozen=True)
class Finding:
    """What has become of a claim; ``measured`` is None where its benchmark could not run."""

    said: str
    benchmark: str
    least: float
    most: float
    measured: float | None
    why_not: str = ""

    @property
    def fails(self) -> bool:
        """Whether it was measured, and does not hold."""
        return self.measured is not None and not self.least <= self.measured <= self.most

    def __str__(self) -> str:
        if self.measured is None:
            return f"not measured   {self.said!r}: {self.why_not}"
        verdict = "no longer holds" if self.fails else "holds"
        where = f"{self.measured:.4g}, on the page {self.least:g} to {self.most:g}"
        return f"{verdict:15}{self.said!r}: {where} ({self.benchmark})"


def seconds(kind: str) -> Figure:
    """The median of a kind of process."""
    return lambda found: statistics.median(found["seconds"][kind])


def over(name: str) -> Figure:
    """How many times the rate of its reference a contender of the training reaches."""
    return lambda found: _median(_row(found["rows"], name=name)["ratio"])


def milliseconds(name: str) -> Figure:
    """Of a step of a contender of the training."""
    return lambda found: _median(_row(found["rows"], name=name)["ms_per_step"])


def rivalled(operation: str, pick: Callable[[Iterable[float]], float]) -> Figure:
    """The least or the most times as fast as hyperspherical_vae, over widths and batches."""

    def figure(found: Any) -> float:
        ratios = [
            _median(row["ratio"])
            for bar, rows in found["operations"]["bars"].items()
            for row in rows
            if bar.startswith(operation) and "hyperspherical" in bar
        ]
        return float(pick(ratios))

    return figure


def beside_gaussian(width: int) -> Figure:
    """Times of a Gaussian's samples that those of a vMF take, batch 4,096."""

    def figure(found: Any) -> float:
        rows = (row for rows in found["operations"]["bars"].values() for row in rows)
        near = [row for row in rows if row["case"]["width"] == width and _costs(row["case"])]
        return _median(near[-1]["ratio"])  # the bar of costs is the last

    return figure


def _costs(case: dict[str, Any]) -> bool:
    return bool(case["operation"] == "sample" and case["batch"] == 4096)


def ratio_of(*parts: str) -> Figure:
    """The ratio that a benchmark, or a part of it, is about."""

    def figure(found: Any) -> float:
        for part in parts:
            found = found[part]
        return _median(found["ratio"])

    return figure


def hierarchy(precision: str) -> Figure:
    """The fraction of the peak that nvae-lite-s trains at."""
    case = {"work": "train", "batch": 128, "precision": precision}
    return lambda found: _median(_row(found["cases"], **case)["fraction_of_peak"])


def transformer(precision: str) -> Figure:
    """The fraction of the peak that univae trains at."""
    return lambda found: _median(
        _of_text(found, precision)["forms"]["two passes"]["fraction_of_peak"]
    )


def in_two_passes(found: Any) -> float:
    """How many times as fast univae trains as one sequence of twice the length."""
    return _median(_of_text(found, "bfloat16")["ratio"])


def written_with_cache(found: Any) -> float:
    """Tokens a second of univae's samples."""
    case = _of_text(found, "bfloat16", work="sample")
    return _median(case["forms"]["cache"]["tokens_per_second"])


def _of_text(found: Any, precision: str, work: str = "train") -> dict[str, Any]:
    return _row(found["cases"], work=work, length=128, precision=precision)


def _median(figure: float | list[float]) -> float:
    """Of median, least and most; what is one number is that."""
    return float(figure[0] if isinstance(figure, list) else figure)


def _row(rows: list[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """The row whose entries are those wanted."""
    return next(row for row in rows if wanted.items() <= row.items())


BENCHMARKS = {
    "startup": Benchmark("benchmark_startup.py"),
    "training": Benchmark(
        "benchmark_training.py",
        ("--contenders", "bare", "zoo", "zoo-bf16"),
        ("--data-root",),
    ),
    "pythae": Benchmark(
        "benchmark_training.py",
        ("--contenders", "pythae", "bare-512", "zoo-512", "zoo-512-bf16"),
        ("--data-root", "--pythae-python"),
    ),
    "evaluation": Benchmark("benchmark_evaluation.py", ("--examples", "300"), ("--data-root",)),
    "spheres": Benchmark(
        "benchmark_spherical.py", ("--parts", "operations"), ("--hyperspherical-path",)
    ),
    "spherical training": Benchmark(
        "benchmark_spherical.py", ("--parts", "training"), ("--data-root",)
    ),
    "hierarchy": Benchmark(
        "benchmark_throughput.py",
        ("nvae-lite-s", "--dataset", "mnist", "--batch", "128", "--rounds", "3"),
        ("--data-root",),
    ),
    "transformer": Benchmark(
        "benchmark_univae.py",
        ("--rounds", "3", "--block", "1", "--sentences", "2", "--threads", "1"),
    ),
}
LOAD = "zoo.load('gaussian-vae-mnist') after torch"
CLAIMS = (
    Claim("`zoo list` takes 0.22 s (0.20 to 0.33)", "startup", seconds("zoo list"), most=0.33),
    Claim("0.15 to 0.17 s (0.14 to 0.24)", "startup", seconds(LOAD), most=0.24),
    Claim("float32 | 6.2 | 1 |", "training", milliseconds("bare"), 5, 7.5),
    Claim("6.0 | 1.04 (0.95 to 1.15)", "training", over("zoo"), 0.95, 1.15),
    Claim("3.9 | 1.55 (1.36 to 1.86)", "training", over("zoo-bf16"), 1.36, 1.86),
    Claim("6.5 | 1.61 (1.31 to 1.68)", "pythae", over("bare-512"), 1.31, 1.68),
    Claim("6.7 | 1.56 (1.31 to 1.66)", "pythae", over("zoo-512"), 1.31, 1.66),
    Claim("5.2 | 2.14 (1.72 to 2.31)", "pythae", over("zoo-512-bf16"), 1.72, 2.31),
    Claim("1.83 and 1.87 times its matrix products", "evaluation", ratio_of(), 1.7, 1.95),
    Claim("KL 4.9 to 97 times as fast", "spheres", rivalled("kl", min), 4, 6),
    Claim("KL 4.9 to 97 times as fast", "spheres", rivalled("kl", max), 70, 130),
    Claim("samples 1.7 to 7 times", "spheres", rivalled("sample", min), 1.5, 2.2),
    Claim("samples 1.7 to 7 times", "spheres", rivalled("sample", max), 5.5, 9),
    Claim("1.7 times that of Gaussian ones at width 129", "spheres", beside_gaussian(129), 1.5, 2),
    Claim("2.8 to 3.2 times at width 41", "spheres", beside_gaussian(41), 2.6, 3.3),
    Claim("1.19 (1.01 to 1.34) times", "spherical training", ratio_of("training"), 1.01, 1.34),
    Claim("a quarter of the rate", "hierarchy", hierarchy("float32"), 0.2, 0.3),
    Claim("572 in bfloat16, an eighth", "hierarchy", hierarchy("bfloat16"), 0.1, 0.15),
    Claim(
        "0.51 of the rate of matrix products", "transformer", transformer("bfloat16"), 0.45, 0.57
    ),
    Claim("in float32, 0.38", "transformer", transformer("float32"), 0.33, 0.43),
    Claim("1.24 times as fast (1.04 to 1.37)", "transformer", in_two_passes, 1.04, 1.37),
    Claim("540, 510 and 457 tokens a second", "transformer", written_with_cache, 430, 600),
)
"""In the page's order of subjects; a range is the page's own, or a seventh about its figure."""


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks that the claims name, then say what has become of each claim."""
    options = parse_arguments(arguments)
    wanted = [claim for claim in CLAIMS if claim.benchmark in options.only]
    runs = {name: run(name, options) for name in dict.fromkeys(c.benchmark for c in wanted)}
    findings = [find(claim, *runs[claim.benchmark]) for claim in wanted]
    print("\n".join(map(str, findings)))
    if options.json:
        write_json(
            options.json,
            {"environment": environment(), "claims": [asdict(each) for each in findings]},
        )
    return int(any(finding.fails for finding in findings))


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, what in NEEDS.items():
        parser.add_argument(option, metavar="PATH", help=f"where to find {what}")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    return parser.parse_args(arguments)


def run(name: str, options: argparse.Namespace) -> tuple[Any, str]:
    """What a benchmark finds, as its JSON says it; or None, and why it did not run."""
    benchmark = BENCHMARKS[name]
    given = {need: getattr(options, need[2:].replace("-", "_")) for need in benchmark.needs}
    if missing := [f"{need} ({NEEDS[need]})" for need, value in given.items() if value is None]:
        return None, f"give {' and '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, str(SCRIPTS / benchmark.script), *benchmark.arguments]
        command += [part for pair in given.items() for part in pair]
        print(f"{name}: {benchmark.script} {' '.join(benchmark.arguments)}", file=sys.stderr)
        done = subprocess.run(
            [*command, "--json", str(out)], stdout=subprocess.PIPE, text=True, check=False
        )
        print(done.stdout, file=sys.stderr)
        if not out.exists():
            raise SystemExit(f"error: {benchmark.script} ended with status {done.returncode}")
        return json.loads(out.read_text(encoding="utf-8")), ""


def find(claim: Claim, found: Any, why_not: str) -> Finding:
    """A claim beside what its benchmark found."""
    measured = None if found is None else claim.figure(found)
    return Finding(claim.said, claim.benchmark, claim.least, claim.most, measured, why_not)


if __name__ == "__main__":
    raise SystemExit(main())
