"""Time the importance-weighted likelihood against its matrix products alone.

Evaluated is a 784-400-20-400-784 VAE with K = 5,000 samples on 1,000 MNIST test images through
``zoo.evaluation.evaluate_model``, all of it: binarising, the ELBO's pass, the weighted pass. The
products alone are what no evaluation can do without: the encoder's three (its head included) once
for each image, the decoder's two for each image and sample, at the same 2,048 rows at a time, into
memory allocated beforehand, without bias, activation or likelihood.

Beside it the same evaluation with ``compile``, which makes its code anew for each part, in some
seconds: the fewer parts and the more images, the less of its time that is.

The images are split into --parts, one for each round; a repetition is one image. The peak memory of
the process is reported too; ``--examples 10000 --parts 1`` measures it for the whole test set in
one evaluation.

    python scripts/benchmarks evaluation --data-root DIR [--json FILE]
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from _records import positive
from benchmarks._blocks import elapsed
from benchmarks._figures import Bar, Case, Contender
from benchmarks._harness import build_parser, measure, report, start
from torch import nn

from zoo.data import Examples, load_dataset
from zoo.evaluation import evaluate_model
from zoo.variants.vae import VAE, VAEConfig

ROWS = 2048
"""How many examples are decoded at a time, in the evaluation and in the products alone."""
BARS = [Bar("compiled", "products", 1.5, is_cost=True)]


class Products:
    """The matrix products of a network's dense layers for batches of up to ``ROWS`` rows."""

    def __init__(self, network: nn.Module) -> None:
        layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
        self.weights = [layer.weight.detach().T for layer in layers]
        self.inputs = [torch.rand(ROWS, len(weight)) for weight in self.weights]
        self.outputs = [torch.empty(ROWS, weight.shape[1]) for weight in self.weights]

    def run(self, rows: int) -> None:
        """The products for so many rows in all."""
        for begin in range(0, rows, ROWS):
            count = min(ROWS, rows - begin)
            for x, weight, out in zip(self.inputs, self.weights, self.outputs, strict=True):
                torch.mm(x[:count], weight, out=out[:count])


def create_model() -> VAE:
    """The network of the benchmark with fresh weights: its speed does not depend on them."""
    torch.manual_seed(0)
    settings = {"latent_dim": 20, "backbone": {"name": "mlp", "hidden": [400]}}
    return VAE(VAEConfig.parse({"input_shape": (1, 28, 28), **settings}, "the model")).eval()


def build_case(parts: Sequence[Examples], warm_up: Examples, samples: int) -> Case:
    """Both ways through the same images; the first call of each sets things up."""
    model = create_model()
    encoder, head, decoder = map(Products, (model.encoder, model.posterior, model.decoder))

    def multiply(split: Examples) -> None:
        encoder.run(len(split))
        head.run(len(split))
        decoder.run(len(split) * samples)

    def evaluate(split: Examples, compile: bool = False) -> None:
        evaluate_model(
            model, split, name="benchmark", dataset="mnist", samples=samples, batch_size=ROWS,
            compile=compile,
        )  # fmt: skip

    ways = {
        "products": multiply, "evaluation": evaluate, "compiled": partial(evaluate, compile=True)
    }  # fmt: skip
    for way in ways.values():
        way(warm_up)
    contenders = {name: Contender(on_each(parts, way)) for name, way in ways.items()}
    return Case({"samples": samples}, contenders, unit="images")


def on_each(parts: Sequence[Examples], way: Callable[[Examples], None]) -> Callable[[], float]:
    """Seconds for an example; every call is on the next part."""
    left = iter(parts)

    def seconds() -> float:
        part = next(left)
        return elapsed(partial(way, part)) / len(part)

    return seconds


def split_into(split: Examples, parts: int) -> list[Examples]:
    """So many pieces of one size, but for rounding; SystemExit where one has fewer than two."""
    if len(split) < 2 * parts:
        raise SystemExit(
            f"error: {len(split)} images cannot be split into {parts} parts of at least "
            "two; give fewer --parts or more --examples"
        )
    return [split.select(piece) for piece in torch.tensor_split(torch.arange(len(split)), parts)]


def peak_mebibytes() -> float:
    """The most memory this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = build_parser(__name__, __doc__, rounds=10, option="--parts")
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--examples", type=positive, default=1000)
    parser.add_argument("--samples", type=positive, default=5000)
    options = start(parser, arguments)
    before = peak_mebibytes()
    split = load_dataset("mnist", root=options.data_root).test.take(options.examples)
    parts = split_into(split, options.rounds)
    cases = [build_case(parts, split.take(2), options.samples)]
    found = measure(cases, options)
    extra = {
        "images_in_parts": [len(part) for part in parts],
        "peak_mebibytes": peak_mebibytes(),
        "peak_mebibytes_before": before,
    }
    report(options, cases, found, BARS, extra)
    return 0
