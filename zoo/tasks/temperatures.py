"""Samples at several temperatures, from the same noise."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.pictures.sheet import Sheet
from zoo.settings import Settings
from zoo.tasks.drawing import (
    Drawing,
    Show,
    Told,
    expect_shown,
    plain_show,
    shown,
    stacked,
    told_all,
)


class Temperatures(Drawing):
    """A row of samples for each temperature, the standard deviation of the prior scaled by it.

    All rows have the same noise, so that what changes from row to row is the temperature alone.
    """

    class Config(Settings):
        """``n`` samples in a row; ``condition`` is what all are told, where a model is."""

        temperatures: list[Annotated[float, Field(ge=0)]] = Field(
            [0.5, 0.7, 0.85, 1.0], min_length=1
        )
        n: int = Field(16, ge=1, le=1000)
        condition: Told = None

    config: Config
    examples = 0

    def check_model(self, model: LatentVariableModel) -> None:
        told_all(model, self.config.condition, 1)
        for temperature in self.config.temperatures:
            model.sample_codes(1, temperature, condition=self.config.condition)

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        told = told_all(model, self.config.condition, self.config.n)
        rows = [shown(model, show, codes, told) for codes in self.codes(model, told)]
        return Sheet(stacked([each for row in rows for each in row]), self.config.n)

    def codes(self, model: LatentVariableModel, told: Tensor | None) -> list[Tensor]:
        """Those of each row, (n, D)."""
        like, n = next(model.parameters()), self.config.n
        seed = int(torch.randint(2**62, ()))
        noise = [torch.Generator(like.device).manual_seed(seed) for _ in self.config.temperatures]
        return [
            model.sample_codes(n, temperature, generator, told)
            for temperature, generator in zip(self.config.temperatures, noise, strict=True)
        ]

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """A row for each, and one temperature twice gives one row twice."""
        sheet = self.draw(model, None, plain_show(model))
        expect_shown(sheet, self.config.n * len(self.config.temperatures))
        twice = Temperatures(self.config.model_copy(update={"temperatures": [1.0, 1.0]}))
        first, second = twice.codes(model, told_all(model, self.config.condition, self.config.n))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
