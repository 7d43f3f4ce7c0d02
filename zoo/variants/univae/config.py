"""The settings of UniVAE."""

from __future__ import annotations

import math
from typing import Annotated, cast

from pydantic import Field, model_validator
from typing_extensions import Self

from zoo.core.component import Selected, default
from zoo.likelihoods import Likelihood
from zoo.posteriors import Posterior
from zoo.variants.variational import VariationalConfig

MAX_BITS = 12
"""Of a binary patch, whose distribution has a class for each of 2^K patterns."""
MAX_LENGTH = 2**16
"""Of a sequence: attention looks at pairs of its tokens."""


class UniVAEConfig(VariationalConfig):
    """The last ``groups`` of the ``layers`` carry one latent vector each.

    A latent is made of the state before its layer, so the first layer cannot have one.
    """

    input_shape: tuple[int, int, int] | tuple[int]
    """Of an image, or the most tokens that a sentence has, its end among them."""
    tokenizer: str | None = None
    """Of text: the data's, as JSON."""
    patch: Annotated[int, Field(ge=1, le=8)] | None = None
    """Side of the square patches that are an image's tokens; None is 2 where that tiles it, else 1.
    """
    width: int = Field(128, ge=8, le=4096)
    heads: int = Field(4, ge=1, le=64)
    layers: int = Field(6, ge=2, le=64)
    hidden: int = Field(344, ge=1, le=16384)
    """Of a layer's feed-forward part."""
    groups: int = Field(4, ge=1, le=64)
    latent_dim: int = Field(16, ge=2, le=4096)
    posterior: Selected[Posterior] = default("vmf-fixed")
    dropout: float = Field(0.0, ge=0, lt=1)
    likelihood: Selected[Likelihood] = default("bernoulli")

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if self.width % (4 * self.heads):  # of text too: any width that suits images suits it
            raise ValueError(
                f"width {self.width} must be a multiple of 4 times heads ({self.heads}), for "
                "rotary positions on two axes"
            )
        if self.groups >= self.layers:
            raise ValueError(
                f"groups ({self.groups}) must be less than layers ({self.layers}): the first layer "
                "carries no latent"
            )
        return self

    @model_validator(mode="after")
    def _check_tokens(self) -> Self:
        reads_text = self.likelihood.component.reads == "tokens"
        if not (reads_text == self.has_text_shape == (self.tokenizer is not None)):
            raise ValueError(
                "text, and text alone, has a tokenizer and the likelihood 'categorical'; images "
                "have a shape (C, H, W), and vectors of numbers this model does not read"
            )
        if reads_text and self.patch is not None:
            raise ValueError("patch is for images; leave it out for text")
        if not reads_text:
            self._check_patches()
        if self.length > MAX_LENGTH:
            raise ValueError(f"a sequence has at most {MAX_LENGTH:,} tokens, got {self.length:,}")
        return self

    def _check_patches(self) -> None:
        channels, height, width = self.image_shape
        sides = [n for n in range(1, 9) if height % n == 0 == width % n]
        if self.side not in sides:
            raise ValueError(
                f"patches of {self.side} x {self.side} do not tile {height} x {width}; choose "
                f"patch among {sides}, or resize the images with image_size"
            )
        pixels = channels * self.side**2
        if self.likelihood.component.reads == "binary" and pixels > MAX_BITS:
            raise ValueError(
                f"a binary patch has at most {MAX_BITS} pixels, {channels} channels of "
                f"{self.side} x {self.side} are {pixels}; choose a smaller patch"
            )

    @property
    def has_text_shape(self) -> bool:
        """Whether an example is a sequence of tokens, not an image."""
        return len(self.input_shape) == 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return cast("tuple[int, int, int]", self.input_shape)

    @property
    def side(self) -> int:
        """Of an image's patches."""
        return math.gcd(2, *self.input_shape[1:]) if self.patch is None else self.patch

    @property
    def length(self) -> int:
        """The most tokens that an example has."""
        return math.prod(self.input_shape if self.has_text_shape else self._grid)

    @property
    def _grid(self) -> tuple[int, int]:
        _, height, width = self.image_shape
        return height // self.side, width // self.side
