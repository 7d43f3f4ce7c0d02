"""What a model is told beside x: a class, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor
from typing_extensions import Self

from zoo.core.checks import described
from zoo.distributions.one_hot import as_one_hot
from zoo.errors import DataError, UnsupportedError
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel


WHOLE_NUMBERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class ConditionConfig(Settings):
    """``on`` names the column of the data: its labels, or a column of conditions.

    ``classes`` is how many classes it has, or ``numbers`` how many numbers; the data say which.
    """

    on: Literal["labels", "condition"] = "labels"
    classes: int | None = Field(None, ge=1, le=2**16)
    numbers: int | None = Field(None, ge=1, le=2**16)
    needed: ClassVar[bool] = True
    """Whether a model answers nothing without it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.classes is not None and self.numbers is not None:
            raise ValueError(
                f"a condition is one of {self.classes} classes or {self.numbers} numbers, not "
                "both; leave them out: the data say which"
            )
        return self

    @property
    def width(self) -> int:
        """How many numbers the networks read of it."""
        return self.classes or self.numbers or 0

    @property
    def wanted(self) -> str:
        """What is to be told, in words."""
        if self.classes is None:
            return f"numbers (batch, {self.width})"
        return f"classes (batch,) from 0 to {self.width - 1}"

    def numeric(self, condition: Tensor | None, like: Tensor) -> Tensor:
        """Classes (B,) as unit vectors, or the numbers as they are: (B, width).

        Raises DataError where nothing, or something else, is told.
        """
        condition = self.check_form(condition)
        if self.classes is None:
            return condition.to(like.dtype)
        return as_one_hot(condition, self.width, like.dtype)

    def check_form(self, condition: object) -> Tensor:
        """The condition. Raises DataError where it is none, or is something else."""
        if condition is None:
            raise DataError(
                f"this model is told a condition, {self.wanted}, and none was given; pass "
                f"Batch(x, condition=...), or condition=... to sample and decode"
            )
        if not isinstance(condition, Tensor) or not self._fits(condition):
            raise DataError(f"expected a condition of {self.wanted}, got {described(condition)}")
        return condition

    def check_values(self, condition: Tensor) -> None:
        """Raise DataError for other classes than the model knows, and for no finite numbers.

        Its form has been checked. On an accelerator the host waits once.
        """
        if self.classes is None:
            wrong = ~condition.isfinite()
        else:
            wrong = (condition < 0) | (condition >= self.width)
        if wrong.any():
            found = condition[wrong][0].item()
            raise DataError(f"expected a condition of {self.wanted}, got {found}")

    def _fits(self, condition: Tensor) -> bool:
        if self.classes is None:
            return condition.ndim == 2 and condition.shape[1] == self.width
        return condition.ndim == 1 and condition.dtype in WHOLE_NUMBERS

    def one_for_each(self, condition: object, n: int, device: torch.device) -> Tensor:
        """What is told to ``n``: one class or vector of numbers for all, or one for each.

        Raises DataError for another number of them, or for something else.
        """
        kind = torch.float32 if self.classes is None else None
        try:
            told = torch.as_tensor(condition, device=device, dtype=kind)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"expected a condition of {self.wanted}, got {condition!r:.100}"
            ) from error
        if told.ndim == (0 if self.classes else 1):
            told = told.expand(n, *told.shape)  # (n,) or (n, C)
        self.numeric(told, told)
        if len(told) != n:
            raise DataError(f"{n} draws need {n} conditions or one for all, got {len(told)}")
        self.check_values(told)
        return told


class InferredClass(ConditionConfig):
    """A class that a model may be told, and infers of x where it is not."""

    needed: ClassVar[bool] = False


def _by_column(value: Any) -> Any:
    return {"on": value} if isinstance(value, str) else value


Conditioning = Annotated[ConditionConfig, BeforeValidator(_by_column)]
"""A setting: ``condition: labels`` stands for ``condition: {on: labels}``."""


def check_told(model: LatentVariableModel, condition: object, examples: int | None = None) -> None:
    """Raise UnsupportedError for a condition of a model that is told nothing.

    Also DataError where one is told a condition, and nothing or something else is given, or
    another number of them than that of the ``examples``. Reads no values.
    """
    if model.conditioning is not None:
        if condition is None and not model.conditioning.needed:
            return
        told = model.conditioning.check_form(condition)
        if examples is not None and examples != told.shape[0]:
            raise DataError(f"{examples} examples need as many conditions, got {told.shape[0]}")
    elif condition is not None:
        raise UnsupportedError(
            "this model is told nothing beside x, so a condition would change nothing: leave it "
            "out (of a dataset by conditioned(None)), or train one that is told, as 'cvae' or any "
            "with condition='labels'"
        )


def check_told_values(model: LatentVariableModel, condition: Tensor | None) -> None:
    """Raise DataError for values that a model cannot be told: a class there is not, no number.

    The form has been checked. On an accelerator the host waits once.
    """
    if model.conditioning is not None and condition is not None:
        model.conditioning.check_values(condition)


def needed_condition(model: LatentVariableModel) -> ConditionConfig | None:
    """What a model must be told; None where it is told nothing, or infers what it is not told."""
    told = model.conditioning
    return told if told is not None and told.needed else None


def refuse_told_labels(model: LatentVariableModel) -> None:
    """Raise UnsupportedError for a model whose codes need not say what it is told: the labels."""
    told = needed_condition(model)
    if told is not None and told.on == "labels":
        raise UnsupportedError(
            "this model is told the labels that are to be found, so its codes leave them out; "
            "choose one that is told nothing, as 'gaussian-vae', or that infers them, as 'm2'"
        )


def as_condition(model: LatentVariableModel, condition: object, n: int) -> Tensor | None:
    """One class or vector of numbers for all of ``n``, or one for each, as a tensor.

    Raises UnsupportedError for a model that is told nothing, DataError for another number of them
    and for what the model does not know.
    """
    if model.conditioning is None:
        check_told(model, condition)
    if model.conditioning is None or condition is None:
        return None
    return model.conditioning.one_for_each(condition, n, next(model.parameters()).device)


def conditioned_on(config: Mapping[str, Any]) -> str | None:
    """The column of the data that a model of a configuration, complete or not, is told.

    >>> conditioned_on({"condition": "labels"}), conditioned_on({"condition": {"classes": 3}})
    ('labels', 'labels')
    """
    told = config.get("condition")
    return str(told.get("on", "labels")) if isinstance(told, Mapping) else told
