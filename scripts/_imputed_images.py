"""Errors of filled-in images, for measure_imputation.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli

from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel
from zoo.data import Examples, load_for_model
from zoo.tasks.impute import Impute

MASKS = ("random", "half")
"""60 % of the pixels at random, each by itself; and the lower half."""
SEED = 0
"""Of the binarisation and of the masks."""
LEAST = 1e-3
"""Of a probability under which a pixel is scored: a guess of 0 would cost infinitely much."""
LEARNED_FROM = 5000
"""Training images, of which the baselines learn."""


def test_images(model: LatentVariableModel, dataset: str, root: str | None, n: int) -> Tensor:
    """``n`` test images at even distances, as the model reads them."""
    test = load_for_model(model.config, dataset, root=root).test
    fixed: Examples = test.fixed(model.input_kind, SEED).evenly(n)
    return next(iter(fixed.batches(n, "real"))).x


def training_images(model: LatentVariableModel, dataset: str, root: str | None) -> Tensor:
    """Intensities (N, C, H, W), at even distances."""
    train = load_for_model(model.config, dataset, root=root).train.evenly(LEARNED_FROM)
    return next(iter(train.batches(LEARNED_FROM, "real"))).x


def mask(name: str, x: Tensor) -> Tensor:
    """Which pixels are observed."""
    if name == "random":
        return torch.rand(x.shape, generator=torch.Generator().manual_seed(SEED)) >= 0.6
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[:, :, x.shape[2] // 2 :] = False
    return observed


def of_model(
    model: LatentVariableModel, x: Tensor, observed: Tensor, starts: int, draws: int, seed: int
) -> dict[str, Any]:
    """Errors of the best guess for each image; with ``draws`` also log p(x_m|x_o)."""
    task, batch = Impute(Impute.Config(starts=starts)), Batch(x, observed=observed)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = errors(task.best_guess(model, batch, generator), x, observed)
    if draws:
        found["log_p"] = task.log_prob(model, batch, draws, generator).tolist()
    return found


def of_baseline(name: str, x: Tensor, observed: Tensor, train: Tensor) -> dict[str, Any]:
    """The same of a baseline that has learned of training images."""
    filler: Any = Selected.parse("baselines", name).build()
    gaps = torch.where(observed, x, torch.nan).flatten(1).double().numpy()
    filled = filler.fill(gaps, others=train.flatten(1).double().numpy())
    return errors(torch.from_numpy(filled).float().view_as(x), x, observed)


def errors(guess: Tensor, x: Tensor, observed: Tensor) -> dict[str, list[float]]:
    """Of each image: the squared error of a missing pixel, and their log-likelihood, each alone."""
    missing = ~observed
    squared = torch.where(missing, (guess - x).square(), 0).flatten(1).sum(1)
    scored = Bernoulli(guess.clamp(LEAST, 1 - LEAST)).log_prob(x)
    alone = torch.where(missing, scored, 0).flatten(1).sum(1)
    return {
        "squared_error": (squared / missing.flatten(1).sum(1)).tolist(),
        "log_p_alone": alone.tolist(),
    }
