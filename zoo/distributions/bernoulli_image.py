"""Images of independent Bernoulli pixels, with a log-probability in as few passes as possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from zoo.distributions.in_steps import Step, Steps

EVENT_DIMS = 3  # channels, height, width


class BernoulliImage(Distribution):
    r"""A probability mass on binary images: log p(x) = sum over pixels of x l - log(1 + e^l).

    ``logits`` l has shape (..., C, H, W). The same as ``Independent(Bernoulli(logits=l), 3)``, but
    faster: pixels lie in one dimension, and without gradients x l is a dot product.

    >>> pixels = BernoulliImage(torch.zeros(5, 1, 2, 2))
    >>> pixels.log_prob(torch.ones(1, 2, 2)).exp()
    tensor([0.0625, 0.0625, 0.0625, 0.0625, 0.0625])
    """

    arg_constraints = {"logits": constraints.independent(constraints.real, EVENT_DIMS)}  # type: ignore[no-untyped-call]
    support = constraints.independent(constraints.boolean, EVENT_DIMS)  # type: ignore[no-untyped-call]

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        shape = logits.shape
        super().__init__(shape[:-EVENT_DIMS], shape[-EVENT_DIMS:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> BernoulliImage:
        """The same distribution over a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return BernoulliImage(self.logits.expand(shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The probability of a 1, for each pixel."""
        return torch.sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        """p (1 - p) for each pixel."""
        return self.mean * (1 - self.mean)

    def log_prob(self, value: Tensor) -> Tensor:
        """Summed over pixels: shape (...), for images (..., C, H, W) in {0, 1}."""
        if self._validate_args:
            self._validate_sample(value)
        logits, x = self.logits.flatten(-EVENT_DIMS), value.flatten(-EVENT_DIMS)  # (..., C H W)
        x = x.to(logits.dtype)
        if logits.requires_grad:  # the fewest passes forward and backward together
            x, logits = torch.broadcast_tensors(x, logits)  # type: ignore[no-untyped-call]
            losses = binary_cross_entropy_with_logits(logits, x, reduction="none")
            return -losses.sum(-1)
        with torch.autocast(logits.device.type, enabled=False):  # it would round the dot product
            log_prob: Tensor = torch.linalg.vecdot(x, logits) - softplus(logits).sum(-1)  # (...)
        return log_prob

    def log_prob_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """Summed over the pixels where ``observed``; what stands elsewhere is never read."""
        x = torch.where(observed, value, 0)
        if self._validate_args:
            self._validate_sample(x)
        x, logits = torch.broadcast_tensors(x.to(self.logits.dtype), self.logits)  # type: ignore[no-untyped-call]
        losses = binary_cross_entropy_with_logits(logits, x, reduction="none")
        return -torch.where(observed, losses, 0).flatten(-EVENT_DIMS).sum(-1)

    def in_steps(self) -> Steps:
        """All pixels at once: see :class:`zoo.distributions.in_steps.InSteps`."""
        logits = self.logits.double()
        masses = torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=-1)
        yield Step(masses, (..., *EVENT_DIMS * (slice(None),)))  # masses (..., C, H, W, 2)

    def entropy(self) -> Tensor:
        """Summed over pixels: shape (...)."""
        per_pixel = softplus(self.logits) - self.logits * self.mean
        return per_pixel.flatten(-EVENT_DIMS).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Images in {0, 1}."""
        return torch.bernoulli(self.mean.expand(self._extended_shape(torch.Size(sample_shape))))
