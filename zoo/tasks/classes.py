"""Samples of each class, from the same noise."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.pictures.sheet import Sheet
from zoo.settings import Settings
from zoo.tasks.drawing import Drawing, Show, expect_shown, plain_show, shown


class Classes(Drawing):
    """A row of samples for each class that a model can be told.

    All rows have the same noise of codes, so that down a column the style stays as far as the
    prior, told the class, lets it: where that does not depend on the class, a column is one code.
    """

    class Config(Settings):
        """``n`` samples in a row."""

        n: int = Field(10, ge=1, le=1000)

    config: Config
    examples = 0

    def check_model(self, model: LatentVariableModel) -> None:
        class_count(model)

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        codes, told = self.codes(model)
        return Sheet(shown(model, show, codes, told), self.config.n)

    def codes(self, model: LatentVariableModel) -> tuple[Tensor, Tensor]:
        """Codes (K n, D) and their classes (K n,), row after row."""
        n, device = self.config.n, next(model.parameters()).device
        seed = int(torch.randint(2**62, ()))
        rows = torch.arange(class_count(model), device=device)[:, None].expand(-1, n)  # (K, n)
        drawn = [
            model.sample_codes(n, 1.0, torch.Generator(device).manual_seed(seed), told)
            for told in rows
        ]
        return torch.cat(drawn), rows.flatten()

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """As many rows as classes, and another row is told another class."""
        expect_shown(self.draw(model, None, plain_show(model)), self.config.n * class_count(model))
        codes, told = self.codes(model)
        assert len(codes) == len(told) == self.config.n * class_count(model)
        assert told[0] == 0 and told[-1] == class_count(model) - 1


def class_count(model: LatentVariableModel) -> int:
    """K, how many classes it can be told. Raises UnsupportedError for a model told none."""
    told = model.conditioning
    if told is None or told.classes is None:
        said = "nothing" if told is None else "numbers"
        raise UnsupportedError(
            f"this picture has a row for each class, and {model.variant!r} is told {said}; choose "
            "a model that is told classes, such as cvae-digits, or the picture 'temperatures'"
        )
    return told.classes
