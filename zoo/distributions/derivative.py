"""Functions of a concentration whose derivative is known in a form better than autograd's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

OfConcentration: TypeAlias = Callable[[Tensor, int], Tensor]


def with_derivative(
    value: Tensor, k: Tensor, derivative: OfConcentration, m: int, slope: Tensor | None = None
) -> Tensor:
    """``value``, made of ``k`` without gradients, with ``derivative(k, m)`` as its derivative.

    As often differentiable as that. ``slope`` is the same number where it is there already.
    """
    if not torch.is_grad_enabled():
        return value
    result: Tensor = _WithDerivative.apply(value, k, derivative, m, slope)  # type: ignore[no-untyped-call]
    return result


class _WithDerivative(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        value: Tensor, k: Tensor, derivative: OfConcentration, m: int, slope: Tensor | None
    ) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, k, ctx.derivative, ctx.m, slope = inputs
        ctx.save_for_backward(k, slope)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        k, slope = ctx.saved_tensors
        if slope is None or torch.is_grad_enabled():
            slope = ctx.derivative(k, ctx.m)
        return None, grad * slope, None, None, None


class _Positional(inspect.Signature):
    """Of a function that is always given all of its arguments, by position."""

    class Bound(NamedTuple):
        """What torch asks of ``inspect.BoundArguments``."""

        args: tuple[Any, ...]
        kwargs: dict[str, Any]

        def apply_defaults(self) -> None:
            """There are none."""

    def bind(self, *args: Any) -> Any:
        """Nothing is looked up."""
        return self.Bound(args, {})


def know_signature(function: type[torch.autograd.Function]) -> None:
    """Spare each call 20 us, in which torch would look for arguments that were left out."""
    forward = function.forward
    parameters = list(inspect.signature(forward).parameters.values())
    forward.__signature__ = _Positional(parameters)  # type: ignore[attr-defined]


know_signature(_WithDerivative)
