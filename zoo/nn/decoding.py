"""Ways to make a sequence of a model that gives the probabilities of one token after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol

import torch
from torch import Tensor

from zoo.modalities.tokenizer import PAD
from zoo.errors import UnsupportedError

WIDEST = 1024
"""Of beams: each is a sequence that is decoded at the same time."""


@dataclass(frozen=True)
class Greedy:
    """The likeliest token each time; of intensities their mean."""


@dataclass(frozen=True)
class Draw:
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


@dataclass(frozen=True)
class Beam:
    """The likeliest sequence that is found by following ``width`` of them at a time.

    One of width 1 would be the greedy one. Needs tokens of finitely many classes.
    """

    width: int = 4

    def __post_init__(self) -> None:
        if not _is_number(self.width, Integral) or not 1 <= self.width <= WIDEST:
            raise UnsupportedError(f"a beam has a whole width of 1 to {WIDEST}, got {self.width!r}")


Decoding = Greedy | Draw | Beam


def _is_number(value: object, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


class Tokens(Protocol):
    """What a sequence is made of; see :mod:`zoo.nn.tokens`."""

    @property
    def length(self) -> int:
        """The most tokens that a sequence has."""

    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest tokens (N, ...) given states (N, W)."""

    def draw(self, state: Tensor) -> Tensor:
        """Tokens (N, ...) drawn given states (N, W)."""

    def class_logits(self, state: Tensor) -> Tensor:
        """Of all tokens, (N, V), given states (N, W)."""

    def of_class(self, classes: Tensor) -> Tensor:
        """Tokens (..., ...) of their numbers (...)."""

    def ended(self, tokens: Tensor) -> Tensor | None:
        """Which of the latest tokens (N, ...) end their sequences, or None where none can."""

    def join(self, tokens: Tensor) -> Tensor:
        """The examples of token sequences (N, t, ...)."""


class Sequences(Protocol):
    """A batch of sequences that grow token by token."""

    state: Tensor
    """What the next tokens are chosen by, (N, W)."""

    def append(self, tokens: Tensor) -> None:
        """Add the next tokens, (N, ...)."""

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences (N,), as many as there are, in that order; then ``append``."""


def generate(
    begin: Callable[[Tensor], Sequences], z: Tensor, tokens: Tokens, decoding: Decoding
) -> Tensor:
    """Examples for latents (N, ...), whose empty sequences ``begin`` makes.

    As long as one sequence has not ended. Raises UnsupportedError for what is no decoding.
    """
    if not isinstance(decoding, Greedy | Draw | Beam):
        raise UnsupportedError(
            f"decoding must be Greedy(), Draw(...) or Beam(...) of zoo, got {decoding!r}"
        )
    if isinstance(decoding, Beam):
        beginnings = begin(z.repeat_interleave(decoding.width, 0))
        return _search(beginnings, tokens, Beams(len(z), decoding.width, z.device))
    sequences, pick = begin(z), _picker(tokens, decoding)
    picked = [pick(sequences.state)]
    ended = tokens.ended(picked[0])
    while len(picked) < tokens.length and not _all(ended):
        sequences.append(picked[-1])
        picked.append(pick(sequences.state))
        latest = tokens.ended(picked[-1])
        ended = None if ended is None or latest is None else ended | latest
    return tokens.join(torch.stack(picked, dim=1))


def _picker(tokens: Tokens, decoding: Greedy | Draw) -> Callable[[Tensor], Tensor]:
    """The way from states (N, W) to the next tokens."""
    if isinstance(decoding, Greedy):
        return tokens.likeliest
    if decoding == Draw():
        return tokens.draw

    def pick(state: Tensor) -> Tensor:
        probabilities = nucleus(tokens.class_logits(state), decoding)
        return tokens.of_class(probabilities.multinomial(1).squeeze(-1))

    return pick


def _search(sequences: Sequences, tokens: Tokens, beams: Beams) -> Tensor:
    """The likeliest examples that the beams find."""
    ended: Tensor | None = None
    for position in range(tokens.length):
        if position:
            sequences.append(tokens.of_class(beams.classes[:, -1]))
        log_probs = tokens.class_logits(sequences.state).log_softmax(-1)
        parents = beams.extend(log_probs, ended)
        ended = tokens.ended(tokens.of_class(beams.classes[:, -1]))
        if ended is not None and _all(ended[:: beams.width]):  # others only get less likely
            break
        sequences.select(parents)
    return tokens.join(tokens.of_class(beams.best))


def _all(ended: Tensor | None) -> bool:
    return ended is not None and bool(ended.all())


def nucleus(logits: Tensor, draw: Draw) -> Tensor:
    """The probabilities (..., V) that ``draw`` draws from, of logits (..., V).

    >>> nucleus(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), Draw(top_p=0.7))
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    above = logits - logits.amax(-1, keepdim=True)  # else a tiny temperature makes infinities
    range_of = torch.finfo(above.dtype)  # beyond it 0 / 0 and inf / inf are no probabilities
    temperature = min(max(draw.temperature, range_of.tiny), range_of.max)
    probabilities = (above / temperature).softmax(-1)
    if draw.top_p == 1:
        return probabilities
    ranked, order = probabilities.sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked  # the likeliest is always kept
    kept = torch.zeros_like(ranked).scatter(-1, order, ranked * (before < draw.top_p))
    return kept / kept.sum(-1, keepdim=True)


class Beams:
    """``width`` beginnings of a sequence for each of ``count`` examples, and their likelihoods.

    They are rows in a batch of ``count`` times ``width``, an example's side by side.
    """

    def __init__(self, count: int, width: int, device: torch.device) -> None:
        self.count, self.width = count, width
        self.scores = torch.full((count, width), -torch.inf, device=device)
        self.scores[:, 0] = 0.0  # all beginnings are the same empty one
        self.classes = torch.zeros(count * width, 0, dtype=torch.int64, device=device)

    def extend(self, log_probs: Tensor, ended: Tensor | None) -> Tensor:
        """Go on with the best of all beginnings' continuations, (count * width, V).

        Those that have ``ended`` (count * width,) are only padded, at no cost. Returns the rows
        (count * width,) of the beginnings that were gone on with.
        """
        classes = log_probs.shape[-1]
        if ended is not None:
            padding = torch.full_like(log_probs[:1], -torch.inf)
            padding[:, PAD] = 0.0
            log_probs = torch.where(ended[:, None], padding, log_probs)
        scores = self.scores[..., None] + log_probs.view(self.count, self.width, classes)
        self.scores, best = scores.flatten(1).topk(self.width)
        first = self.width * torch.arange(self.count, device=best.device)[:, None]
        parents = (first + best // classes).flatten()
        self.classes = torch.cat([self.classes[parents], (best % classes).view(-1, 1)], dim=1)
        return parents

    @property
    def best(self) -> Tensor:
        """The likeliest sequence of every example, (count, T): the first, as they are ranked."""
        return self.classes[:: self.width]
