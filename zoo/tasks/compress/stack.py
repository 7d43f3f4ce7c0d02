"""A stack of bits: what is pushed last is popped first (ANS, Duda 2009, arXiv:0902.0271)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ConfigError, UnsupportedError

Array = NDArray[Any]
REACH = 2**10
"""Numbers on a stack lie from -REACH to REACH."""
SPAN = 2**7 - 1
"""Those popped by a posterior lie at most so far from its mean.

No number has less than 2^-24 of probability, the unit in which ANS counts. Over all of the range
this would be a number from anywhere once in 8,000: a latent so far off costs a hundred bits."""
LEAST = 2
"""Words that a stack keeps: with fewer its head is no longer random, nor is what is popped."""
STEP = 4
"""Words that are laid beneath a stack that runs short, at a time."""


class Stack:
    """Symbols in 32-bit words, exactly as many bits as the probabilities they are told by say.

    Bits back pops symbols that nobody has pushed: they are read from what is on the stack. Where
    that is too little, known words are laid beneath it, ``seeds`` in all, which the receiver finds
    there in the end. They are the initial bits of Townsend et al. 2019 (arXiv:1901.04866). Beneath
    ``words`` that were received nothing is laid.

    Symbols and parameters are one for each of n. Raises ConfigError where constriction is not
    installed.

    >>> stack = Stack()
    >>> masses = np.array([[0.5, 0.5], [0.9, 0.1]])
    >>> stack.push_symbols(np.array([1, 0]), masses)
    >>> Stack(stack.words).pop_symbols(masses).tolist(), stack.seeds
    ([1, 0], 0)
    """

    def __init__(self, words: Array | None = None, seeds: int = 0) -> None:
        constriction = import_constriction()
        self._coder, models = constriction.stream.stack.AnsCoder, constriction.stream.model
        self._near = models.QuantizedGaussian(-SPAN, SPAN)
        self._anywhere = models.QuantizedGaussian(-REACH, REACH)
        self._table = models.Categorical(perfect=False)
        self.seeds, self._extends = seeds, words is None
        self._ans = self._coder(np.zeros(0, np.uint32) if words is None else words)

    def push_symbols(self, symbols: Array, masses: Array) -> None:
        """Symbols (n,) of masses (n, K)."""
        with _finite():
            self._ans.encode_reverse(symbols.astype(np.int32), self._table, masses)

    def pop_symbols(self, masses: Array) -> Array:
        """(n,) of masses (n, K)."""
        return self._popped(self._table, masses)

    def push_normal(self, numbers: Array, mean: Array, deviation: Array) -> None:
        """Whole numbers (n,) near the mean by N(mean, deviation^2), in units of one."""
        nearest = mean.round()
        near = (numbers - nearest).astype(np.int32)
        self._ans.encode_reverse(near, self._near, mean - nearest, deviation)

    def pop_normal(self, mean: Array, deviation: Array) -> Array:
        """Whole numbers (n,) near the mean by N(mean, deviation^2), in units of one."""
        nearest = mean.round()
        near = self._popped(self._near, mean - nearest, deviation)
        numbers: Array = nearest.astype(np.int32) + near
        return numbers

    def push_centred(self, numbers: Array, deviation: Array) -> None:
        """Whole numbers (n,) by N(0, deviation^2), in units of one."""
        mean = np.zeros_like(deviation)
        self._ans.encode_reverse(numbers.astype(np.int32), self._anywhere, mean, deviation)

    def pop_centred(self, deviation: Array) -> Array:
        """Whole numbers (n,) by N(0, deviation^2), in units of one."""
        return self._popped(self._anywhere, np.zeros_like(deviation), deviation)

    def lay_beneath(self, count: int) -> None:
        """So many known words more at the bottom."""
        more = seed_words(self.seeds + count)[:count]
        self._ans = self._coder(np.concatenate([more, self.words]))
        self.seeds += count

    @property
    def words(self) -> Array:
        """All of it, the bottom first; the last is never 0."""
        found: Array = self._ans.get_compressed()
        return found

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left but the known words."""
        return np.array_equal(self.words, seed_words(self.seeds))

    def _popped(self, model: Any, *parameters: Array) -> Array:
        while True:
            trial = self._ans.clone()
            with _finite():
                symbols: Array = trial.decode(model, *parameters)
            if trial.num_words() >= LEAST or not (len(symbols) and self._extends):
                self._ans = trial
                return symbols
            self.lay_beneath(STEP)


def seed_words(count: int) -> Array:
    """The known words, the first of them at the end.

    >>> seed_words(2).tolist() == seed_words(3)[1:].tolist()
    True
    """
    drawn = hashlib.shake_256(b"bits back").digest(4 * count)
    words = np.frombuffer(drawn, "<u4").astype(np.uint32)
    words[:1] |= 1  # a stack does not end in zeros
    return words[::-1]


def import_constriction() -> ModuleType:
    """The library. Raises ConfigError where it is not installed."""
    try:
        return import_module("constriction")
    except ImportError as error:
        raise ConfigError(
            "examples are coded with the library constriction, which is not installed: "
            "pip install constriction"
        ) from error


@contextmanager
def _finite() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UnsupportedError(
            f"the model's probabilities are none ({error}); a training that diverged makes such "
            "models, choose another checkpoint"
        ) from error
