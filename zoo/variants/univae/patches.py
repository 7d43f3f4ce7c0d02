"""Images as sequences of square patches, each with an exact likelihood of all its pixels at once.

A patch is its K = C p^2 pixels. Patches come row by row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy

from zoo.core.component import Selected
from zoo.distributions.precision import full_precision
from zoo.errors import UnsupportedError
from zoo.likelihoods import Likelihood


class Patches(nn.Module, ABC):
    """Patches (..., K) embedded in W numbers, and p(patch | state) of a ``likelihood``."""

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.pixels = likelihood.shape[0]

    @abstractmethod
    def embed(self, patches: Tensor) -> Tensor:
        """Patches (..., K) as vectors (..., W)."""

    @abstractmethod
    def log_prob(self, state: Tensor, patches: Tensor) -> Tensor:
        """Of patches (..., K) given states (..., W), which broadcast: (...)."""

    @abstractmethod
    def draw(self, state: Tensor) -> Tensor:
        """Patches (N, K) given states (N, W)."""

    @abstractmethod
    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest patches, or of intensities their means, (N, K) given states (N, W)."""

    @abstractmethod
    def mean(self, state: Tensor) -> Tensor:
        """The means of the patches (N, K) given states (N, W), in [0, 1]."""

    def class_logits(self, state: Tensor) -> Tensor:
        """Of all patches there can be, (..., V), given states (..., W).

        Raises UnsupportedError where these are not finitely many.
        """
        raise _without_classes()

    has_classes = False
    """Whether there are finitely many patches."""

    def fitting(self, patches: Tensor, observed: Tensor) -> Tensor:
        """Which classes (N, V) have the ``observed`` pixels of patches (N, K)."""
        raise _without_classes()

    def from_classes(self, classes: Tensor) -> Tensor:
        """The patches (..., K) of classes (...)."""
        raise _without_classes()


def _without_classes() -> UnsupportedError:
    return UnsupportedError(
        "patches of intensities have no classes to rank: temperature, top_p and beams need "
        "binary images or text; use Draw() or Greedy()"
    )


class BinaryPatches(Patches):
    """Patches of {0, 1}: 2^K classes, and a categorical distribution over these.

    Pixels in between are read as the nearer of the two.

    >>> from zoo.likelihoods.bernoulli import Bernoulli
    >>> patches = BinaryPatches(Bernoulli(Bernoulli.Config(), (4, 1, 1)), width=32)
    >>> patches.log_prob(torch.zeros(5, 9, 32), torch.zeros(5, 9, 4)).shape
    torch.Size([5, 9])
    """

    has_classes = True

    def __init__(self, likelihood: Likelihood, width: int) -> None:
        super().__init__(likelihood)
        self.embedding = nn.Embedding(2**self.pixels, width)
        self.logits = nn.Linear(width, 2**self.pixels)
        with torch.no_grad():
            self.embedding.weight.mul_(width**-0.5)

    def embed(self, patches: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(self._classes(patches))
        return embedded

    def log_prob(self, state: Tensor, patches: Tensor) -> Tensor:
        logits = self.class_logits(state)  # (..., 2^K)
        classes = self._classes(patches).expand(logits.shape[:-1])  # (...)
        losses = cross_entropy(logits.flatten(0, -2), classes.flatten(), reduction="none")
        return -losses.view(classes.shape)

    def class_logits(self, state: Tensor) -> Tensor:
        """Of all 2^K patches, (..., 2^K), given states (..., W)."""
        return full_precision(self.logits(state))

    def fitting(self, patches: Tensor, observed: Tensor) -> Tensor:
        every = self.from_classes(torch.arange(2**self.pixels, device=patches.device))  # (V, K)
        agrees = (every == patches.round()[:, None]) | ~observed[:, None]  # (N, V, K)
        return agrees.all(-1)

    def from_classes(self, classes: Tensor) -> Tensor:
        bits = classes[..., None].bitwise_and(self._bit_values(classes)) != 0  # (..., K)
        return bits.to(self.embedding.weight.dtype)

    def draw(self, state: Tensor) -> Tensor:
        return self.from_classes(self.class_logits(state).softmax(-1).multinomial(1).squeeze(-1))

    def likeliest(self, state: Tensor) -> Tensor:
        return self.from_classes(self.class_logits(state).argmax(-1))

    def mean(self, state: Tensor) -> Tensor:
        probabilities = self.class_logits(state).softmax(-1)  # (N, 2^K)
        all_classes = torch.arange(2**self.pixels, device=probabilities.device)
        return probabilities @ self.from_classes(all_classes).to(probabilities.dtype)

    def _bit_values(self, like: Tensor) -> Tensor:
        return 2 ** torch.arange(self.pixels, device=like.device)

    def _classes(self, patches: Tensor) -> Tensor:
        return ((patches > 0.5) * self._bit_values(patches)).sum(-1)  # (...)


class IntensityPatches(Patches):
    """Patches of intensities in [0, 1], whose pixels a likelihood module takes for channels."""

    def __init__(self, likelihood: Likelihood, width: int) -> None:
        super().__init__(likelihood)
        self.embedding = nn.Linear(self.pixels, width)
        self.parameters_of = nn.Linear(width, self.likelihood.channels)

    def embed(self, patches: Tensor) -> Tensor:
        centred = (2 * patches - 1).to(self.embedding.weight.dtype)
        embedded: Tensor = self.embedding(centred)
        return embedded

    def log_prob(self, state: Tensor, patches: Tensor) -> Tensor:
        log_prob: Tensor = self._pixel_distribution(state).log_prob(patches[..., None, None])
        return log_prob

    def draw(self, state: Tensor) -> Tensor:
        return self._pixel_distribution(state).sample().flatten(-3)

    def likeliest(self, state: Tensor) -> Tensor:
        return self.mean(state)

    def mean(self, state: Tensor) -> Tensor:
        return self._pixel_distribution(state).mean.flatten(-3).clamp(0, 1)

    def _pixel_distribution(self, state: Tensor) -> Distribution:
        parameters = self.parameters_of(state)[..., None, None]  # (..., channels, 1, 1)
        distribution: Distribution = self.likelihood(parameters)
        return distribution


def build_patches(pixels: int, width: int, likelihood: Selected[Likelihood]) -> Patches:
    """The module for patches of ``pixels`` numbers under a likelihood."""
    is_binary = likelihood.component.reads == "binary"
    kind = BinaryPatches if is_binary else IntensityPatches
    return kind(likelihood.build((pixels, 1, 1)), width)


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
