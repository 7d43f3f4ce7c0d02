"""What a mean KL alone predicts of the decoupled figure, beside what the paper calls log p(x).

    python scripts/decoupled.py

The decoupled figure (zoo/metrics/decoupled.py) depends, beside the reconstruction, on the posterior
alone, and so nearly on its mean KL: of the ELBO and the KL of a row of davidson2018 it is known to
some 0.05 nats. Printed are the paper's log-likelihood beside the prediction of the paper's own ELBO
and KL, and of ours. Of a Gaussian code more than ten dimensions are not all used, and nothing is
said.
"""

from __future__ import annotations

import math
import sys
from functools import cache

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

import zoo
from zoo.distributions import HypersphericalUniform, VonMisesFisher
from zoo.distributions.polar import draw_polar
from zoo.evaluation.table import aligned
from zoo.metrics.decoupled import log_mean_ratio
from zoo.studies import StudyReport

SAMPLES = 1000
"""n: the one number that was fitted to the paper's table, and serves all of it."""
ROWS = 100
"""Examples at a time."""
BLOCKS = 30
"""Of so many rows each, of which a prediction is the mean."""
MOST_IN_USE = 10
"""Of a Gaussian code more dimensions than so many are not all used."""


def main() -> int:
    """Print the table."""
    report = zoo.reproduce("davidson2018")
    rows = [["", "paper's log p(x)", "of its KL", "ours, of our KL"]]
    for point in report.study.points:
        claim = report.theirs(point, "log p(x)")
        said = "-" if claim is None else f"{claim.value:.2f}"
        found = (predicted(report, point, who) for who in ("theirs", "ours"))
        rows.append([point, said, *("-" if each is None else f"{each:.2f}" for each in found)])
    print(aligned(rows))
    return 0


def predicted(report: StudyReport, point: str, who: str) -> float | None:
    """Of the ELBO and the KL of the paper ("theirs") or of our runs ("ours")."""
    elbo, kl = (getattr(report, who)(point, column) for column in ("ELBO", "KL"))
    dim, on_sphere = int(point.rpartition(" ")[2]), point.startswith("S-VAE")
    if elbo is None or kl is None or not (on_sphere or dim <= MOST_IN_USE):
        return None
    return float(elbo.value) + predicted_gap("vmf" if on_sphere else "gaussian", dim, kl.value)


@cache
def predicted_gap(posterior: str, dim: int, kl: float, samples: int = SAMPLES) -> float:
    """The decoupled figure less the ELBO, of a mean KL alone: to some 0.05 nats.

    Of the sphere all posteriors are taken to have one concentration; of the plane one scale in all
    dimensions, and means such that the codes together are standard normal.
    """
    log_ratios = _on_the_sphere if posterior == "vmf" else _in_the_plane
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [log_mean_ratio(log_ratios(dim, kl, samples)) for _ in range(BLOCKS)]
    return kl + float(torch.cat(blocks).mean())


def _in_the_plane(dim: int, kl: float, samples: int) -> Tensor:
    """log p - log q of draws (n, B) with a mean KL of -sum log sigma, as mu^2 + sigma^2 is 1."""
    scale = math.exp(-kl / dim)
    loc = math.sqrt(1 - scale**2) * torch.randn(ROWS, dim)
    noise = torch.randn(samples, ROWS, dim)
    return (0.5 * (noise.square() - (loc + scale * noise).square())).sum(-1) - kl


def _on_the_sphere(dim: int, kl: float, samples: int) -> Tensor:
    """log p - log q of draws (n, B), of which it needs the cosines to the mean direction alone."""
    concentration, mean_cosine = _of_mean_kl(dim, kl)
    gaps = draw_polar(torch.full((samples * ROWS,), concentration), dim + 1)  # 1 - cosine
    return concentration * (gaps.view(samples, ROWS) - (1 - mean_cosine)) - kl


def _of_mean_kl(dim: int, kl: float) -> tuple[float, float]:
    """The concentration whose KL to the uniform distribution is so large, and E[cosine]."""
    pole = one_hot(torch.zeros(1, dtype=torch.long), dim + 1).double()
    prior, low, high = HypersphericalUniform(dim), 0.0, 1e7
    for _ in range(60):  # the KL rises with the concentration
        middle = (low + high) / 2
        q = VonMisesFisher(pole, torch.full((1, 1), middle, dtype=torch.float64))
        low, high = (middle, high) if float(kl_divergence(q, prior)) < kl else (low, middle)
    return middle, float(q.mean[0, 0])


if __name__ == "__main__":
    sys.exit(main())
