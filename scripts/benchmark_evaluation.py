"""Time the importance-weighted likelihood against its matrix products alone.

Evaluated is a 784-400-20-400-784 VAE with K = 5,000 samples on 1,000 MNIST test images through
``zoo.evaluation.evaluate_model``, all of it: binarising, the ELBO's pass, the weighted pass. The
products alone are what no evaluation can do without: the encoder's three (its head included) once
for each image, the decoder's two for each image and sample, at the same 1,024 rows at a time, into
memory allocated beforehand, without bias, activation or likelihood.

The images are split into parts; for each part the products are timed, then the evaluation, so that
both see the same machine. Processor time of foreign processes is measured all the while: disturbed
parts are left out where undisturbed ones remain, and marked with a "!" where not. The peak memory
of the process is reported too; ``--examples 10000 --parts 1`` measures it for the whole test set
in one evaluation.

    python scripts/benchmark_evaluation.py --data-root DIR [--json FILE]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from _timing import (
    Load,
    add_timing_arguments,
    environment,
    measured_load,
    positive,
    quiet,
    spread,
    wait_until_quiet,
    write_json,
)
from torch import Tensor, nn

from zoo.data import Examples, load_dataset
from zoo.evaluation import evaluate_model
from zoo.variants.vae import VAE, VAEConfig

ROWS = 2048
"""How many examples are decoded at a time, in the evaluation and in the products alone."""
BAR = 1.5


@dataclass(frozen=True)
class Part:
    """Seconds for the same images, once each way."""

    examples: int
    products: float
    evaluation: float
    load: Load

    @property
    def ratio(self) -> float:
        """How many times its matrix products the evaluation takes."""
        return self.evaluation / self.products


class Products:
    """The matrix products of a network's dense layers for batches of up to ``ROWS`` rows."""

    def __init__(self, network: nn.Module) -> None:
        layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
        self.weights = [layer.weight.detach().T for layer in layers]
        self.inputs = [torch.rand(ROWS, len(weight)) for weight in self.weights]
        self.outputs = [torch.empty(ROWS, weight.shape[1]) for weight in self.weights]

    def run(self, rows: int) -> None:
        """The products for so many rows in all."""
        for start in range(0, rows, ROWS):
            count = min(ROWS, rows - start)
            for x, weight, out in zip(self.inputs, self.weights, self.outputs, strict=True):
                torch.mm(x[:count], weight, out=out[:count])


def create_model() -> VAE:
    """The network of the benchmark with fresh weights: its speed does not depend on them."""
    torch.manual_seed(0)
    settings = {"latent_dim": 20, "backbone": {"name": "mlp", "hidden": [400]}}
    return VAE(VAEConfig.parse({"input_shape": (1, 28, 28), **settings}, "the model")).eval()


def time_part(model: VAE, split: Examples, samples: int, networks: tuple[Products, ...]) -> Part:
    """The products, then the evaluation."""
    encoder, head, decoder = networks
    with measured_load() as load:
        start = time.perf_counter()
        encoder.run(len(split))
        head.run(len(split))
        decoder.run(len(split) * samples)
        middle = time.perf_counter()
        evaluate_model(
            model, split, name="benchmark", dataset="mnist", samples=samples, batch_size=ROWS
        )
        end = time.perf_counter()
    return Part(len(split), middle - start, end - middle, load)


def parts_of(split: Examples, parts: int) -> Iterator[Examples]:
    """The split in so many pieces of one size, but for rounding."""
    index = torch.arange(len(split))
    pieces: tuple[Tensor, ...] = torch.tensor_split(index, parts)
    for piece in pieces:
        yield split.select(piece)


@torch.no_grad()
def measure(options: argparse.Namespace) -> list[Part]:
    """Every part, one after another."""
    split = load_dataset("mnist", root=options.data_root).test.take(options.examples)
    if len(split) < 2 * options.parts:
        raise SystemExit(
            f"error: {len(split)} images cannot be split into {options.parts} parts of at least "
            "two; give fewer --parts or more --examples"
        )
    model = create_model()
    networks = tuple(Products(part) for part in (model.encoder, model.posterior, model.decoder))
    time_part(model, split.take(2), options.samples, networks)  # the first call sets things up
    parts = []
    for number, piece in enumerate(parts_of(split, options.parts), start=1):
        wait_until_quiet(options.wait)
        parts.append(time_part(model, piece, options.samples, networks))
        note(f"part {number} of {options.parts}", parts[-1])
    return parts


def note(place: str, part: Part) -> None:
    """One line while the benchmark runs."""
    text = f"{place}: products {part.products:.2f} s, evaluation {part.evaluation:.2f} s"
    print(f"{text}, {part.load}", file=sys.stderr, flush=True)


def peak_mebibytes() -> float:
    """The most memory this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def summarise(parts: list[Part], before: float) -> dict[str, Any]:
    """The figures of the benchmark, scaled to all its images."""
    ratios, mark = quiet([(part.ratio, part.load.disturbed) for part in parts])
    kept = [part for part in parts if mark or not part.load.disturbed]
    products, evaluation = (
        sum(getattr(part, name) for part in kept) for name in ("products", "evaluation")
    )
    return {
        "ratio": evaluation / products,
        "mark": mark,
        "ratio_of_parts": spread(ratios),
        "images_per_second": sum(part.examples for part in kept) / evaluation,
        "left_out": len(parts) - len(kept),
        "peak_mebibytes": peak_mebibytes(),
        "peak_mebibytes_before": before,
        "parts": [asdict(part) for part in parts],
    }


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--examples", type=positive, default=1000)
    parser.add_argument("--samples", type=positive, default=5000)
    parser.add_argument("--parts", type=positive, default=10)
    add_timing_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    about = {**environment(), "threads": options.threads}
    before = peak_mebibytes()
    result = summarise(measure(options), before)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    _, low, high = result["ratio_of_parts"]
    met = "met" if result["ratio"] <= BAR else "missed"
    print(
        f"IW-{options.samples} on {options.examples} images: {result['ratio']:.3f} times its "
        f"matrix products{result['mark']} (parts {low:.3f} to {high:.3f}); at most {BAR}: {met}\n"
        f"{result['images_per_second']:.1f} images/s; {result['left_out']} disturbed parts left "
        f"out; ! means all were disturbed\npeak memory {result['peak_mebibytes']:.0f} MiB, "
        f"{before:.0f} MiB before the data was read"
    )
    if options.json:
        write_json(options.json, {"environment": about, **result})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
