"""What sentences and images may hold, and how people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from zoo.core.checks import described
from zoo.errors import DataError, UnsupportedError
from zoo.likelihoods import InputKind
from zoo.modalities.tokenizer import END, PAD, Tokenizer
from zoo.settings import shortened


class Text:
    """Sentences as ids (B, T), each ended and then padded, T at most ``shape[0]``."""

    def __init__(self, shape: tuple[int, ...], json: str) -> None:
        self.shape, self.json = shape, json

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What cuts and joins sentences."""
        return Tokenizer(self.json)

    def check_form(self, x: Tensor) -> None:
        """Raise DataError for what are no ids (B, at most T)."""
        is_ids = isinstance(x, Tensor) and x.ndim == 2 and x.dtype == torch.int64
        if not is_ids or x.shape[1] > self.shape[0]:
            raise DataError(
                f"expected ids int64 of shape (batch, at most {self.shape[0]}), "
                f"got {described(x)}; read(sentences) makes them"
            )

    def check_values(self, x: Tensor, kind: InputKind) -> None:
        """Raise DataError for ids (B, T) beyond this vocabulary, and for those of no sentence.

        One without an end is whole only where it has all the tokens that it may have.
        """
        self._check_vocabulary(x)
        wrong = ((x == PAD) != after_end(x)).any(1)
        if x.shape[1] < self.shape[0]:
            wrong |= ~(x == END).any(1)
        if wrong.any():
            raise DataError(
                f"sentence {1 + int(wrong.int().argmax())} of the ids is not tokens, then an end "
                f"({END}), then padding ({PAD}) alone; read(sentences) makes such"
            )

    def _check_vocabulary(self, x: Tensor) -> None:
        size = len(self.tokenizer)
        if ((x < 0) | (x >= size)).any():
            raise DataError(
                f"ids must be 0 to {size - 1}, got {x.min()} to {x.max()}; read(sentences) makes "
                "those of this model's vocabulary"
            )

    def read(self, sentences: Sequence[str]) -> Tensor:
        """The ids (B, T) of sentences.

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

    def write(self, x: Tensor) -> list[str]:
        """The sentences of ids (B, T), each up to its end."""
        self.check_form(x)
        self._check_vocabulary(x)
        return self.tokenizer.text(x)


class Images:
    """Images (B, C, H, W) of pixels in [0, 1]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises UnsupportedError: images have none."""
        raise UnsupportedError("this model reads images; it has no tokenizer")

    def check_form(self, x: Tensor) -> None:
        """Raise DataError for what is no float batch of that shape."""
        is_float = isinstance(x, Tensor) and x.is_floating_point()
        if not is_float or tuple(x.shape[1:]) != self.shape:
            raise DataError(
                f"expected a float tensor of shape (batch, {', '.join(map(str, self.shape))}) with "
                f"pixels in [0, 1], got {described(x)}"
            )

    def check_values(self, x: Tensor, kind: InputKind) -> None:
        """Raise DataError for pixels outside [0, 1], which binary patches would read as others."""
        if not ((x >= 0) & (x <= 1)).all():
            raise DataError(
                f"pixels must be in [0, 1], got {x.min()} to {x.max()}; divide 8-bit ones by 255"
            )

    def read(self, sentences: Sequence[str]) -> Tensor:
        """Raises UnsupportedError: sentences are no images."""
        raise UnsupportedError("this model reads images; it has no tokenizer")

    def write(self, x: Tensor) -> Tensor:
        """The images, intensities beyond [0, 1] cut off."""
        return x.clamp(0, 1)


def modality_of(shape: tuple[int, ...], tokenizer: str | None) -> Text | Images:
    """What a model of that input shape reads."""
    return Images(shape) if tokenizer is None else Text(shape, tokenizer)


def after_end(ids: Tensor) -> Tensor:
    """Which of the ids (B, T) stand after the first end."""
    ends = (ids == END).long()
    return ends.cumsum(1) > ends
