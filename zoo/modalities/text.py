"""Sentences as the ids of their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.checks import described
from zoo.errors import DataError
from zoo.modalities.base import Form, Modality, host_values
from zoo.modalities.tokenizer import END, PAD, UNKNOWN, Tokenizer
from zoo.settings import shortened

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from zoo.likelihoods.base import InputKind

GAP = "_"
"""What stands for a missing token in a sentence that is read with gaps."""


class Text(Modality):
    """Sentences as ids int64 (B, T), each ended and then padded, T at most ``shape[0]``.

    ``form`` is the JSON of the tokenizer that cuts them.

    >>> text = Text((6,), Tokenizer.learn(["a cat", "a hat"], "characters").json)
    >>> text.write(text.read(["a hat"]))
    ['a hat']
    """

    name, parts = "text", "tokens"
    kinds = ("tokens",)
    suffixes = (".txt",)
    has_squared_error = False

    @classmethod
    def fits(cls, shape: tuple[int, ...], form: Form) -> bool:
        return isinstance(form, str) and len(shape) == 1

    def __init__(self, shape: tuple[int, ...], form: str) -> None:
        super().__init__(shape)
        self.json = form

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self.json)

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @cached_property
    def _vocabulary(self) -> int:
        return len(self.tokenizer)

    def check_form(self, x: Tensor) -> None:
        is_ids = isinstance(x, Tensor) and x.ndim == 2 and x.dtype == torch.int64
        if not is_ids or x.shape[1] > self.shape[0]:
            raise DataError(
                f"expected ids int64 of shape (batch, at most {self.shape[0]}), "
                f"got {described(x)}; read(sentences) makes them"
                + ", and x.long() makes int64 of other ids"
                * _are_ids(x)
            )

    def check_values(self, x: Tensor, kind: InputKind = "tokens") -> None:
        """Ids of the vocabulary, each sentence ended and then padded.

        One without an end is whole only where it has all the tokens that it may have.
        """
        self._check_vocabulary(x)
        broken = ((x == PAD) != after_end(x)).any(1)  # (B,)
        if x.shape[1] < self.shape[0]:
            broken |= ~(x == END).any(1)
        if broken.any():
            raise DataError(
                f"sentence {1 + int(broken.int().argmax())} of the ids is not tokens, then an end "
                f"({END}), then padding ({PAD}) alone; read(sentences) makes such"
            )

    def _check_vocabulary(self, x: Tensor) -> None:
        low, high = host_values(*x.aminmax()) if x.numel() else (0, 0)
        if low < 0 or high >= self._vocabulary:
            raise DataError(
                f"ids must be 0 to {self._vocabulary - 1}, got {low} to {high}; read(sentences) "
                "makes those of this model's vocabulary"
            )

    def filled(self, batch: Batch) -> Batch:
        """An unknown token where one is missing."""
        if batch.observed is None:
            return batch
        if (~batch.observed & ((batch.x == PAD) | (batch.x == END))).any():
            raise DataError(
                "the end of a sentence and what follows it cannot be missing; say observed there"
            )
        return batch._replace(x=torch.where(batch.observed, batch.x, UNKNOWN))

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """The commonest token at each place."""
        return draws.mode(0).values

    def read(self, sentences: Sequence[str]) -> Tensor:
        """The ids int64 (B, T) of sentences.

        White space around a sentence is no part of it, as in a corpus. Raises DataError for a
        sentence that is empty, too long or has unknown tokens.
        """
        several = isinstance(sentences, Iterable) and not isinstance(sentences, str)
        listed = list(sentences) if several else []
        if not several or not all(isinstance(each, str) for each in listed):
            raise DataError(
                f"give a list of sentences, for one as [sentence], got {shortened(sentences)}"
            )
        listed = [each.strip() for each in listed]
        ids = self.tokenizer.ids(listed, strict=True)
        if ids.shape[1] > self.shape[0]:  # said for the sentence that is too long
            self.tokenizer.ids(listed, self.shape[0])
        return ids

    def read_gapped(self, sentences: Sequence[str]) -> Batch:
        """Sentences in which ``_`` stands for a token that is missing, and where they have none.

        Raises DataError for what :meth:`read` does not read.
        """
        listed = [each.strip() for each in sentences]
        missing = self.tokenizer.places_of(GAP, listed)
        ids = self.tokenizer.ids(listed, self.shape[0])
        for number, (sentence, row, gaps) in enumerate(zip(listed, ids, missing, strict=True)):
            unknown = (row == UNKNOWN).nonzero().flatten().tolist()
            if extra := sorted(set(unknown) - set(gaps)):
                raise DataError(
                    f"sentence {number + 1}, {shortened(sentence)}: token {extra[0] + 1} is not in "
                    f"the vocabulary; write {GAP} for what is missing"
                )
        observed = torch.ones_like(ids, dtype=torch.bool)
        for row, gaps in zip(observed, missing, strict=True):
            row[gaps] = False
        return Batch(ids, observed=observed)

    def write(self, x: Tensor) -> list[str]:
        """The sentences of ids (B, T), each up to its end."""
        self.check_form(x)
        self._check_vocabulary(x)
        return self.tokenizer.text(x)

    def log(self, writer: SummaryWriter, shown: Any, step: int) -> None:
        writer.add_text("samples", "\n\n".join(shown), step)

    def describe(self, count: int, kind: InputKind, seed: int, converted: str = "") -> str:
        return f"{count} sentences"

    def protocol(self, kind: InputKind, split: str, seed: int) -> str:
        return f"{split} sentences with their ends, noise seeded with {seed}"


def after_end(ids: Tensor) -> Tensor:
    """Which of the ids (B, T) stand after the first end."""
    ends = (ids == END).long()
    return ends.cumsum(1) > ends


def _are_ids(x: object) -> bool:
    """Whether whole numbers, of whatever size."""
    return isinstance(x, Tensor) and x.dtype in (torch.uint8, torch.int16, torch.int32)
