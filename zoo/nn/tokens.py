"""What a sequence model reads and makes: the patches of an image, or the tokens of a sentence.

Each module knows the way from examples to tokens and back, their vectors, their places, and an
exact likelihood of a token given the model's state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, pad

from zoo.modalities.tokenizer import END, PAD
from zoo.distributions.precision import full_precision
from zoo.errors import DataError, UnsupportedError
from zoo.likelihoods.base import InputKind
from zoo.nn.likelihoods import AnyLikelihoodConfig
from zoo.nn.patches import BinaryPatches, build_patches, join_patches, split_patches
from zoo.nn.vocabulary import token_log_prob


class ImageTokens(nn.Module):
    """Images (B, C, H, W) as T square patches, row by row, at places on two axes.

    A patch knows its place twice: by rotary positions, and by a learned vector for each.
    """

    def __init__(
        self, shape: tuple[int, int, int], patch: int, width: int, likelihood: AnyLikelihoodConfig
    ) -> None:
        super().__init__()
        self.shape, self.patch = shape, patch
        self.grid = shape[1] // patch, shape[2] // patch
        self.length = self.grid[0] * self.grid[1]
        self.patches = build_patches(shape[0] * patch**2, width, likelihood)
        self.places = nn.Parameter(0.02 * torch.randn(1 + self.length, width))

    @property
    def input_kind(self) -> InputKind:
        return "binary" if isinstance(self.patches, BinaryPatches) else "unit"

    def check(self, x: Tensor) -> None:
        """Raise DataError for pixels outside [0, 1], which binary patches would read as others."""
        if not ((x >= 0) & (x <= 1)).all():
            raise DataError(
                f"pixels must be in [0, 1], got {x.min()} to {x.max()}; divide 8-bit ones by 255"
            )

    def split(self, x: Tensor) -> Tensor:
        """The tokens (B, T, K) of images."""
        return split_patches(x, self.patch)

    def join(self, tokens: Tensor) -> Tensor:
        """The images of tokens (B, T, K)."""
        return join_patches(tokens, self.patch, self.shape)

    def embed(self, tokens: Tensor) -> Tensor:
        """Their vectors (B, T, W)."""
        return self.patches.embed(tokens)

    def placed(self, vectors: Tensor, first: int) -> Tensor:
        """Vectors (B, t, W) at the places from ``first`` on; the start's is 0."""
        placed: Tensor = vectors + self.places[first : first + vectors.shape[1]]
        return placed

    def positions(self, like: Tensor) -> Tensor:
        """(1 + T, 2): the start at (0, 0), the patch of row r and column c at (r + 1, c + 1)."""
        rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in self.grid)
        places = torch.cartesian_prod(rows + 1, columns + 1)
        return torch.cat([places.new_zeros(1, 2), places])

    def hidden(self, tokens: Tensor) -> Tensor | None:
        """None: every image has every patch."""
        return None

    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        """log p of tokens (B, T, K) given states (..., B, T, W): (..., B, T)."""
        return self.patches.log_prob(state, tokens)

    def class_logits(self, state: Tensor) -> Tensor:
        """Of all patches there can be, (N, 2^K), given states (N, W).

        Raises UnsupportedError where patches are not binary.
        """
        return self._classes.class_logits(state)

    def of_class(self, classes: Tensor) -> Tensor:
        """The tokens (N, K) of classes (N,)."""
        return self._classes.of_class(classes)

    def ended(self, tokens: Tensor) -> Tensor | None:
        """None: images have all their patches."""
        return None

    def draw(self, state: Tensor) -> Tensor:
        """Tokens (N, K) given states (N, W)."""
        return self.patches.draw(state)

    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest tokens, or their means, (N, K) given states (N, W)."""
        return self.patches.likeliest(state)

    @property
    def _classes(self) -> BinaryPatches:
        if isinstance(self.patches, BinaryPatches):
            return self.patches
        raise UnsupportedError(
            "patches of intensities have no classes to rank: temperature, top_p and beams need "
            "binary images or text; use Draw() or Greedy()"
        )


class TextTokens(nn.Module):
    """Sentences as ids (B, T), each ended and then padded, of a vocabulary of V tokens.

    Vectors and logits share one table.
    """

    input_kind: InputKind = "tokens"

    def __init__(self, length: int, vocabulary: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.table = nn.Parameter(torch.randn(vocabulary, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def check(self, x: Tensor) -> None:
        """Raise DataError for ids (B, T) beyond this vocabulary, and for those of no sentence.

        One without an end is whole only where it has all the tokens that it may have.
        """
        self.check_vocabulary(x)
        wrong = ((x == PAD) != _behind_end(x)).any(1)
        if x.shape[1] < self.length:
            wrong |= ~(x == END).any(1)
        if wrong.any():
            raise DataError(
                f"sentence {1 + int(wrong.int().argmax())} of the ids is not tokens, then an end "
                f"({END}), then padding ({PAD}) alone; read(sentences) makes such"
            )

    def check_vocabulary(self, x: Tensor) -> None:
        """Raise DataError for ids beyond this vocabulary."""
        size = len(self.bias)
        if ((x < 0) | (x >= size)).any():
            raise DataError(
                f"ids must be 0 to {size - 1}, got {x.min()} to {x.max()}; read(sentences) makes "
                "those of this model's vocabulary"
            )

    def split(self, x: Tensor) -> Tensor:
        """The ids themselves."""
        return x

    def join(self, tokens: Tensor) -> Tensor:
        """The ids (B, T) of the first tokens (B, t), with padding after the end."""
        ids = tokens.masked_fill(_behind_end(tokens), PAD)
        return pad(ids, (0, self.length - ids.shape[1]), value=PAD)

    def embed(self, tokens: Tensor) -> Tensor:
        """Their vectors (B, T, W)."""
        return nn.functional.embedding(tokens, self.table)

    def placed(self, vectors: Tensor, first: int) -> Tensor:
        """The vectors: places are rotary alone."""
        return vectors

    def positions(self, like: Tensor) -> Tensor:
        """(1 + T, 1): the start at 0, tokens from 1 on."""
        return torch.arange(1 + self.length, device=like.device, dtype=like.dtype)[:, None]

    def hidden(self, tokens: Tensor) -> Tensor | None:
        """Which tokens (B, T) are padding, that nothing may see."""
        return tokens == PAD

    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        """log p of ids (B, T) given states (..., B, T, W): (..., B, T), 0 for padding."""
        ids = tokens.expand(state.shape[:-1])
        if state.device.type != "cpu":
            logits = self.class_logits(state).flatten(0, -2)
            losses = cross_entropy(logits, ids.flatten(), reduction="none", ignore_index=PAD)
            return -losses.view(ids.shape)
        real = ids != PAD  # elsewhere finding them would make the host wait
        found = token_log_prob(state[real], self.table, self._bias, ids[real])
        return found.new_zeros(ids.shape).masked_scatter(real, found)

    def of_class(self, classes: Tensor) -> Tensor:
        """The ids themselves."""
        return classes

    def ended(self, tokens: Tensor) -> Tensor | None:
        """Which of the latest tokens (N,) are an end, or padding behind one."""
        return (tokens == END) | (tokens == PAD)

    def draw(self, state: Tensor) -> Tensor:
        """Ids (N,) given states (N, W)."""
        return self.class_logits(state).softmax(-1).multinomial(1).squeeze(-1)

    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest ids (N,) given states (N, W)."""
        return self.class_logits(state).argmax(-1)

    def class_logits(self, state: Tensor) -> Tensor:
        """(..., V) given states (..., W); padding has probability 0."""
        return full_precision(linear(state, self.table, self._bias))

    @property
    def _bias(self) -> Tensor:
        """Of all tokens, (V,): this and not the logits, which are many, excludes padding."""
        never = torch.arange(len(self.bias), device=self.bias.device) == PAD
        return self.bias.masked_fill(never, -torch.inf)


def _behind_end(ids: Tensor) -> Tensor:
    """Which of the ids (B, T) stand behind the first end."""
    ends = (ids == END).long()
    return ends.cumsum(1) > ends
