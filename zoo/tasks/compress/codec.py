"""Batches of examples on a stack of bits, and back.

Whoever codes pops codes z by q(z|x), group after group from the top, then pushes x by p(x|z) and z
by p(z). Whoever decodes pops z and x by the same probabilities, and by q(z|x) pushes the bits back
that chose z. What x costs is log q(z|x) - log p(x, z) on average: the model's own bound.

All groups are popped before any is pushed. Bit-Swap (Kingma et al. 2019, arXiv:1905.06845) needs
fewer initial bits by turns, where a posterior knows the layer below alone; here q(z_g|z_<g, x) goes
from the top as the prior does (Townsend et al. 2020, arXiv:1912.09953), and x is needed to the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.descent import Choice, Descending
from zoo.core.model import LatentVariableModel
from zoo.core.reading import floats_of
from zoo.distributions.in_steps import Step, decided
from zoo.likelihoods.base import HIGHEST
from zoo.tasks.compress.grids import MOST, Grid, grids_of
from zoo.tasks.compress.stack import Array, Stack

RAMP = 16
"""A batch is at most this part of what was coded before it, whose bits choose its codes."""


class Codec:
    """Examples as symbols (n, *shape), uint8, on a stack; the same floats wherever it is called.

    Both ends run the networks on the same batches: kernels choose by sizes how they add.
    """

    def __init__(self, model: LatentVariableModel) -> None:
        self.model, self.grids = model, grids_of(model)
        self.highest = HIGHEST[model.input_kind]

    def push(self, stack: Stack, symbols: Tensor) -> None:
        """Code any number of examples, the first at the bottom."""
        for batch in torch.split(symbols, list(batch_sizes(len(symbols)))):
            self._push_batch(stack, batch)

    def pop(self, stack: Stack, n: int) -> Tensor:
        """The n examples that were pushed."""
        batches = [self._pop_batch(stack, size) for size in [*batch_sizes(n)][::-1]]
        empty = torch.zeros(0, *self.model.modality.shape, dtype=torch.uint8)
        return torch.cat([empty, *batches[::-1]])

    def _push_batch(self, stack: Stack, symbols: Tensor) -> None:
        numbers: list[Array] = []

        def choose(p: Distribution, q: Distribution | None) -> Tensor:
            assert q is not None
            grid = self.grids[len(numbers)]
            numbers.append(grid.pop_posterior(stack, p, q))
            return grid.latents(numbers[-1], p)

        likelihood = self._descend(len(symbols), choose, symbols)
        for step in self._steps(likelihood, symbols)[::-1]:
            stack.push_symbols(symbols[step.where].flatten().numpy(), table_of(step))
        for grid, each in self._from_below(numbers):
            grid.push_prior(stack, each)

    def _pop_batch(self, stack: Stack, n: int) -> Tensor:
        numbers: list[Array] = []

        def choose(p: Distribution, q: Distribution | None) -> Tensor:
            grid = self.grids[len(numbers)]
            numbers.append(grid.pop_prior(stack, n))
            return grid.latents(numbers[-1], p)

        def decide(step: Step) -> Tensor:
            popped = torch.from_numpy(stack.pop_symbols(table_of(step)))
            return popped.view(step.masses.shape[:-1])

        symbols = decided(self._descend(n, choose), self.highest, decide).to(torch.uint8)
        self._push_back(stack, symbols, numbers)
        return symbols

    def _push_back(self, stack: Stack, symbols: Tensor, numbers: list[Array]) -> None:
        """The bits that chose the numbers, now that the examples are known."""
        said: list[tuple[Distribution, Distribution]] = []

        def choose(p: Distribution, q: Distribution | None) -> Tensor:
            assert q is not None
            said.append((p, q))
            return self.grids[len(said) - 1].latents(numbers[len(said) - 1], p)

        self._descend(len(symbols), choose, symbols)
        for (grid, each), (p, q) in zip(self._from_below(numbers), said[::-1], strict=True):
            grid.push_posterior(stack, each, p, q)

    def _descend(self, n: int, choose: Choice, symbols: Tensor | None = None) -> Distribution:
        """p(x|z); of examples the posteriors are said too."""
        x = None if symbols is None else symbols.to(floats_of(self.model)) / self.highest
        model = cast("Descending", self.model)
        return model.descend(n, choose, None if x is None else Batch(x))

    def _steps(self, likelihood: Distribution, symbols: Tensor) -> list[Step]:
        """In which the symbols are decided."""
        steps: list[Step] = []

        def decide(step: Step) -> Tensor:
            steps.append(step)
            return symbols[step.where]

        decided(likelihood, self.highest, decide)
        return steps

    def _from_below(self, numbers: list[Array]) -> Iterator[tuple[Grid, Array]]:
        return zip(self.grids[::-1], numbers[::-1], strict=True)


def batch_sizes(n: int) -> Iterator[int]:
    """How many examples each batch has, of n in all.

    >>> list(batch_sizes(20)), max(batch_sizes(5000))
    ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 64)
    """
    done = 0
    while done < n:
        yield (size := min(MOST, max(1, done // RAMP), n - done))
        done += size


def table_of(step: Step) -> Array:
    """Its masses, (n, K), in float64: sums of 256 of them in float32 leave some with none.

    In one piece: constriction reads others as if they were.
    """
    table: Array = step.masses.flatten(0, -2).double().contiguous().numpy()
    return table
