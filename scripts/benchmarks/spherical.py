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
since every model does it in the same way, and so is the validation of arguments. All run in one
process, which keeps the memory of freed tensors, as those of ``zoo.train`` and ``zoo.evaluate`` do.
With --device cuda both ends of a block wait for the device, and the vmf's steps are done once more
where PyTorch does not let the host wait for it.

``training``: a step of ``zoo.train`` on MNIST with vmf-vae (11 numbers) and with gaussian-vae
(10 numbers), both 784-256-128 and back, at batch 64, timed as the benchmark ``training`` does it.

    python scripts/benchmarks spherical --data-root DIR [--hyperspherical-path DIR] [--json FILE]

hyperspherical_vae is the package in github.com/nicola-decao/s-vae-pytorch; it needs scipy.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from _records import positive
from benchmarks._blocks import in_blocks
from benchmarks._figures import Bar, Case
from benchmarks._harness import build_parser, measure, report, start
from benchmarks._spheres import (
    BATCHES,
    GAUSSIAN,
    OTHERS,
    SETTINGS,
    VMF,
    WIDTHS,
    Setting,
    Step,
    families,
    host_waits,
    is_finite,
    step_of,
)
from benchmarks._trainers import Job, on_mnist

TRAINED = {"gaussian-vae": 10, "vmf-vae": 11}
"""Variants and how many numbers a code has: the same dimension, 10, for both."""
Steps = dict[Setting, dict[str, Step]]
"""Everyone's, in every setting."""


def bar(
    operation: str, widths: tuple[int, ...], batches: tuple[int, ...], limit: float, other: str
) -> Bar:
    """What zoo's vmf must reach: so many times another's speed, or at most a Gaussian's time."""
    where = {"operation": (operation,), "width": widths, "batch": batches}
    return Bar(VMF, other, limit, is_cost=other == GAUSSIAN, where=where)


BARS = (
    bar("kl", WIDTHS, (4096,), 5.0, OTHERS),
    bar("kl", WIDTHS, (128,), 2.0, OTHERS),
    bar("sample", (6, 11), BATCHES, 3.0, OTHERS),
    bar("sample", (41,), BATCHES, 2.0, OTHERS),
    bar("sample", (41, 129), (4096,), 2.5, GAUSSIAN),
    Bar("vmf-vae", "gaussian-vae", 1.25, is_cost=True),
)


def build_steps(options: argparse.Namespace) -> Steps:
    """All that can run here."""
    rivals, device = families(options.hyperspherical_path), torch.device(options.device)
    return {
        setting: {name: step_of(setting, family, device) for name, family in rivals.items()}
        for setting in SETTINGS
    }


def notice(steps: Steps, options: argparse.Namespace) -> dict[str, Any]:
    """Whose results are not finite, and what makes the host wait for a device."""
    broken = [
        f"{name} at {asdict(setting)}"
        for setting, rivals in steps.items()
        for name, step in rivals.items()
        if not is_finite(step)
    ]
    if options.device != "cuda":
        return {"not_finite": broken}
    waits = host_waits([rivals[VMF] for rivals in steps.values()], torch.device("cuda"))
    return {"not_finite": broken, "host_waits": waits or "never, in every case"}


def operations(steps: Steps, options: argparse.Namespace) -> list[Case]:
    """A case for each setting."""
    return [
        Case(asdict(setting), {n: in_blocks(options, step) for n, step in rivals.items()}, "steps")
        for setting, rivals in steps.items()
    ]


def training(options: argparse.Namespace, stack: ExitStack) -> Case:
    """Both variants, each in a process of its own until the stack is left."""
    jobs = {
        variant: Job("zoo", (256, 128), latent, 64, variant, device=options.device)
        for variant, latent in TRAINED.items()
    }
    trainings = stack.enter_context(on_mnist(jobs, options))
    contenders = {name: each.contender for name, each in trainings.items()}
    return Case({"operation": "training"}, contenders, "images")


def package_folder(text: str) -> str:
    """An argparse type: a folder that hyperspherical_vae can be imported from."""
    if not (Path(text) / "hyperspherical_vae" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"there is no package hyperspherical_vae in {text}")
    return str(Path(text).resolve())


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line; refuses a device that is not here."""
    parser = build_parser(__name__, __doc__, rounds=7, block=0.05)
    parts = ("operations", "training")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    path = "folder that holds hyperspherical_vae; without it its bars are not measured"
    parser.add_argument("--hyperspherical-path", type=package_folder, metavar="DIR", help=path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--epochs", type=positive, default=2, help="timed epochs in a segment")
    options = start(parser, arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device here; leave out --device cuda")
    return options


def main(arguments: list[str]) -> int:
    """Measure and print."""
    options = read_arguments(arguments)
    cases, extra = [], {}
    with ExitStack() as stack:
        if "operations" in options.parts:
            steps = build_steps(options)
            cases, extra = operations(steps, options), notice(steps, options)
        if "training" in options.parts:
            cases.append(training(options, stack))
        found = measure(cases, options)
    report(options, cases, found, BARS, extra)
    return 0
