"""How clearly objectives speak to the encoder: signal to noise of its gradient, by samples k.

Signal is the absolute mean of a weight's gradient over many draws on one batch, noise its standard
deviation; the ratio is averaged over the encoder's weights. Rainforth et al. 2018
(arXiv:1802.04537) show that of `iwae` falls as k^-1/2, Tucker et al. 2019 (arXiv:1810.04152) that
of `dreg` grows as k^1/2, once k is large enough for the bound to be tight. Measured on their model,
z ~ N(0, I), x ~ N(z, I), q(z|x) = N(A x + b, 2/3 I) in five dimensions near its optimum, and on a
released one, whose bound is not tight: there `dreg` stops growing. As in the papers weights are
moved a little off the optimum, where there would be no signal: by N(0, 0.01^2). What is no signal
at all measures as sqrt(2 / (pi draws)).

    python scripts/gradient_noise.py [gaussian-vae-digits] [--data-root DIR]

Figures go to scripts/results/gradient-noise.json, the plot to docs/images/.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from _records import environment, positive, write_json
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

import zoo
from zoo.core.batch import Batch
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.data import load_for_model
from zoo.likelihoods.gaussian import Gaussian
from zoo.objectives import Objective
from zoo.objectives.base import Step
from zoo.objectives.dreg import DReG
from zoo.objectives.iwae import IWAE
from zoo.storage import checkpoint
from zoo.storage.hub import locate

ROOT = Path(__file__).resolve().parents[1]
OBJECTIVES: dict[str, type[IWAE]] = {"iwae": IWAE, "dreg": DReG}
SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
DIM = 5
MOVED = 0.01
"""Standard deviation of what is added to the weights."""
COLOURS = {
    "iwae, linear": "#c2410c",
    "dreg, linear": "#1d4ed8",
    "iwae, digits": "#fdba74",
    "dreg, digits": "#93c5fd",
}
WIDTH, HEIGHT, MARGIN = 560, 320, 48


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the figures and draw them."""
    options = parse_arguments(arguments)
    measured = {
        f"{name}, {where}": [signal_to_noise(model, batch, kind, k, options.draws) for k in SAMPLES]
        for where, (model, batch) in (("linear", linear()), ("digits", prepare(options)))
        for name, kind in OBJECTIVES.items()
    }
    for name, ratios in measured.items():
        print(name, " ".join(f"{k}:{ratio:.3f}" for k, ratio in zip(SAMPLES, ratios, strict=True)))
    content = {
        "environment": environment(),
        "command": f"python scripts/gradient_noise.py {options.source} --draws {options.draws} "
        f"--examples {options.examples}",
        "protocol": f"{options.source}, {options.examples} examples, {options.draws} gradients, "
        f"weights moved by N(0, {MOVED}^2), seed 0",
        "samples": SAMPLES,
        "signal_to_noise": measured,
    }
    write_json(options.output, content)
    options.picture.write_text(plot(measured), encoding="utf-8")
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", default="gaussian-vae-digits", metavar="MODEL")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--examples", type=positive, default=16)
    parser.add_argument("--draws", type=positive, default=1000, help="gradients for each figure")
    results, pictures = ROOT / "scripts" / "results", ROOT / "docs" / "images"
    parser.add_argument("--output", type=Path, default=results / "gradient-noise.json")
    parser.add_argument("--picture", type=Path, default=pictures / "gradient-noise.svg")
    return parser.parse_args(arguments)


class Linear(LatentVariableModel):
    """z ~ N(0, I), x ~ N(z, I), q(z|x) = N(A x + b, 2/3 I), at its best: A = I/2 and b = 0."""

    Config = ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        size = config.input_shape[0]
        self.space, self.likelihood = Euclidean(size), Gaussian(Gaussian.Config(), (size,))
        self.encoder, self.posterior = nn.Linear(size, size), nn.Identity()
        with torch.no_grad():
            self.encoder.weight.copy_(torch.eye(size) / 2)
            self.encoder.bias.zero_()

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        """Draws by q(z|x)."""
        x = Batch.of(batch).x
        mean = self.encoder(x)
        q = Independent(Normal(mean, (2 / 3) ** 0.5), 1)
        p = Independent(Normal(torch.zeros(x.shape[1]), 1.0), 1)
        latent = LatentDraw(q.rsample(torch.Size([samples])), q, p, (samples, len(x)))
        return Draws([latent], lambda: self.decode(latent.z), Batch.of(batch), lambda: mean)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """N(z, I)."""
        return Independent(Normal(z, 1.0), 1)

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """N(0, temperature^2 I)."""
        return temperature * torch.randn(n, self.code_dim, generator=generator)


def linear() -> tuple[LatentVariableModel, Batch]:
    """The papers' model, moved off its optimum, and examples of it."""
    torch.manual_seed(0)
    model = Linear(ModelConfig(input_shape=(DIM,)))
    return moved(model), Batch(2**0.5 * torch.randn(16, DIM))


@torch.no_grad()
def moved(model: LatentVariableModel) -> LatentVariableModel:
    """Its weights a little off where they were."""
    for weights in model.parameters():
        weights.add_(MOVED * torch.randn_like(weights))
    return model


def prepare(options: argparse.Namespace) -> tuple[LatentVariableModel, Batch]:
    """The model, moved off its optimum, and a batch that it reads."""
    path = locate(options.source)
    model = zoo.load(path)
    torch.manual_seed(0)
    moved(model)
    dataset = str(checkpoint.read_metadata(path).dataset)
    test = load_for_model(model.config, dataset, root=options.data_root).test
    fixed = test.take(options.examples).fixed(model.input_kind, seed=0)
    return model, fixed.batch(torch.arange(len(fixed)), kind="real")


def signal_to_noise(
    model: LatentVariableModel, batch: Batch, kind: type[IWAE], samples: int, draws: int
) -> float:
    """Of the encoder's gradient, the mean over its weights."""
    objective = kind(kind.Config(samples=samples))
    torch.manual_seed(samples)
    found = torch.stack([encoder_gradient(model, batch, objective) for _ in range(draws)])
    noise = found.std(0)  # (weights,); of a unit that is off it is 0
    ratio = (found.mean(0).abs() / noise)[noise > 0]
    return float(ratio.mean())


def encoder_gradient(model: LatentVariableModel, batch: Batch, objective: Objective) -> Tensor:
    """One draw of it, (weights,)."""
    model.zero_grad()
    objective.loss(objective.draws(model, batch), Step()).value.backward()  # type: ignore[no-untyped-call]
    parts = (model.get_submodule(name) for name in ("encoder", "posterior"))
    found = [_gradient(weights) for part in parts for weights in part.parameters()]
    return torch.cat(found)


def _gradient(weights: nn.Parameter) -> Tensor:
    return torch.zeros_like(weights).flatten() if weights.grad is None else weights.grad.flatten()


def plot(measured: dict[str, list[float]]) -> str:
    """Both axes logarithmic, as SVG."""
    shown = [ratio for ratios in measured.values() for ratio in ratios if ratio > 0]
    low, high = math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown)))

    def across(k: float) -> float:
        return MARGIN + (WIDTH - 3 * MARGIN) * math.log(k) / math.log(SAMPLES[-1])

    def up(ratio: float) -> float:
        share = (math.log10(ratio) - low) / (high - low)
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share

    marks = [_text(across(k), HEIGHT - MARGIN + 16, str(k), "middle") for k in SAMPLES[::3]]
    for exponent in range(low, high + 1):
        y = up(10.0**exponent)
        marks.append(_line([(MARGIN, y), (WIDTH - 2 * MARGIN, y)], "#d4d4d4", 1))
        marks.append(_text(MARGIN - 6, y + 4, f"{10.0**exponent:g}", "end"))
    for name, ratios in measured.items():
        points = [(across(k), up(r)) for k, r in zip(SAMPLES, ratios, strict=True) if r > 0]
        marks.append(_line(points, COLOURS[name], 2))
        marks.append(_text(points[-1][0] + 6, points[-1][1] + 4, name, "start", COLOURS[name]))
    marks.append(_text(WIDTH / 2, HEIGHT - 10, "samples k", "middle"))
    marks.append(_text(MARGIN, 24, "signal / noise of the encoder's gradient", "start"))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    title = "<title>Signal to noise of the encoder's gradient by samples</title>"
    paper = '<rect width="100%" height="100%" fill="white"/>'
    body = "\n".join([title, paper, *marks])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'


def _line(points: list[tuple[float, float]], colour: str, width: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#404040") -> str:
    style = f'font-family="sans-serif" font-size="12" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{text}</text>'


if __name__ == "__main__":
    sys.exit(main())
