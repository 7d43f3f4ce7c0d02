"""Images as sequences of square patches, each with an exact likelihood of all its pixels at once.

A patch is its K = C p^2 pixels. Patches come row by row.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy

from zoo.distributions.precision import full_precision
from zoo.nn.likelihoods import AnyLikelihoodConfig, BernoulliConfig, build_likelihood


class BinaryPatches(nn.Module):
    """Patches of {0, 1}: 2^K classes, and a categorical distribution over these.

    Pixels in between are read as the nearer of the two.

    >>> patches = BinaryPatches(pixels=4, width=32)
    >>> patches.log_prob(torch.zeros(5, 9, 32), torch.zeros(5, 9, 4)).shape
    torch.Size([5, 9])
    """

    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.embedding = nn.Embedding(2**pixels, width)
        self.logits = nn.Linear(width, 2**pixels)
        with torch.no_grad():
            self.embedding.weight.mul_(width**-0.5)

    def embed(self, patches: Tensor) -> Tensor:
        """Patches (..., K) as vectors (..., W)."""
        embedded: Tensor = self.embedding(self._classes(patches))
        return embedded

    def log_prob(self, state: Tensor, patches: Tensor) -> Tensor:
        """Of patches (..., K) given states (..., W), which broadcast: (...)."""
        logits = self.class_logits(state)
        classes = self._classes(patches).expand(logits.shape[:-1])
        losses = cross_entropy(logits.flatten(0, -2), classes.flatten(), reduction="none")
        return -losses.view(classes.shape)

    def class_logits(self, state: Tensor) -> Tensor:
        """Of all 2^K patches, (N, 2^K), given states (N, W)."""
        return full_precision(self.logits(state))

    def of_class(self, classes: Tensor) -> Tensor:
        """The patches (N, K) of classes (N,)."""
        bits = classes[..., None].bitwise_and(self._values(classes)) != 0
        return bits.to(self.embedding.weight.dtype)

    def draw(self, state: Tensor) -> Tensor:
        """Patches (N, K) given states (N, W)."""
        return self.of_class(self.class_logits(state).softmax(-1).multinomial(1).squeeze(-1))

    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest patches (N, K) given states (N, W)."""
        return self.of_class(self.class_logits(state).argmax(-1))

    def _values(self, like: Tensor) -> Tensor:
        return 2 ** torch.arange(self.pixels, device=like.device)

    def _classes(self, patches: Tensor) -> Tensor:
        return ((patches > 0.5) * self._values(patches)).sum(-1)


class IntensityPatches(nn.Module):
    """Patches of intensities in [0, 1], whose pixels a likelihood module takes for channels."""

    def __init__(self, pixels: int, width: int, likelihood: AnyLikelihoodConfig) -> None:
        super().__init__()
        self.embedding = nn.Linear(pixels, width)
        self.likelihood = build_likelihood(likelihood)
        self.parameters_of = nn.Linear(width, self.likelihood.parameter_maps(pixels))

    def embed(self, patches: Tensor) -> Tensor:
        """Patches (..., K) as vectors (..., W)."""
        embedded: Tensor = self.embedding(2 * patches - 1)
        return embedded

    def log_prob(self, state: Tensor, patches: Tensor) -> Tensor:
        """Of patches (..., K) given states (..., W), which broadcast: (...)."""
        log_prob: Tensor = self._given(state).log_prob(patches[..., None, None])
        return log_prob

    def draw(self, state: Tensor) -> Tensor:
        """Patches (N, K) given states (N, W)."""
        return self._given(state).sample().flatten(-3)

    def likeliest(self, state: Tensor) -> Tensor:
        """The means of the patches (N, K) given states (N, W), in [0, 1]."""
        return self._given(state).mean.flatten(-3).clamp(0, 1)

    def _given(self, state: Tensor) -> Distribution:
        maps = self.parameters_of(state)[..., None, None]
        distribution: Distribution = self.likelihood(maps)
        return distribution


def build_patches(
    pixels: int, width: int, likelihood: AnyLikelihoodConfig
) -> BinaryPatches | IntensityPatches:
    """The module for patches of ``pixels`` numbers under a likelihood."""
    if isinstance(likelihood, BernoulliConfig):
        return BinaryPatches(pixels, width)
    return IntensityPatches(pixels, width, likelihood)


def split_patches(x: Tensor, patch: int) -> Tensor:
    """Images (..., C, H, W) to patches (..., T, K)."""
    return rearrange(x, "... c (h p) (w q) -> ... (h w) (c p q)", p=patch, q=patch)


def join_patches(patches: Tensor, patch: int, shape: tuple[int, int, int]) -> Tensor:
    """Patches (..., T, K) back to images (..., C, H, W)."""
    return rearrange(
        patches,
        "... (h w) (c p q) -> ... c (h p) (w q)",
        h=shape[1] // patch,
        p=patch,
        q=patch,
    )
