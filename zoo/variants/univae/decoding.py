"""Ways to make a sequence of a model that gives the probabilities of one token after another."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol

import torch
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.randomness import seeded
from zoo.variants.univae.beams import Beams
from zoo.variants.univae.tokens import Tokens

MAX_WIDTH = 1024
"""Of beams, and of draws of which a mean is taken: each is a sequence decoded at the same time."""


class Sequences(Protocol):
    """A batch of sequences that grow token by token."""

    state: Tensor
    """What the next tokens are chosen by, (N, W)."""

    def append(self, tokens: Tensor) -> None:
        """Add the next tokens, (N, ...)."""

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences (N,), as many as there are, in that order; then ``append``."""


Prefill = Callable[[Tensor], Sequences]
"""Makes empty sequences for latents (N, ...)."""


class Decoding(ABC):
    """How an example is made of a latent."""

    @property
    def width(self) -> int:
        """How many sequences are decoded at the same time for one example."""
        return 1

    @abstractmethod
    def generate(self, prefill: Prefill, z: Tensor, tokens: Tokens) -> Tensor:
        """Examples for latents (N, ...). Raises UnsupportedError for tokens it does not suit."""


@dataclass(frozen=True)
class Greedy(Decoding):
    """The likeliest token each time; of intensities their mean."""

    def generate(self, prefill: Prefill, z: Tensor, tokens: Tokens) -> Tensor:
        return tokens.join(decode(prefill(z), tokens, tokens.likeliest))


@dataclass(frozen=True)
class Draw(Decoding):
    """A token drawn each time.

    Logits are divided by ``temperature``. Of the likeliest tokens so many are kept as have
    ``top_p`` of the probability together (nucleus sampling, Holtzman et al. 2020,
    arXiv:1904.09751). Anything but 1 for both needs tokens of finitely many classes.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and 0 < self.temperature < math.inf):
            raise UnsupportedError(
                f"temperature must be a number above 0, got {self.temperature!r}; Greedy() takes "
                "the likeliest tokens"
            )
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise UnsupportedError(f"top_p must be above 0 and at most 1, got {self.top_p!r}")

    def generate(self, prefill: Prefill, z: Tensor, tokens: Tokens) -> Tensor:
        def next_token(state: Tensor) -> Tensor:
            probabilities = nucleus(tokens.class_logits(state), self)  # (N, V)
            return tokens.from_classes(probabilities.multinomial(1).squeeze(-1))

        unmodified = self.temperature == self.top_p == 1
        return tokens.join(decode(prefill(z), tokens, tokens.draw if unmodified else next_token))


@dataclass(frozen=True)
class Mean(Decoding):
    """The mean of p(x|z), by a few ``draws`` of images whose noise is the same at every call.

    Each patch counts with its mean given the patches drawn before it, which varies less than a
    draw of it does (Rao-Blackwell).
    """

    draws: int = 16

    def __post_init__(self) -> None:
        _check_width(self.draws, "a mean is taken of a whole number of draws,")

    @property
    def width(self) -> int:
        return self.draws

    def generate(self, prefill: Prefill, z: Tensor, tokens: Tokens) -> Tensor:
        means: list[Tensor] = []

        def next_token(state: Tensor) -> Tensor:
            means.append(tokens.mean(state))
            return tokens.draw(state)

        with seeded(0, z.device):
            decode(prefill(z.repeat_interleave(self.draws, 0)), tokens, next_token)
        by_draw = torch.stack(means, dim=1)  # (N draws, T, K)
        by_draw = by_draw.view(len(z), self.draws, *by_draw.shape[1:])  # (N, draws, T, K)
        return tokens.join(by_draw.mean(1))


@dataclass(frozen=True)
class Beam(Decoding):
    """The likeliest sequence that is found by following ``width`` of them at a time.

    One of width 1 would be the greedy one. Needs tokens of finitely many classes.
    """

    width: int = 4

    def __post_init__(self) -> None:
        _check_width(self.width, "a beam has a whole width of")

    def generate(self, prefill: Prefill, z: Tensor, tokens: Tokens) -> Tensor:
        beams = Beams(len(z), self.width, z.device)
        return beam_search(prefill(z.repeat_interleave(self.width, 0)), tokens, beams)


def decode(sequences: Sequences, tokens: Tokens, next_token: Callable[[Tensor], Tensor]) -> Tensor:
    """Tokens (N, t, ...) picked by states (N, W), as long as one sequence has not ended."""
    picked = [next_token(sequences.state)]
    ended = tokens.ended(picked[0])
    while len(picked) < tokens.length and not all_true(ended):
        sequences.append(picked[-1])
        picked.append(next_token(sequences.state))
        latest = tokens.ended(picked[-1])
        ended = None if ended is None or latest is None else ended | latest
    return torch.stack(picked, dim=1)  # (N, t, ...)


def beam_search(sequences: Sequences, tokens: Tokens, beams: Beams) -> Tensor:
    """The likeliest examples that the beams find."""
    ended: Tensor | None = None
    for position in range(tokens.length):
        if position:
            sequences.append(tokens.from_classes(beams.classes[:, -1]))
        log_probs = tokens.class_logits(sequences.state).log_softmax(-1)  # (N, V)
        parents = beams.extend(log_probs, ended)
        ended = tokens.ended(tokens.from_classes(beams.classes[:, -1]))
        if ended is not None and all_true(ended[:: beams.width]):  # others only get less likely
            break
        sequences.select(parents)
    return tokens.join(tokens.from_classes(beams.best))


def all_true(ended: Tensor | None) -> bool:
    """Whether all of them have ended; None where none can."""
    return ended is not None and bool(ended.all())


def nucleus(logits: Tensor, draw: Draw) -> Tensor:
    """The probabilities (..., V) that ``draw`` draws from, of logits (..., V).

    >>> nucleus(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), Draw(top_p=0.7))
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    above = logits - logits.amax(-1, keepdim=True)  # else a tiny temperature makes infinities
    limits = torch.finfo(above.dtype)  # beyond it 0 / 0 and inf / inf are no probabilities
    temperature = min(max(draw.temperature, limits.tiny), limits.max)
    probabilities = (above / temperature).softmax(-1)
    if draw.top_p == 1:
        return probabilities
    ranked, order = probabilities.sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked  # the likeliest is always kept
    kept = torch.zeros_like(ranked).scatter(-1, order, ranked * (before < draw.top_p))
    return kept / kept.sum(-1, keepdim=True)


def _check_width(width: object, said: str) -> None:
    if not _is_number(width, Integral) or not 1 <= width <= MAX_WIDTH:  # type: ignore[operator]
        raise UnsupportedError(f"{said} 1 to {MAX_WIDTH}, got {width!r}")


def _is_number(value: object, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
