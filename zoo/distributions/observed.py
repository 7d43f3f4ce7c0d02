"""The likelihood of what was observed of an example, and of nothing else."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, transform_to

from zoo.errors import UnsupportedError


@runtime_checkable
class Maskable(Protocol):
    """A distribution that knows how to leave out parts of its events."""

    def log_prob_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """log p of the elements of ``value`` where ``observed``: shape (...)."""


def observed_log_prob(distribution: Distribution, value: Tensor, observed: Tensor) -> Tensor:
    """log p(x_o) = sum over i with ``observed`` of log p(x_i), in nats, batch shape (...).

    ``observed`` is True where ``value`` holds a number, and broadcasts against it. What stands
    elsewhere is never read: it may be nan, and reaches neither the sum nor a gradient.

    The distribution has a method ``log_prob_observed`` of its own or is an ``Independent`` of one
    over single elements. Raises UnsupportedError for others, whose elements depend on each other.

    >>> pixels = Independent(torch.distributions.Normal(torch.zeros(2, 3), torch.ones(3)), 1)
    >>> x = torch.tensor([0.0, 1.0, float("nan")])
    >>> observed_log_prob(pixels, x, torch.tensor([True, True, False]))
    tensor([-2.3379, -2.3379])
    """
    if isinstance(distribution, Maskable):
        return distribution.log_prob_observed(value, observed)
    elements, dims = _elements(distribution)
    if elements.event_shape:
        raise UnsupportedError(
            f"{_name(distribution)} does not factorise over the elements of an example, so that "
            "missing ones cannot be left out of its likelihood; choose a likelihood that does "
            "(Bernoulli or Gaussian, say), or give whole examples"
        )
    fill_value = _point_of_support(elements.support, value)
    elementwise = torch.where(
        observed, elements.log_prob(torch.where(observed, value, fill_value)), 0
    )
    return elementwise.flatten(-dims).sum(-1) if dims else elementwise


def factorises(distribution: Distribution) -> bool:
    """Whether the likelihood of a part of an event is known: see :func:`observed_log_prob`.

    >>> factorises(Independent(torch.distributions.Normal(torch.zeros(2, 3), 1.0), 1))
    True
    """
    return isinstance(distribution, Maskable) or not _elements(distribution)[0].event_shape


CLAMPED_DRAWS = 4
"""Weighed beside the value itself, where elements depend on each other."""


@runtime_checkable
class Clampable(Protocol):
    """A distribution over elements in turn, whose draws can be made to go through given ones."""

    clamps: bool
    """Whether it knows how."""

    def clamped(self, value: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """``value`` (R, ...) and draws that have its ``observed`` elements: (1 + draws, R, ...).

        Beside them log p(x) less the log-probability of drawing it so, (1 + draws, R).
        """


def can_draw_given(distribution: Distribution) -> bool:
    """Whether :func:`draw_given` can."""
    return factorises(distribution) or (isinstance(distribution, Clampable) and distribution.clamps)


def draw_given(distribution: Distribution, value: Tensor, observed: Tensor) -> Tensor:
    """A draw of the elements of ``value`` that are not ``observed``, given those that are: (...).

    Of a distribution that factorises, the missing elements of a draw of all. Where elements follow
    each other, a step of a chain that leaves p(x_m|x_o) as it is: draws whose observed elements are
    clamped as their turn comes, and ``value`` itself, are weighed by what the clamped elements were
    worth, and one is chosen in proportion (Andrieu, Lee & Vihola 2018, arXiv:1312.6432).

    >>> pixels = Independent(torch.distributions.Bernoulli(torch.ones(2, 3)), 1)
    >>> x = torch.tensor([0.0, 0.5, float("nan")])
    >>> draw_given(pixels, x, torch.tensor([True, True, False]))
    tensor([[0.0000, 0.5000, 1.0000],
            [0.0000, 0.5000, 1.0000]])
    """
    if isinstance(distribution, Clampable):
        return selected(*distribution.clamped(value, observed, CLAMPED_DRAWS))
    return torch.where(observed, value, distribution.sample())


def selected(values: Tensor, log_weights: Tensor) -> Tensor:
    """Of values (S, R, ...) one for each of R, in proportion to its weight (S, R): (R, ...)."""
    index = log_weights.softmax(0).T.multinomial(1).T  # (1, R)
    index = index.view(*index.shape, *(1 for _ in values.shape[2:]))  # (1, R, 1, ...)
    return values.take_along_dim(index, 0).squeeze(0)


def _elements(distribution: Distribution) -> tuple[Any, int]:
    """What lies below any ``Independent``, and how many dimensions these make an event of."""
    elements: Any = distribution
    dims = 0
    while isinstance(elements, Independent):
        dims += elements.reinterpreted_batch_ndims
        elements = elements.base_dist
    return elements, dims


def _point_of_support(support: Any, like: Tensor) -> Tensor:
    """A value to evaluate instead of a missing one: what torch's map from the reals makes of 0."""
    support = getattr(support, "base_constraint", support)  # a mixture's
    if support.is_discrete:
        return torch.as_tensor(getattr(support, "lower_bound", 0)).to(like)
    point: Tensor = transform_to(support)(like.new_zeros(()))
    return point


def _name(distribution: Any) -> str:
    base = getattr(distribution, "base_dist", None)
    name = type(distribution).__name__
    return name if base is None else f"{name} of {_name(base)}"
