"""What a model is told beside x: a class, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from zoo.core.checks import described
from zoo.errors import DataError, UnsupportedError
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel


class ConditionConfig(Settings):
    """``on`` names the column of the data: its labels, or a column of conditions.

    ``classes`` is how many classes it has, or ``numbers`` how many numbers; the data say which.
    """

    on: Literal["labels", "condition"] = "labels"
    classes: int | None = Field(None, ge=1, le=2**16)
    numbers: int | None = Field(None, ge=1, le=2**16)

    @property
    def width(self) -> int:
        """How many numbers the networks read of it."""
        return self.classes or self.numbers or 0

    def numeric(self, condition: Tensor | None, like: Tensor) -> Tensor:
        """Classes (B,) as unit vectors, or the numbers as they are: (B, width).

        Raises DataError where nothing, or something else, is told.
        """
        wanted = f"classes (batch,) from 0 to {self.width - 1}"
        if self.classes is None:
            wanted = f"numbers (batch, {self.width})"
        if condition is None:
            raise DataError(
                f"this model is told a condition, {wanted}, and none was given; pass "
                f"Batch(x, condition=...), or condition=... to sample and decode"
            )
        is_classes = condition.ndim == 1 and not condition.is_floating_point()
        is_numbers = condition.ndim == 2 and condition.shape[1] == self.width
        fits = is_classes if self.classes else is_numbers
        if not fits:
            raise DataError(f"expected a condition of {wanted}, got {described(condition)}")
        if self.classes:
            known = torch.arange(self.width, device=condition.device)
            return (condition[:, None] == known).to(like.dtype)  # (B, classes)
        return condition.to(like.dtype)


def _by_column(value: Any) -> Any:
    return {"on": value} if isinstance(value, str) else value


Conditioning = Annotated[ConditionConfig, BeforeValidator(_by_column)]
"""A setting: ``condition: labels`` stands for ``condition: {on: labels}``."""


def as_condition(model: LatentVariableModel, condition: object, n: int) -> Tensor | None:
    """One class or vector of numbers for all of ``n``, or one for each, as a tensor.

    Raises UnsupportedError for a model that is told nothing, DataError for another number of them.
    """
    if condition is None:
        return None
    if model.condition_width is None:
        raise UnsupportedError(
            "this model is told nothing beside x; train one with condition='labels' to choose what "
            "it makes"
        )
    device = next(model.parameters()).device
    told = torch.as_tensor(condition, device=device)
    if not told.is_floating_point() and bool(((told < 0) | (told >= model.condition_width)).any()):
        raise DataError(f"classes are 0 to {model.condition_width - 1}, got {condition!r:.100}")
    rank = 1 if told.is_floating_point() else 0
    if told.ndim == rank:
        return told.expand(n, *told.shape)
    if len(told) != n:
        raise DataError(f"{n} draws need {n} conditions or one for all, got {len(told)}")
    return told


def conditioned_on(config: Mapping[str, Any]) -> str | None:
    """The column of the data that a model of a complete configuration is told."""
    told = config.get("condition")
    return None if told is None else str(told["on"])
