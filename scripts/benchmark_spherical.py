"""Time zoo's spherical latents against hyperspherical_vae's, and against Gaussian ones.

``operations``: one step of a distribution, forward and backward, in float32, for codes of 6, 11, 41
and 129 numbers, concentrations around 2 and around 100 (log-normal, spread 0.3, another for each
row) and batches of 128 and 4,096:

- ``sample``: construction, ``rsample``, a fixed random weighting of the draws summed, and the
  gradients of that sum by location and scale;
- ``kl``: construction, KL divergence from the prior, and its gradients.

Contenders are zoo's ``VonMisesFisher`` (vmf) and ``PowerSpherical``, hyperspherical_vae's
``VonMisesFisher`` (with --hyperspherical-path) and, as a yardstick, torch's diagonal ``Normal`` of
the same width. Locations are leaves of unit length: normalising them is left out for all alike,
since every model does it in the same way, and so is the validation of arguments.

Repetitions are timed in blocks of at least --block seconds. In each round every contender does a
block of every case, the contenders of one case one straight after the other, all in one process,
which keeps the memory of freed tensors, as those of ``zoo.train`` and ``zoo.evaluate`` do. With
--device cuda both ends of a block wait for the device, and the vmf's steps are done once more where
PyTorch does not let the host wait for it.

``training``: an epoch of ``zoo.train`` on MNIST with vmf-vae (11 numbers) and with gaussian-vae
(10 numbers), both 784-256-128 and back, at batch 64; each in a process of its own, timed in turn
from the end of the first epoch to the end of the last, as benchmark_training.py does it.

Processor time of foreign processes is measured all the while. What was disturbed is left out where
something undisturbed remains, and shown with a "!" where not. Ratios are taken within one round,
never across rounds; shown are the median and the extremes over rounds; bars judge the median.

    python scripts/benchmark_spherical.py --data-root DIR [--hyperspherical-path DIR] [--json FILE]

hyperspherical_vae is the package in github.com/nicola-decao/s-vae-pytorch; it needs scipy.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from _spherical_steps import (
    BATCHES,
    CASES,
    GAUSSIAN,
    OTHERS,
    VMF,
    WIDTHS,
    Case,
    Runner,
    contenders,
    host_waits,
    prepare,
    step_of,
)
from _timing import (
    Load,
    Result,
    Worker,
    add_timing_arguments,
    answering,
    duration,
    environment,
    epoch_stamps,
    measured_load,
    note,
    positive,
    quiet,
    spread,
    train_once,
    wait_until_quiet,
    write_json,
)
from benchmark_training import Segment, write_data

from zoo.memory import keep_freed_memory

TRAINED = {"vmf-vae": 11, "gaussian-vae": 10}
"""Variants and how many numbers a code has: the same dimension, 10, for both."""
TRAINING_BAR = 1.25


@dataclass(frozen=True)
class Bar:
    """What zoo's vmf must reach against a reference, in each case that it covers."""

    operation: str
    widths: tuple[int, ...]
    batches: tuple[int, ...]
    reference: str
    limit: float
    is_cost: bool = False
    """Whether ``limit`` is the most of the reference's time, else the least of its speed."""

    def __str__(self) -> str:
        kind = "at most {} x the time of" if self.is_cost else "at least {} x as fast as"
        where = f"m {_listed(self.widths)}, batch {_listed(self.batches)}"
        return f"{self.operation} {kind.format(self.limit)} {self.reference} ({where})"

    def covers(self, case: Case) -> bool:
        """Whether it says anything about this case."""
        place = case.width in self.widths and case.batch in self.batches
        return place and case.operation == self.operation

    def ratio(self, seconds: dict[str, float]) -> float:
        """The ratio that it limits, for times of one round."""
        own, reference = seconds[VMF], seconds[self.reference]
        return own / reference if self.is_cost else reference / own

    def holds(self, ratio: float) -> bool:
        """Whether the ratio is good enough."""
        return ratio <= self.limit if self.is_cost else ratio >= self.limit


def _listed(values: tuple[int, ...]) -> str:
    return " and ".join(map(str, values)) if len(values) < 3 else f"{values[0]} to {values[-1]}"


BARS = (
    Bar("kl", WIDTHS, (4096,), OTHERS, 5.0),
    Bar("kl", WIDTHS, (128,), OTHERS, 2.0),
    Bar("sample", (6, 11), BATCHES, OTHERS, 3.0),
    Bar("sample", (41,), BATCHES, OTHERS, 2.0),
    Bar("sample", (41, 129), (4096,), GAUSSIAN, 2.5, is_cost=True),
)


@dataclass(frozen=True)
class Visit:
    """Seconds for one repetition of a case in one round, by contender."""

    seconds: dict[str, float]
    load: Load


def measure_operations(
    runners: dict[Case, dict[str, Runner]], options: argparse.Namespace
) -> dict[Case, list[Visit]]:
    """All rounds. The load is measured over all cases of one width: over a block it is noise."""
    visits: dict[Case, list[Visit]] = {case: [] for case in runners}
    for number in range(1, options.rounds + 1):
        for (operation, width), cases in groupby(runners, key=lambda c: (c.operation, c.width)):
            wait_until_quiet(options.wait)
            with measured_load() as load:
                for case in cases:
                    seconds = {name: each.seconds() for name, each in runners[case].items()}
                    visits[case].append(Visit(seconds, load))
            place = f"round {number} of {options.rounds}: {operation}, m {width}"
            print(f"{place}; {load}", file=sys.stderr, flush=True)
    return visits


def summarise_case(case: Case, runners: dict[str, Runner], visits: list[Visit]) -> dict[str, Any]:
    """One row of the table: microseconds over rounds as median, least and most."""
    times = {}
    for name, runner in runners.items():
        kept, mark = quiet([(1e6 * v.seconds[name], v.load.disturbed) for v in visits])
        row = {"microseconds": spread(kept), "mark": mark, "finite": runner.finite}
        times[name] = {**row, "repetitions": runner.repetitions}
    return {"case": case, "times": times, "rounds": [asdict(visit) for visit in visits]}


def judge(bar: Bar, visits: dict[Case, list[Visit]]) -> list[dict[str, Any]]:
    """How each case that the bar covers fares; none without the reference."""
    rows = []
    for case in filter(bar.covers, visits):
        if bar.reference in visits[case][0].seconds:
            ratios, mark = quiet([(bar.ratio(v.seconds), v.load.disturbed) for v in visits[case]])
            ratio = spread(ratios)
            rows.append({"case": case, "ratio": ratio, "mark": mark, "met": bar.holds(ratio[0])})
    return rows


def print_operations(rows: Sequence[dict[str, Any]]) -> None:
    """Median, and the extremes over rounds in brackets; a case for each line."""
    names = list(rows[0]["times"])
    print(f"\n{'microseconds':32}" + "".join(f"{name:>28}" for name in names))
    for row in rows:
        line = f"{row['case']!s:32}"
        for name in names:
            result = row["times"][name]
            median, low, high = result["microseconds"]
            text = f"{median:.0f} ({low:.0f} to {high:.0f}){result['mark']}"
            line += f"{text if result['finite'] else text + ' NaN':>28}"
        print(line)
    print("\n! marks what was disturbed in every round, NaN results that are not finite")


def print_bar(bar: Bar, rows: Sequence[dict[str, Any]]) -> None:
    """Every case the bar covers, and the worst."""
    print(f"\nbar: {bar}")
    if not rows:
        print("  not measured")
        return
    for row in rows:
        median, low, high = row["ratio"]
        met = "met" if row["met"] else "missed"
        print(f"  {row['case']}: {median:.2f} ({low:.2f} to {high:.2f}){row['mark']}, {met}")
    worst = (max if bar.is_cost else min)(rows, key=lambda row: row["ratio"][0])
    missed = sum(not row["met"] for row in rows)
    verdict = f"{missed} of {len(rows)} missed" if missed else f"all {len(rows)} met"
    print(f"  worst {worst['ratio'][0]:.2f} at {worst['case']}; {verdict}")


def run_operations(options: argparse.Namespace) -> dict[str, Any]:
    """Part one: measured, printed, and for other programs."""
    rivals = contenders(options.hyperspherical_path)
    runners: dict[Case, dict[str, Runner]] = {
        case: {
            name: prepare(step_of(case, rival, options.device), options.block, options.device)
            for name, rival in rivals.items()
        }
        for case in CASES
    }
    visits = measure_operations(runners, options)
    rows = [summarise_case(case, runners[case], visits[case]) for case in CASES]
    print_operations(rows)
    judged = {str(bar): judge(bar, visits) for bar in BARS}
    for bar in BARS:
        print_bar(bar, judged[str(bar)])
    content: dict[str, Any] = {"cases": plain(rows)}
    if options.device == "cuda":
        content["host_waits"] = host_waits([runners[case][VMF].step for case in CASES])
        shown = content["host_waits"] or "never, in every case"
        print(f"\nthe host waits for the device in a step of the vmf: {shown}")
    content["bars"] = {name: plain(rows) for name, rows in judged.items()}
    return content


def plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their cases as JSON knows them."""
    return [{**row, "case": asdict(row["case"])} for row in rows]


# Part two: training.


@dataclass(frozen=True)
class Job:
    """What the process of a variant is told."""

    variant: str
    data: str
    epochs: int
    threads: int
    device: str


def zoo_train(job: Job) -> Segment:
    """The public verb with its defaults, apart from what defines the task."""
    import zoo

    def segment() -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            began = time.time()
            zoo.train(
                job.variant,
                dataset=job.data,
                directory=folder,
                epochs=job.epochs,
                batch_size=64,
                device=job.device,
                precision="float32",
                latent_dim=TRAINED[job.variant],
                backbone={"name": "mlp", "hidden": [256, 128]},
                likelihood="bernoulli",
            )
            return [began, *epoch_stamps(Path(folder))]

    return segment


def work(text: str) -> None:
    """The life of a variant's process: at every line that comes in, a segment."""
    job = Job(**json.loads(text))
    torch.set_num_threads(job.threads)
    with answering() as answer:
        segment = zoo_train(job)
        answer("ready")
        for _ in sys.stdin:
            answer(json.dumps(segment()))


def measure_training(data: Path, options: argparse.Namespace) -> dict[str, list[Result]]:
    """All rounds."""
    workers: dict[str, Worker] = {}
    results: dict[str, list[Result]] = {variant: [] for variant in TRAINED}
    try:
        for variant in TRAINED:
            job = Job(variant, str(data), options.epochs + 1, options.threads, options.device)
            command = [sys.executable, __file__, "--worker", json.dumps(asdict(job))]
            workers[variant] = Worker(command, options.threads)
        for number in range(1, options.rounds + 1):
            for variant, worker in workers.items():
                wait_until_quiet(options.wait)
                results[variant].append(train_once(worker))
                note(f"round {number} of {options.rounds}", variant, results[variant][-1])
    finally:
        for worker in workers.values():
            worker.stop()
    return results


def compare_training(results: dict[str, list[Result]]) -> dict[str, Any]:
    """Seconds for an epoch, and how many times the Gaussian's the vmf's takes."""
    epochs = {}
    for variant, rounds in results.items():
        kept, mark = quiet([(r.seconds, r.load.disturbed) for r in rounds])
        epochs[variant] = {
            "seconds": spread(kept),
            "mark": mark,
            "rounds": list(map(asdict, rounds)),
        }
    pairs = zip(results["vmf-vae"], results["gaussian-vae"], strict=True)
    ratios, mark = quiet(
        [(v.seconds / g.seconds, v.load.disturbed or g.load.disturbed) for v, g in pairs]
    )
    ratio = spread(ratios)
    return {"epochs": epochs, "ratio": ratio, "mark": mark, "met": ratio[0] <= TRAINING_BAR}


def run_training(options: argparse.Namespace) -> dict[str, Any]:
    """Part two: measured, printed, and for other programs."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        write_data(data, options.data_root)
        result = compare_training(measure_training(data, options))
    print("\nseconds for an epoch")
    for variant, row in result["epochs"].items():
        median, low, high = row["seconds"]
        print(f"{variant + row['mark']:15}{median:8.3f} ({low:.3f} to {high:.3f})")
    median, low, high = result["ratio"]
    met = "met" if result["met"] else "missed"
    shown = f"{median:.3f} ({low:.3f} to {high:.3f}){result['mark']}, {met}"
    print(f"\nbar: vmf-vae at most {TRAINING_BAR} x the time of gaussian-vae\n  {shown}")
    return result


RUN = {"operations": run_operations, "training": run_training}


def package_folder(text: str) -> Path:
    """An argparse type: a folder that hyperspherical_vae can be imported from."""
    folder = Path(text)
    if not (folder / "hyperspherical_vae" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"there is no package hyperspherical_vae in {text}")
    return folder.resolve()


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(RUN), default=list(RUN))
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    path = "folder that holds hyperspherical_vae; without it its bars are not measured"
    parser.add_argument("--hyperspherical-path", type=package_folder, metavar="DIR", help=path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=positive, default=7)
    block = "the least a block of repetitions takes"
    parser.add_argument("--block", type=duration, default=0.05, metavar="SECONDS", help=block)
    parser.add_argument("--epochs", type=positive, default=2, help="timed epochs in a segment")
    add_timing_arguments(parser)
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device here; leave out --device cuda")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, or one of its processes."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--worker"]:
        work(arguments[1])
        return 0
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    about = {**environment(), "threads": options.threads, "device": device}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    results = {part: run(options) for part, run in RUN.items() if part in options.parts}
    if options.json:
        write_json(options.json, {"environment": about, **results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
