"""The decoupled figure: what Davidson et al.'s published example computes for log p(x).

    log p(x|z_0) + log 1/n sum_i p(z_i) / q(z_i|x),    z_0, z_1, ..., z_n ~ q(z|x) independent

`log_likelihood` of examples/mnist.py in github.com/nicola-decao/s-vae-tf weighs draws of its own by
p / q, not the one that is decoded. The second part then depends on the posterior alone. Its mean is
-KL for one draw and rises to 0 with n, as E_q[p / q] = 1: what is left is the reconstruction. So
this neither estimates log p(x) nor bounds it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

from zoo import Batch, LatentVariableModel
from zoo.data import Examples
from zoo.distributions import HypersphericalUniform, VonMisesFisher
from zoo.distributions.polar import draw_polar
from zoo.evaluation import Estimate
from zoo.evaluation.results import mean_of

SAMPLES = 1000
"""n: the one number that was fitted to the paper's table, and serves all of it."""
ROWS = 100
"""Examples at a time."""
BLOCKS = 30
"""Of so many rows each, of which a prediction is the mean."""


def log_mean_ratio(log_ratios: Tensor) -> Tensor:
    """log 1/n sum_i p(z_i) / q(z_i|x) of log p - log q, (n, B): (B,)."""
    return log_ratios.logsumexp(0) - math.log(len(log_ratios))


@torch.no_grad()
def decoupled_figure(model: LatentVariableModel, batch: Batch, samples: int) -> Tensor:
    """The decoupled figure of each example, (B,)."""
    draws = model.infer(batch, samples)
    return model.infer(batch).log_likelihood[0] + log_mean_ratio(
        (draws.log_p - draws.log_q).sum(-1)
    )


def measure_decoupled(
    model: LatentVariableModel, examples: Examples, samples: int = SAMPLES, seed: int = 0
) -> Estimate:
    """Its mean over examples, which are binarised as an evaluation's are."""
    torch.manual_seed(seed)
    batches = examples.fixed(model.input_kind, seed).batches(ROWS, model.input_kind)
    values = torch.cat([decoupled_figure(model, batch, samples) for batch in batches])
    return mean_of("the decoupled figure", values)


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
