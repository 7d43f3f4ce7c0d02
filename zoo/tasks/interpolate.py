"""Paths between the codes of pairs of examples."""

from __future__ import annotations

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
    stacked,
)


class Interpolate(Drawing):
    """A row for each pair of examples: the first, codes on the way between theirs, the second.

    The way is the shortest one of the space, straight or along a great circle. A model that is told
    a condition is told that of the first example all along.
    """

    class Config(Settings):
        """``n`` pairs, and ``steps`` codes on each way, its ends included."""

        n: int = Field(8, ge=1, le=1000)
        steps: int = Field(10, ge=2, le=1000)

    config: Config

    @property
    def examples(self) -> int:
        return 2 * self.config.n

    def check_model(self, model: LatentVariableModel) -> None:
        """Every space has ways between its codes."""

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        batch = examples_of(batch)
        pairs = len(batch.x) // 2
        if not pairs:
            raise DataError(f"a pair has 2 examples, and there are {len(batch.x)}; give more")
        told = None if batch.condition is None else batch.condition[: 2 * pairs : 2]
        steps = self.config.steps
        codes = self.paths(model, batch).flatten(0, 1)  # (P S, D)
        between = shown(model, show, codes, repeated(told, steps))
        ends = model.modality.shown(batch.x)
        rows = [
            [ends[2 * k], *between[k * steps : (k + 1) * steps], ends[2 * k + 1]]
            for k in range(pairs)
        ]
        return Sheet(stacked([each for row in rows for each in row]), steps + 2)

    def paths(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        """The codes of each way, (P, S, D)."""
        codes = codes_of(model, batch)
        starts, ends = codes[: len(codes) // 2 * 2 : 2], codes[1::2]  # (P, D)
        ways = [
            model.interpolate(start, end, self.config.steps)
            for start, end in zip(starts, ends, strict=True)
        ]
        return torch.stack(ways)

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """Every way leads from the first code of a pair to the second, through the space."""
        paths, codes = self.paths(model, batch), codes_of(model, batch)
        torch.testing.assert_close(paths[:, 0], codes[: 2 * len(paths) : 2], rtol=0, atol=0)
        torch.testing.assert_close(paths[:, -1], codes[1::2], rtol=0, atol=0)
        torch.testing.assert_close(model.space.project(paths), paths)
        sheet = self.draw(model, batch, plain_show(model))
        expect_shown(sheet, len(paths) * (self.config.steps + 2))
