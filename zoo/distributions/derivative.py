"""Functions of a concentration whose derivative is known in a form better than autograd's."""

from __future__ import annotations

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
    if not (torch.is_grad_enabled() and (k.requires_grad or is_transformed())):
        return value
    return applied(_WithDerivative, value, k, derivative, m, slope)


def applied(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    """``function.apply(*args)``, of one that does without gradients what is to be done without.

    Outside of graphs and of torch.func that spends half its time on looking up arguments which
    were left out; here none are.
    """
    result: Tensor
    if is_transformed():
        result = function.apply(*args)  # type: ignore[no-untyped-call]
    else:
        result = super(torch.autograd.Function, function).apply(*args)  # type: ignore[misc]
    return result


def is_transformed() -> bool:
    """Whether this is being compiled, or seen through torch.func."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


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
