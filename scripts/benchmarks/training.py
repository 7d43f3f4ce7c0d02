"""Time zoo's trainer against the barest loop that trains the same VAE, and against pythae.

The task is one epoch of a 784-400-20-400-784 VAE on MNIST at batch 128. What is timed:

- ``bare``: images as uint8 in memory, indexed and binarised anew for each batch, eager float32,
  fused Adam. It logs nothing, saves nothing, validates nothing.
- ``zoo``, with ``-bf16`` (precision="bfloat16"), ``-compile`` (compile=True) or both: ``zoo.train``
  as a user calls it, with progress bar, metrics.jsonl, TensorBoard, checkpoints and validation
  (on 500 images: the split is made small, not left out).
- ``pythae`` (with --pythae-python): its VAE and BaseTrainer with its own 784-512-16 network, from
  memory, on images that are not binarised at all; beside it the same network in the bare loop
  (``bare-512``: how much there is to win) and in zoo (``zoo-512``).

Each contender is a process of its own that lives as long as the benchmark, its standard error a
terminal, so that progress bars are drawn. It trains once from scratch in each round, in turn, while
the others sleep. A repetition is a step, and counted is the wall-clock time from the end of the
first epoch to the end of the last with all that happens between: so neither imports, reading the
data nor compiling count, but an epoch's validation, logging and saving do. What precedes the first
epoch's end, less one epoch, is shown as "start_seconds".

    python scripts/benchmarks training --data-root DIR [--pythae-python PATH] [--json FILE]

pythae wants an environment of its own (torch, numpy, pydantic, scipy and scikit-learn in it):
``pip install --no-deps pythae==0.1.2 cloudpickle imageio tqdm``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace

from _records import positive
from benchmarks._figures import Bar, Case, Contender
from benchmarks._harness import build_parser, measure, report, start
from benchmarks._trainers import Job, Training, on_mnist, work

BARS = (
    Bar("zoo", "bare", 0.95),
    Bar("zoo*", "bare", 1.25),
    Bar("zoo-512", "pythae", 1.45),
    Bar("zoo-512*", "pythae", 1.9),
)
"""What the plain trainer must reach, and what the fastest one should reach."""


def jobs_of(plain: Job, pythae: bool) -> dict[str, Job]:
    """All that can run here, by name."""
    larger = replace(plain, hidden=(512,), latent=16)
    jobs = {"bare": replace(plain, trainer="bare"), **variations("zoo", plain)}
    if pythae:
        jobs["pythae"] = replace(larger, trainer="pythae")
        jobs["bare-512"] = replace(larger, trainer="bare")
        jobs |= variations("zoo-512", larger)
    return jobs


def variations(name: str, plain: Job) -> dict[str, Job]:
    """Of zoo's trainer; compilation needs a C++ compiler."""
    jobs = {name: plain, f"{name}-bf16": replace(plain, precision="bfloat16")}
    if any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        jobs |= {f"{each}-compile": replace(job, compile=True) for each, job in jobs.items()}
    return jobs


def cases_of(trainings: Mapping[str, Training]) -> list[Case]:
    """One for each network: what trains another is not compared."""
    networks: dict[int, dict[str, Contender]] = {}
    for name, each in trainings.items():
        networks.setdefault(each.job.hidden[0], {})[name] = each.contender
    return [Case({"hidden": width}, each, "images") for width, each in networks.items()]


def main(arguments: list[str]) -> int:
    """Measure and print, or be one of the trainers' processes."""
    if arguments[:1] == ["--worker"]:
        return work(arguments[1])
    parser = build_parser(__name__, __doc__)
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=positive, default=2, help="timed epochs in a segment")
    parser.add_argument("--pythae-python", metavar="PATH", help="a Python that has pythae")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="what is timed; all")
    options = start(parser, arguments)
    known = jobs_of(Job("zoo"), options.pythae_python is not None)
    chosen = options.contenders or list(known)
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"unknown contenders {', '.join(unknown)}; here run {', '.join(known)}")
    with on_mnist({name: known[name] for name in known if name in chosen}, options) as trainings:
        cases = cases_of(trainings)
        found = measure(cases, options)
    starts = {name: each.start_seconds for name, each in trainings.items()}
    report(options, cases, found, BARS, {"start_seconds": starts})
    return 0
