"""Examples decided symbol by symbol: the masses of what comes next, given what came before.

An entropy coder needs the probability of each symbol at both ends, as the same floats, while one
end does not know the symbols yet. Both go through the same steps, and say in each what the symbols
are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from zoo.errors import UnsupportedError


class Step(NamedTuple):
    """The masses (..., K) of the symbols at ``where``, an index of all symbols (..., *event)."""

    masses: Tensor
    where: tuple[Any, ...]


Steps: TypeAlias = Generator[Step, Tensor, None]
"""Yields a step, is sent its symbols (...), until all are decided."""


@runtime_checkable
class InSteps(Protocol):
    """A distribution over examples that knows in which steps their symbols are decided."""

    def in_steps(self) -> Steps:
        """The steps of p(x) over symbols 0, 1, ... of its values from the least to the greatest."""


def steps_of(p: Distribution, highest: int) -> Steps:
    """The steps of p(x) over values 0, 1/highest, ..., 1, whose symbols are 0 to ``highest``.

    p, a mass, has steps of its own, or is an ``Independent`` over single values: one step.
    Raises UnsupportedError for others.

    >>> pixels = torch.distributions.Bernoulli(torch.tensor([0.1, 0.8]))
    >>> next(steps_of(Independent(pixels, 1), 1)).masses
    tensor([[0.9000, 0.1000],
            [0.2000, 0.8000]])
    """
    if isinstance(p, InSteps):
        return p.in_steps()
    elements = p
    while isinstance(elements, Independent):
        elements = elements.base_dist
    if elements.event_shape:
        raise UnsupportedError(
            f"{type(elements).__name__} does not say the probabilities of an example's symbols one "
            "after the other; a likelihood of independent binary or 8-bit values does, and any "
            "whose distribution has a method in_steps"
        )
    return _at_once(elements, highest)


def decided(p: Distribution, highest: int, decide: Callable[[Step], Tensor]) -> Tensor:
    """Symbols (..., *event) of p(x), as ``decide`` says those of each step."""
    symbols = torch.zeros(p.batch_shape + p.event_shape, dtype=torch.int64)
    steps = steps_of(p, highest)
    step = next(steps, None)
    while step is not None:
        symbols[step.where] = found = decide(step)
        step = following(steps, found)
    return symbols


def following(steps: Steps, symbols: Tensor) -> Step | None:
    """The next step, where the last one's symbols were these; None at the end."""
    try:
        return steps.send(symbols)
    except StopIteration:
        return None


def _at_once(elements: Distribution, highest: int) -> Steps:
    values = torch.arange(highest + 1) / highest
    each = elements.log_prob(values.view(-1, *(1 for _ in elements.batch_shape)))  # (K, ...)
    yield Step(each.exp().movedim(0, -1), (...,))  # masses (..., K)
