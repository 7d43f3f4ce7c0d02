"""p(x|z) of a model that makes x token by token."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from zoo.errors import UnsupportedError


class AutoregressiveModel(Protocol):
    """What the distributions ask of their model."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) for examples (B, *event) and latents (S, B, G, d): (S, B)."""

    def prepared(self, batch: Tensor) -> object:
        """Raise DataError for what are no examples (B, *event)."""

    def draw(self, z: Tensor) -> Tensor:
        """Draws (N, *event) from p(x|z) for latents (N, G, d)."""

    @property
    def clamps(self) -> bool:
        """Whether it can :meth:`draw_clamped`."""

    def draw_clamped(
        self, z: Tensor, x: Tensor, observed: Tensor, forced: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Examples (N, *event) for latents (N, G, d), with the elements of x where ``forced``.

        Beside each log p(x|z) less the log-probability of drawing its elements that are not
        ``observed``, (N,), whether these were drawn or forced.
        """


class Autoregressive(Distribution):
    """p(x|z) over an event of ``shape`` for latents (..., G, d), batch shape (...)."""

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: AutoregressiveModel, z: Tensor, shape: tuple[int, ...]) -> None:
        self.model, self.z = model, z
        super().__init__(z.shape[:-2], torch.Size(shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Summed over tokens, each given those before it: shape (...)."""
        event = value.shape[-len(self.event_shape) :]
        given = value.shape[: -len(event)]
        batch = torch.broadcast_shapes(self.batch_shape, given)  # type: ignore[no-untyped-call]
        z = self.z.expand(batch + self.z.shape[-2:])  # (*batch, G, d)
        if len(batch) > len(given) and given == batch[1:]:
            # The same examples for every draw, which the lower layers then read once.
            x = value.reshape(-1, *event)  # (B, *event)
            z = z.reshape(z.shape[0], -1, *z.shape[-2:])  # (S, B, G, d)
            return self.model.log_likelihood(x, z).view(batch)
        x = value.expand(batch + event).reshape(-1, *event)  # (N, *event)
        return self.model.log_likelihood(x, z.reshape(1, -1, *z.shape[-2:])).view(batch)

    @property
    def clamps(self) -> bool:
        """Whether draws can be made to go through given elements."""
        return self.model.clamps

    @torch.no_grad()
    def clamped(self, value: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """See :class:`zoo.distributions.observed.Clampable`; of batch shape (R,)."""
        z, x, seen = (_repeated(each, 1 + draws) for each in (self.z, value, observed))
        forced = seen.clone()  # ((1 + draws) R, *event)
        forced[: len(value)] = True
        found, weights = self.model.draw_clamped(z, x, seen, forced)
        return torch.unflatten(found, 0, (1 + draws, -1)), weights.view(1 + draws, -1)

    @property
    def mean(self) -> Tensor:
        """Not in closed form."""
        raise UnsupportedError(
            "an autoregressive likelihood has no mean in closed form; use model.show(codes), "
            "which takes it of a few draws of images and of text the likeliest tokens, or sample()"
        )

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn token by token."""
        shape = torch.Size(sample_shape) + self.batch_shape
        z = self.z.expand(shape + self.z.shape[-2:]).reshape(-1, *self.z.shape[-2:])  # (N, G, d)
        return self.model.draw(z).view(shape + self.event_shape)  # (*shape, *event)


def _repeated(x: Tensor, count: int) -> Tensor:
    """(R, ...) -> (count R, ...)."""
    return x.repeat(count, *(1 for _ in x.shape[1:]))


class AutoregressiveText(Autoregressive):
    """Of the ids of a sentence's tokens, (T,)."""

    support = constraints.independent(constraints.nonnegative_integer, 1)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """As of any; raises DataError for ids that are no sentences, which have no probability."""
        self.model.prepared(value.reshape(-1, value.shape[-1]))
        return super().log_prob(value)


class AutoregressiveMass(Autoregressive):
    """Of the binary or 8-bit pixels of an image, (C, H, W)."""

    @constraints.dependent_property(is_discrete=True, event_dim=3)
    def support(self) -> constraints.Constraint:
        """Intensities from 0 to 1."""
        return constraints.independent(constraints.unit_interval, 3)  # type: ignore[no-untyped-call]


class AutoregressiveDensity(Autoregressive):
    """Of an image's continuous intensities, (C, H, W)."""

    support = constraints.independent(constraints.real, 3)  # type: ignore[no-untyped-call]
