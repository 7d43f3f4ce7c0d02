"""What a sequence is made of: the patches of an image, or the tokens of a sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from zoo.distributions.autoregressive import Autoregressive
from zoo.likelihoods import Likelihood


class Tokens(nn.Module, ABC):
    """The way from examples to tokens and back, and an exact likelihood of each given a state.

    Tokens are (B, T, ...), what they are embedded in (B, T, W).
    """

    length: int
    """The most tokens that an example has."""
    vocabulary: int
    """Of how many tokens each state needs logits that count in memory."""
    distribution: type[Autoregressive]
    """p(x|z) of examples."""

    @property
    @abstractmethod
    def likelihood(self) -> Likelihood:
        """That of a token."""

    @abstractmethod
    def split(self, x: Tensor) -> Tensor:
        """The tokens of examples."""

    @abstractmethod
    def join(self, tokens: Tensor) -> Tensor:
        """The examples of their first tokens."""

    @abstractmethod
    def embed(self, tokens: Tensor) -> Tensor:
        """Their vectors (B, T, W)."""

    @abstractmethod
    def add_positions(self, vectors: Tensor, first: int) -> Tensor:
        """Vectors (B, t, W) with what is learned of the positions from ``first`` on."""

    @abstractmethod
    def positions(self, like: Tensor) -> Tensor:
        """Rotary positions of the start token and all tokens, (1 + T, A) on A axes."""

    @abstractmethod
    def padding(self, tokens: Tensor) -> Tensor | None:
        """Which tokens (B, T) mean nothing; None where all mean something."""

    @abstractmethod
    def log_prob(self, state: Tensor, tokens: Tensor) -> Tensor:
        """log p of tokens (B, T, ...) given states (..., B, T, W): (..., B, T), 0 for padding."""

    @abstractmethod
    def draw(self, state: Tensor) -> Tensor:
        """Tokens (N, ...) drawn given states (N, W)."""

    @abstractmethod
    def likeliest(self, state: Tensor) -> Tensor:
        """The likeliest tokens, or of intensities their means, (N, ...) given states (N, W)."""

    @abstractmethod
    def mean(self, state: Tensor) -> Tensor:
        """The means of tokens (N, ...) given states (N, W).

        Raises UnsupportedError where tokens have none.
        """

    @abstractmethod
    def class_logits(self, state: Tensor) -> Tensor:
        """Of all tokens there can be, (..., V), given states (..., W).

        Raises UnsupportedError where tokens have no classes.
        """

    @property
    @abstractmethod
    def has_classes(self) -> bool:
        """Whether there are finitely many tokens, and :meth:`class_logits` of them."""

    @abstractmethod
    def fitting(self, tokens: Tensor, observed: Tensor) -> Tensor:
        """Which classes (N, V) could be tokens (N, ...) of which a part is ``observed``, (N, ...).

        All of them at padding.
        """

    @abstractmethod
    def from_classes(self, classes: Tensor) -> Tensor:
        """The tokens (..., ...) of classes (...)."""

    @abstractmethod
    def ended(self, tokens: Tensor) -> Tensor | None:
        """Which of the latest tokens (N, ...) end their sequences, or None where none can."""
