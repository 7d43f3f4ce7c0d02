"""What each dimension of a code decides: the code of an example moved along it."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.errors import DataError
from zoo.pictures.sheet import Sheet
from zoo.settings import Settings
from zoo.tasks.drawing import (
    Drawing,
    Show,
    codes_of,
    examples_of,
    expect_shown,
    plain_show,
    repeated,
    shown,
)

LOOKED_AT = 500
"""Examples whose codes say how far each dimension varies."""


class Traverse(Drawing):
    """A row for each dimension: the code moved along its axis, itself in the middle.

    The dimensions are those that vary most over the codes of examples, the most first. In flat
    spaces a row reaches three of the codes' deviations either way, on a sphere around the whole
    great circle that leaves the code along the axis. What is moved is the code of an example, or
    the prior's mean, ``around="prior"``.
    """

    class Config(Settings):
        """``n`` dimensions, ``steps`` codes of each; ``example`` is which one is moved, from 0."""

        n: int = Field(10, ge=1, le=4096)
        steps: int = Field(11, ge=2, le=1000)
        around: Literal["example", "prior"] = "example"
        example: int = Field(0, ge=0, lt=LOOKED_AT)

    config: Config
    examples = LOOKED_AT

    def check_model(self, model: LatentVariableModel) -> None:
        """Codes of all spaces move; not all priors have a mean."""
        if self.config.around == "prior":
            self._start(model, None, None)

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        batch = examples_of(batch)
        rows = self.rows(model, batch).flatten(0, 1)  # (R A, D)
        told = self._told(batch)
        return Sheet(shown(model, show, rows, repeated(told, len(rows))), self.config.steps)

    def rows(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        """The codes of each row, (R, A, D)."""
        codes = codes_of(model, batch)
        deviations = codes.std(0, correction=0)  # (D,)
        start = self._start(model, codes, self._told(batch))
        most = deviations.argsort(descending=True, stable=True)[: self.config.n]  # (R,)
        reach, axes = model.space.reach(deviations), torch.eye(model.code_dim).to(codes)
        fractions = torch.linspace(-1, 1, self.config.steps).to(codes)  # (A,)
        return torch.stack(
            [model.traverse(start, axes[axis], fractions * reach[axis]) for axis in most.tolist()]
        )

    def _start(
        self, model: LatentVariableModel, codes: Tensor | None, told: Tensor | None
    ) -> Tensor:
        """The code that is moved, (D,)."""
        if codes is None or self.config.around == "prior":
            return model.sample_codes(1, 0.0, condition=told)[0]
        return codes[self.config.example]

    def _told(self, batch: Batch) -> Tensor | None:
        """What the moved example is told, (1, ...)."""
        if self.config.example >= len(batch.x):
            raise DataError(
                f"there is no example {self.config.example}: there are {len(batch.x)}, from 0"
            )
        place = slice(self.config.example, self.config.example + 1)
        return None if batch.condition is None else batch.condition[place]

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """Rows stay in the space, and have the code in their middle."""
        rows = self.rows(model, batch)
        torch.testing.assert_close(model.space.project(rows), rows)
        middle = rows[:, self.config.steps // 2] if self.config.steps % 2 else rows[:, :0]
        start = self._start(model, codes_of(model, batch), self._told(batch))
        torch.testing.assert_close(middle, start.expand_as(middle))
        sheet = self.draw(model, batch, plain_show(model))
        expect_shown(sheet, rows.shape[0] * rows.shape[1])
