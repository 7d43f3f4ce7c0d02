"""Check on an accelerator what the tests check on a CPU, and measure it there: one JSON record.

Every registered variant has a process of its own and a share of the time, so that what fails,
hangs or loses the device costs no other variant. In it, the cheap things first:

``resume``   trained for two epochs, and for one, stopped and resumed: the same weights, bit by bit.
``figures``  of a released checkpoint, the ELBO and the importance-weighted bound, here and on the
             CPU: equal but for the error of their noise, which repetitions of both measure.
``no copies``  the bound with its KL, sampling, and importance weights of 5,000 draws while every
             wait for the device is an error; their seconds and the most memory they took.
``speed``    examples per second of the trainer's step, eager and compiled, beside the bare loop of
             the benchmark ``training`` (of a plain VAE) and as a fraction of the matrix products
             of ``throughput``; and of bound, backward and Adam captured in a CUDA graph.

Data are scikit-learn's digits, enlarged to 28 x 28 where speed is measured. --quick does all but
compiling, at sizes that say nothing, and needs no accelerator: it tests this script.

    python scripts/accelerator_check.py --json FILE [--device cuda] [--variants NAME ...] [--quick]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _device_checks import Sizes

NEEDED = (
    "einops filelock jinja2 numpy PIL pydantic yaml requests rich safetensors sklearn tensorboard "
    "tokenizers torch typer urllib3"
)
SECONDS = 450.0
"""For everything; half a minute less than eight minutes."""

Record = dict[str, Any]

# torch, zoo and the checks are imported where they are used: what is missing is said first.


def work(variants: Sequence[str], sizes: Sizes) -> None:
    """The life of a process: every check of its variants, a line for each once it is known."""
    from _device_checks import CHECKS, attempted
    from benchmarks._workers import answering

    with answering() as answer:
        for variant in variants:
            for name, check in CHECKS.items():
                start = time.perf_counter()
                row = attempted(check, variant, sizes)
                seconds = round(time.perf_counter() - start, 2)
                answer(json.dumps([variant, name, {**row, "took": seconds}]))


def run_checks(variants: Sequence[str], sizes: Sizes, seconds: float) -> dict[str, Record]:
    """Each variant's checks, all in one process; those that it did not reach are failures."""
    from _device_checks import CHECKS

    job = json.dumps({"variants": variants, "sizes": asdict(sizes)})
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        reason = end_of([sys.executable, __file__, "--worker", job], output, errors, seconds)
        output.seek(0)
        errors.seek(0)
        found = {(variant, name): row for variant, name, row in map(json.loads, output)}
        last = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
    missing = {"passed": False, "reason": f"{reason}: {last}"}
    return {v: {name: found.get((v, name), missing) for name in CHECKS} for v in variants}


def end_of(command: list[str], output: Any, errors: Any, seconds: float) -> str:
    """Run a command for at most so many seconds; how it ended."""
    process = subprocess.Popen(command, stdout=output, stderr=errors, start_new_session=True)
    try:
        return f"the process ended before it with code {process.wait(seconds)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the compiler's processes as well
        process.wait()
        return f"not reached within {seconds:.0f} s"


def verdict(name: str, row: Record) -> str:
    """In a word or two. A CUDA graph is measured where it works, and need not."""
    if row["passed"] is None:
        return "left out"
    if row["passed"]:
        return "passed"
    return "does not work" if name == "graph" else "FAILED"


def show(variant: str, checks: Record) -> None:
    """A line for each check."""
    for name, row in checks.items():
        parts = {key: value for key, value in row.items() if isinstance(value, dict)}
        parts.update(row.get("calls", {}))
        said = [f"{key} {value['examples_per_second']:,.0f} examples/s"
                for key, value in parts.items() if "examples_per_second" in value]  # fmt: skip
        said += [f"{key}: {value['reason']}" for key, value in parts.items() if "reason" in value]
        said += [row["reason"]] if "reason" in row else []
        print(f"{variant:22}{name:12}{verdict(name, row):15}{', '.join(said)}", flush=True)


def describe_device(name: str) -> Record:
    """What the figures depend on beside the code."""
    import torch
    from _records import environment

    about: Record = dict(environment())
    if torch.device(name).type == "cuda":
        properties = torch.cuda.get_device_properties(torch.device(name))
        about["device"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        about["cuda"] = torch.version.cuda
    return about


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; refuses what cannot run here."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="all that read images")
    parser.add_argument("--quick", action="store_true", help="at sizes that say nothing")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    if missing := [name for name in NEEDED.split() if importlib.util.find_spec(name) is None]:
        parser.error(f"this Python cannot import {', '.join(missing)}; install them first")
    import torch
    from _device_checks import Sizes, quick

    import zoo

    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device; --device cpu --quick tests this script without one")
    known = zoo.list_variants()
    options.variants = options.variants or [name for name in known if reads_images(name)]
    if unknown := sorted(set(options.variants) - set(known)):
        parser.error(f"unknown variants {', '.join(unknown)}; known are {', '.join(known)}")
    options.sizes = quick(options.device) if options.quick else Sizes(options.device)
    return options


def reads_images(variant: str) -> bool:
    """Whether a variant can be made for the images of the checks."""
    from zoo.variants import Variant

    return "images" in Variant.find(variant).model.reads


def main(arguments: list[str] | None = None) -> int:
    """Check every variant and write the record; 1 where something failed."""
    from _records import write_json

    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--worker"]:
        from _device_checks import Sizes

        job = json.loads(arguments[1])
        work(job["variants"], Sizes(**job["sizes"]))
        return 0
    options = parse_arguments(arguments)
    record = {
        "environment": describe_device(options.device),
        "quick": options.quick,
        "sizes": asdict(options.sizes),
        "variants": {},
    }
    start = time.monotonic()
    groups = [options.variants] if options.quick else [[name] for name in options.variants]
    for number, group in enumerate(groups):
        left = SECONDS - (time.monotonic() - start)
        share = max(1.0, min(left, 2 * left / (len(groups) - number)))
        check_group(group, options, share, record)
    record["seconds"] = time.monotonic() - start
    verdicts = [verdict(*row) for checks in record["variants"].values() for row in checks.items()]
    record["passed"] = "FAILED" not in verdicts
    write_json(options.json, record)
    print(f"{'passed' if record['passed'] else 'FAILED'} after {record['seconds']:.0f} s")
    return 0 if record["passed"] else 1


def check_group(
    group: Sequence[str], options: argparse.Namespace, seconds: float, record: Record
) -> None:
    """Add what variants checked in one process give, and write all that is known so far."""
    from _records import write_json

    for variant, checks in run_checks(group, options.sizes, seconds).items():
        record["variants"][variant] = checks
        show(variant, checks)
    write_json(options.json, record)


if __name__ == "__main__":
    raise SystemExit(main())
