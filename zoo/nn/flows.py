"""Invertible maps whose parameters are networks', from the library zuko."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.distributions.flow import Map, composed
from zoo.distributions.precision import full_precision
from zoo.errors import ConfigError
from zoo.nn.foreign import foreign

START = 0.01
"""What the layers that make a map's parameters are scaled by: it starts close to the identity."""
MIN_SLOPE = 0.1
"""Of an affine map, and 1 / its largest slope: ten of them stay finite however hot the noise is."""


class Autoregressive(nn.Module):
    """Maps of points (..., D) one after the other, each masked autoregressive in another order.

    In :meth:`map` an entry is moved by a monotonic function, whose parameters are a network's of
    the entries before it, and of the ``context`` (..., C) where there is one: one pass.
    :meth:`inverse` takes as many passes as there are ``groups`` of entries, each entry by itself
    unless said; two groups make a coupling. The functions are affine, or rational-quadratic splines
    of so many ``bins`` on [-5, 5].

    >>> flow = Autoregressive(dim=3, context=8, transforms=2, width=16)
    >>> images, log_det = flow.map(torch.zeros(5, 8))(torch.ones(5, 3))
    >>> torch.allclose(flow.inverse(torch.zeros(5, 8))(images)[0], torch.ones(5, 3), atol=1e-4)
    True
    """

    def __init__(
        self,
        dim: int,
        context: int,
        transforms: int,
        width: int,
        groups: int | None = None,
        bins: int | None = None,
    ) -> None:
        super().__init__()
        zuko = import_zuko()

        def make() -> nn.ModuleList:
            orders = [
                torch.randperm(dim) if groups else _in_turn(dim, n) for n in range(transforms)
            ]
            one = partial(zuko.flows.MaskedAutoregressiveTransform, dim, context, groups)
            sizes = {"hidden_features": (width, width), **_functions(zuko, bins)}
            return nn.ModuleList(one(order=order, **sizes) for order in orders)

        self.transforms = foreign(make)
        _nearly_identity(self.transforms)

    def map(self, context: Tensor | None = None) -> Map:
        """Every entry at once."""
        return partial(composed, [each(context).call_and_ladj for each in self.transforms])

    def inverse(self, context: Tensor | None = None) -> Map:
        """Of :meth:`map`, one group of entries after the other."""
        inverses = [partial(_inverse, each(context)) for each in self.transforms]
        return partial(composed, inverses[::-1])


def _inverse(transform: Any, image: Tensor) -> tuple[Tensor, Tensor]:
    points: Tensor = transform._inverse(image)
    return points, -transform.log_abs_det_jacobian(points, image)


def import_zuko() -> ModuleType:
    """The library, without what it sets for all distributions of the process.

    On import it switches the validation of arguments off everywhere. Raises ConfigError where it is
    not installed.
    """
    validates = Distribution._validate_args
    try:
        return import_module("zuko")
    except ImportError as error:
        raise ConfigError(
            "flows are made with the library zuko, which is not installed: pip install zuko"
        ) from error
    finally:
        Distribution.set_default_validate_args(validates)


def _in_turn(dim: int, number: int) -> Tensor:
    """Forwards and backwards in turn: what one map sees last, the next sees first."""
    return torch.arange(dim) if number % 2 == 0 else torch.arange(dim).flip(0)


def _functions(zuko: ModuleType, bins: int | None) -> dict[str, Any]:
    """The function of an entry, and the shapes of its parameters."""
    if bins is None:
        affine = partial(zuko.transforms.MonotonicAffineTransform, slope=MIN_SLOPE)
        return {"univariate": partial(_in_full_precision, affine), "shapes": ((), ())}
    spline = partial(_in_full_precision, zuko.transforms.MonotonicRQSTransform)
    return {"univariate": spline, "shapes": ((bins,), (bins,), (bins - 1,))}


def _in_full_precision(function: Callable[..., Any], *parameters: Tensor) -> Any:
    return function(*map(full_precision, parameters))


@torch.no_grad()
def _nearly_identity(transforms: nn.Module) -> None:
    """Not the identity itself, at which no gradient would reach the hidden layers."""
    for each in transforms.modules():
        for last in _last_parameters(each):
            last.mul_(START)


def _last_parameters(module: nn.Module) -> list[nn.Parameter]:
    """What makes the parameters of the functions; of one dimension without context, these."""
    hyper = getattr(module, "hyper", None)
    return list(getattr(module, "phi", [])) if hyper is None else list(hyper[-1].parameters())
