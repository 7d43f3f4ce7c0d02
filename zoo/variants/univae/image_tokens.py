"""Images as sequences of square patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.core.component import Selected
from zoo.distributions.autoregressive import AutoregressiveDensity, AutoregressiveMass
from zoo.likelihoods import Likelihood
from zoo.variants.univae.config import UniVAEConfig
from zoo.variants.univae.patches import build_patches, join_patches, split_patches
from zoo.variants.univae.tokens import Tokens


class ImageTokens(Tokens):
    """Images (B, C, H, W) as T patches (B, T, K), row by row, at positions on two axes.

    A patch knows its position twice: by rotary angles, and by a learned vector for each.
    """

    vocabulary = 0

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch: int,
        width: int,
        likelihood: Selected[Likelihood],
    ) -> None:
        super().__init__()
        self.shape, self.patch = shape, patch
        self.grid = shape[1] // patch, shape[2] // patch
        self.length = self.grid[0] * self.grid[1]
        self.patches = build_patches(shape[0] * patch**2, width, likelihood)
        self.position_embedding = nn.Parameter(torch.randn(1 + self.length, width).mul_(0.02))
        is_density = likelihood.component.measure == "density"
        self.distribution = AutoregressiveDensity if is_density else AutoregressiveMass

    @classmethod
    def of(cls, config: UniVAEConfig) -> ImageTokens:
        """As a configuration says."""
        return cls(config.image_shape, config.side, config.width, config.likelihood)

    @property
    def likelihood(self) -> Likelihood:
        """That of a patch, whose pixels it takes for channels."""
        return self.patches.likelihood

    def split(self, x: Tensor) -> Tensor:
        return split_patches(x, self.patch)

    def join(self, tokens: Tensor) -> Tensor:
        return join_patches(tokens, self.patch, self.shape)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.patches.embed(tokens)

    def add_positions(self, vectors: Tensor, first: int) -> Tensor:
        return vectors + self.position_embedding[first : first + vectors.shape[1]]

    def positions(self, like: Tensor) -> Tensor:
        """(1 + T, 2): the start at (0, 0), the patch of row r and column c at (r + 1, c + 1)."""
        rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in self.grid)
        places = torch.cartesian_prod(rows + 1, columns + 1)  # (T, 2)
        return torch.cat([places.new_zeros(1, 2), places])

    def padding(self, tokens: Tensor) -> None:
        return None

    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        return self.patches.log_prob(state, tokens)

    def draw(self, state: Tensor) -> Tensor:
        return self.patches.draw(state)

    def likeliest(self, state: Tensor) -> Tensor:
        return self.patches.likeliest(state)

    def mean(self, state: Tensor) -> Tensor:
        return self.patches.mean(state)

    def class_logits(self, state: Tensor) -> Tensor:
        return self.patches.class_logits(state)

    @property
    def has_classes(self) -> bool:
        return self.patches.has_classes

    def fitting(self, tokens: Tensor, observed: Tensor) -> Tensor:
        return self.patches.fitting(tokens, observed)

    def from_classes(self, classes: Tensor) -> Tensor:
        return self.patches.from_classes(classes)

    def ended(self, tokens: Tensor) -> None:
        return None
