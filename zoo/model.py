"""The contract every variant fulfils. Trainer, evaluation and command line know nothing else."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar, Literal

import torch
from pydantic import field_validator
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.errors import DataError, UnsupportedError
from zoo.geometry import linear_path, straight_line
from zoo.settings import Settings

InputKind = Literal["binary", "unit", "tokens"]
"""What a model reads: pixels in {0, 1}, redrawn with probability x, intensities in [0, 1], or text.
"""


@dataclass(frozen=True)
class ElboTerms:
    """The two terms of the evidence lower bound for a batch, in nats, from one draw z ~ q(z|x).

    ``log_likelihood`` is log p(x|z), shape (B,); ``kl`` is KL(q(z|x) || p(z)), one column for each
    latent group, shape (B, G). A model without a prior over its codes has G = 0.
    """

    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """log p(x|z) - sum over groups of KL, shape (B,)."""
        return self.log_likelihood - self.kl.sum(-1)


MOST_NUMBERS = 2**24
"""Of one example, in all: no file makes a model of more."""


class ModelConfig(Settings):
    """What every variant's configuration holds; a variant extends it with fields of its own."""

    input_shape: tuple[int, ...]

    @field_validator("input_shape")
    @classmethod
    def _has_a_size(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if min(shape, default=0) < 1 or math.prod(shape) > MOST_NUMBERS:
            raise ValueError(f"each side is at least 1, and their product at most {MOST_NUMBERS}")
        return shape


class VariationalAutoencoder(nn.Module, ABC):
    """A prior p(z), a posterior q(z|x) and a likelihood p(x|z) under one interface.

    ``x`` is a float tensor (B, C, H, W) of pixels in [0, 1], prepared as ``input_kind`` says.
    All quantities are natural logarithms for each example, summed over its dimensions.
    """

    Config: ClassVar[type[ModelConfig]] = ModelConfig
    has_evidence: ClassVar[bool] = True
    """Whether log p(x) is defined: False for a deterministic autoencoder."""
    variant: str | None = None
    """The registered name this model was made under, where it was made by name."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @property
    @abstractmethod
    def input_kind(self) -> InputKind:
        """How pixels are prepared for this model."""

    @property
    @abstractmethod
    def code_dim(self) -> int:
        """D, the width of a code."""

    @property
    def code_variance(self) -> float | None:
        """Of each coordinate of a code under the prior; None where it is not one number."""
        return 1.0

    @property
    def group_widths(self) -> tuple[int, ...]:
        """How many numbers of a code each latent group has, in their order."""
        return (self.code_dim,)

    @property
    def rows(self) -> int:
        """How many examples are decoded at a time where memory is to be bounded."""
        return 2048

    @abstractmethod
    def elbo_terms(self, x: Tensor) -> ElboTerms:
        """The terms of the bound from one reparameterised draw."""

    @abstractmethod
    def log_weights(self, x: Tensor, samples: int) -> Tensor:
        """log p(x, z) - log q(z|x) for ``samples`` draws z ~ q(z|x), shape (S, B)."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """The deterministic code of x, shape (B, D)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) over (C, H, W) for codes (B, D)."""

    @abstractmethod
    def sample_codes(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """``n`` draws from the prior, its standard deviation scaled by ``temperature``: (n, D).

        Raises UnsupportedError for what :func:`check_draws` refuses.
        """

    def log_posteriors(self, x: Tensor) -> Tensor | None:
        """log q(z_i|x_j) of one draw z_i ~ q(z|x_i) for each x (B, ...): (B, B).

        None where the posterior has no density in closed form.
        """
        return None

    def kl_by_dimension(self, x: Tensor) -> Tensor | None:
        """KL of each latent dimension, (B, D), where the posterior factorises; otherwise None."""
        return None

    def check_input(self, x: Tensor) -> None:
        """Raise DataError when x is not a float batch of the configured shape."""
        expected = self.config.input_shape
        is_tensor = isinstance(x, Tensor) and x.is_floating_point()
        if not is_tensor or tuple(x.shape[1:]) != expected:
            raise DataError(
                f"expected a float tensor of shape (batch, {', '.join(map(str, expected))}) with "
                f"pixels in [0, 1], got {described(x)}"
            )

    def fit_codes(self, codes: Tensor) -> None:
        """Called once after training with the codes of the training set, (N, D).

        A model whose prior is fitted to its codes afterwards does so here; others ignore it.
        """

    def penalty(self) -> Tensor | None:
        """What training adds to the loss of an example besides the bound's terms, a scalar.

        For instance a spectral regularisation. Called once for each step, in full precision and in
        training mode, in which it may keep state in buffers; evaluation never sees it.
        """
        return None

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor | list[str]:
        """What ``n`` codes from the prior look like: (n, C, H, W) in [0, 1], or sentences."""
        return self.show(self.sample_codes(n, temperature, generator))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor | list[str]:
        """What the code of each x looks like: (B, C, H, W) in [0, 1], or sentences."""
        return self.show(self.encode(x))

    def write(self, x: Tensor) -> Tensor | list[str]:
        """Examples (B, ...) as people read them: images as they are, sentences as text."""
        return x

    @torch.no_grad()
    def show(self, z: Tensor) -> Tensor | list[str]:
        """What codes (B, D) look like: of images the means of p(x|z), (B, C, H, W) in [0, 1].

        A model whose p(x|z) has no mean in closed form shows something else and says so.
        """
        return self.decode(z).mean.clamp(0, 1)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Codes on the shortest way between two codes (..., D), both included: (steps, ..., D)."""
        return linear_path(start, end, steps)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """Codes at the distances ``amounts`` (A,) from ``code`` towards ``direction``: (A, ..., D).

        Distances are Euclidean, on a sphere angles in radians. A direction's length does not count.
        """
        return straight_line(code, direction, amounts)

    @torch.no_grad()
    def log_prob(self, x: Tensor, samples: int, chunk: int = 1024) -> Tensor:
        """The importance-weighted estimate of log p(x), shape (B,), in bounded memory.

        log 1/S sum_s p(x, z_s) / q(z_s|x), z_s ~ q(z|x) (Burda et al. 2016, arXiv:1509.00519): a
        lower bound in expectation, tighter with every sample, equal to the ELBO at S = 1. At most
        ``chunk`` decoded examples are held at a time.
        """
        if samples < 1:
            raise UnsupportedError(f"samples must be at least 1, got {samples}")
        self.check_input(x)
        at_once = max(1, min(chunk, self.rows) // max(1, len(x)))
        parts = [self.log_weights(x, part).logsumexp(0) for part in _chunks(samples, at_once)]
        return torch.stack(parts).logsumexp(0) - math.log(samples)


def check_draws(n: int, temperature: float = 1.0) -> None:
    """Raise UnsupportedError for what is no number of draws, and for what is no temperature.

    >>> check_draws(-1)
    Traceback (most recent call last):
    zoo.errors.UnsupportedError: the number of draws must be a whole one of at least 0, got -1
    """
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 0:
        raise UnsupportedError(f"the number of draws must be a whole one of at least 0, got {n!r}")
    check_temperature(temperature)


def check_temperature(temperature: float) -> None:
    """Raise UnsupportedError for what no spread can be scaled by."""
    if not isinstance(temperature, Real) or not 0 <= temperature < math.inf:
        raise UnsupportedError(f"a temperature must be a number of at least 0, got {temperature!r}")


def described(x: object) -> str:
    """What was given where a tensor is expected, as messages say it.

    >>> described(torch.zeros(2, 3)), described([0.5])
    ('torch.float32 of shape (2, 3)', 'list')
    """
    if isinstance(x, Tensor):
        return f"{x.dtype} of shape {tuple(x.shape)}"
    return type(x).__name__


def _chunks(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size
