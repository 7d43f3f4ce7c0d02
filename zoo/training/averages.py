"""Averages of the weights along a training, and one of any length made of two when it is over.

The latter is from Karras et al. 2024 (arXiv:2312.02696), whose equations are named here. An average
up to step t weighs the weights of step tau by (gamma + 1) tau^gamma / t^(gamma + 1); its length is
the standard deviation of that profile as a fraction of t.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError

STORED = (0.05, 0.10)
"""The lengths that a training keeps; others are made of them."""
LONGEST = 12**-0.5
"""Of gamma = 0, the plain mean of all steps."""

Weight = Callable[[int], float]
"""Of the newest weights in an average, after the optimiser's step number so and so, from 0."""


class MovingAverage:
    """A copy of a model that follows it: a <- (1 - w) a + w theta after every step."""

    def __init__(self, model: LatentVariableModel, weight: Weight) -> None:
        self.model, self.weight = copy.deepcopy(model), weight
        # Walking the modules for these at every step would take as long as the update itself.
        self.averages: list[Tensor] = list(self.model.parameters())
        self.weights: list[Tensor] = list(model.parameters())
        self.buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after its optimiser's step number ``step``, from 0."""
        torch._foreach_lerp_(self.averages, self.weights, self.weight(step))
        for average, buffer in self.buffers:
            average.copy_(buffer)


def exponential(decay: float) -> Weight:
    """w = 1 - min(decay, (1 + step) / (10 + step)): the first, random weights are soon forgotten.

    >>> [round(exponential(0.9)(step), 3) for step in (0, 10, 1000)]
    [0.9, 0.45, 0.1]
    """
    return lambda step: 1 - min(decay, (1 + step) / (10 + step))


def power(length: float) -> Weight:
    """w = 1 - (1 - 1/t)^(gamma + 1), t counted from 1 (eq. 127).

    >>> [round(power(0.1)(step), 3) for step in (0, 10, 1000)]
    [1.0, 0.531, 0.008]
    """
    exponent = exponent_of(length) + 1
    return lambda step: 1 - (1 - 1 / (step + 1)) ** exponent


def exponent_of(length: float) -> float:
    """gamma >= 0 with length^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) (eq. 123).

    Raises ConfigError for a length that no profile has.

    >>> round(exponent_of(0.05), 2), round(exponent_of(0.10), 2)
    (16.97, 6.94)
    """
    if not 0 < length <= LONGEST:
        raise ConfigError(
            f"the length of an average is a fraction of the training, above 0 and at most "
            f"{LONGEST:.4f} (the mean of all steps), got {length:g}"
        )
    target = length**-2
    roots = np.roots([1, 7, 16 - target, 12 - target])
    return max(0.0, float(roots.real.max()))


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The integral of the product of two profiles, each an exponent and a step (eq. 147).

    >>> overlap((0.0, 10.0), (0.0, 10.0))  # of two constants 1/10 over ten steps
    0.1
    """
    (gamma, t), (other, end) = a, b
    # Of powers of steps alone, which overflow, only ratios are taken.
    shares = (gamma + 1) * math.log(min(t, end) / t) + (other + 1) * math.log(min(t, end) / end)
    return (gamma + 1) * (other + 1) / (gamma + other + 1) * math.exp(shares) / min(t, end)


def combination(snapshots: Sequence[tuple[float, int]], length: float, step: int) -> list[float]:
    """How much of each snapshot, a length and its step, is in the average of another length.

    The least-squares fit of its profile at ``step`` by theirs (eq. 145).
    """
    profiles = [(exponent_of(each), float(t)) for each, t in snapshots]
    wanted = (exponent_of(length), float(step))
    gram = np.array([[overlap(a, b) for b in profiles] for a in profiles])  # (n, n)
    beside = np.array([overlap(each, wanted) for each in profiles])  # (n,)
    fitted: list[float] = np.linalg.lstsq(gram, beside, rcond=None)[0].tolist()
    return fitted
