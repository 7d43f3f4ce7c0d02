"""What each latent group of a hierarchy decides: examples with some groups drawn anew."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.checks import check_groups
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.pictures.sheet import Sheet
from zoo.settings import Settings
from zoo.tasks.drawing import (
    Drawing,
    Show,
    codes_of,
    examples_of,
    expect_shown,
    plain_show,
    shown,
    stacked,
)


class Groups(Drawing):
    """A row for each example: it, its reconstruction, and draws that keep some of its groups.

    The groups that are not kept are drawn from the prior, given those above them in a hierarchy.
    What stays alike over the draws is what the kept groups decide.
    """

    class Config(Settings):
        """``n`` examples, ``draws`` of each.

        ``keep`` has the groups that are kept, from 0, for each block of draws. Without it each
        group in turn is the only one that is drawn.
        """

        n: int = Field(8, ge=1, le=1000)
        draws: int = Field(4, ge=1, le=100)
        keep: list[list[int]] | None = None

    config: Config

    @property
    def examples(self) -> int:
        return self.config.n

    def check_model(self, model: LatentVariableModel) -> None:
        groups = len(model.group_widths)
        if groups < 2:
            raise UnsupportedError(
                "this model has one latent group, which is kept or not; choose one with several, "
                "'nvae-lite', 'univae' or 'm2'"
            )
        for kept in self.config.keep or []:
            check_groups(kept, groups)

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet:
        batch = examples_of(batch)
        blocks = [codes_of(model, batch), *self.blocks(model, batch)]
        columns = [model.modality.shown(batch.x)]
        columns += [shown(model, show, codes, batch.condition) for codes in blocks]
        rows = zip(*columns, strict=True)
        return Sheet(stacked([each for row in rows for each in row]), len(columns))

    def blocks(self, model: LatentVariableModel, batch: Batch) -> list[Tensor]:
        """The codes of each column of draws, (B, D)."""
        codes, told = codes_of(model, batch), batch.condition
        drawn = self.drawn(len(model.group_widths))
        return [
            model.resample_groups(codes, groups, condition=told)
            for groups in drawn
            for _ in range(self.config.draws)
        ]

    def drawn(self, groups: int) -> list[list[int]]:
        """The groups that each block draws anew, of a model with so many.

        >>> Groups(Groups.Config()).drawn(2), Groups(Groups.Config(keep=[[0], []])).drawn(2)
        ([[0], [1]], [[1], [0, 1]])
        """
        if self.config.keep is None:
            return [[group] for group in range(groups)]
        return [[g for g in range(groups) if g not in kept] for kept in self.config.keep]

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """The groups that are kept stay as they are, and others do not."""
        widths = list(model.group_widths)
        own = torch.split(codes_of(model, batch), widths, dim=-1)  # (B, D_g) each
        blocks = self.blocks(model, batch)
        of_blocks = [g for g in self.drawn(len(widths)) for _ in range(self.config.draws)]
        for codes, drawn in zip(blocks, of_blocks, strict=True):
            parts = torch.split(codes, widths, dim=-1)
            for group in set(range(len(widths))) - set(drawn):
                torch.testing.assert_close(parts[group], own[group], rtol=0, atol=0)
        moved = [not torch.equal(codes, torch.cat(own, dim=-1)) for codes in blocks]
        anew = {tuple(drawn) for drawn, is_new in zip(of_blocks, moved, strict=True) if is_new}
        if same := {tuple(drawn) for drawn in of_blocks if drawn} - anew:  # in all their draws
            raise AssertionError(f"groups {same} are not drawn anew")
        expect_shown(
            self.draw(model, batch, plain_show(model)), len(batch.x) * (2 + len(of_blocks))
        )
