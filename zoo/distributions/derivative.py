"""Functions of a concentration whose derivative is known in a form better than autograd's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

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


def know_signature(function: type[torch.autograd.Function]) -> None:
    """Spare each call 15 us: torch would look up anew which arguments ``forward`` takes."""
    function.forward.__signature__ = inspect.signature(function.forward)  # type: ignore[attr-defined]


know_signature(_WithDerivative)
