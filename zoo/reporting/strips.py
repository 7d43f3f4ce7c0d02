"""What models make, one row a model, in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from zoo.metrics.neighbours import nearest
from zoo.pictures.grids import enlargement, grid
from zoo.reporting.exhibit import SHOWN, Exhibit

TRAINED_ON = 60_000
"""Training examples among which neighbours are looked for, at even distances."""


@dataclass(frozen=True)
class Row:
    """What one model makes; ``model`` is empty for what the data hold."""

    model: str
    made: Image.Image | list[str]
    alt: str
    note: str = ""

    @property
    def image(self) -> Image.Image | None:
        """The picture, where it is one."""
        return None if isinstance(self.made, list) else self.made

    @property
    def lines(self) -> list[str]:
        """The sentences, where it is these."""
        return self.made if isinstance(self.made, list) else []


@dataclass(frozen=True)
class Strip:
    """Rows under each other, with the words that explain them; ``paired`` ones have two lines."""

    title: str
    caption: str
    rows: Sequence[Row]
    paired: bool = False

    def of(self, model: str) -> Row | None:
        """The row of a model, where it has one."""
        return next((row for row in self.rows if row.model == model), None)


def strips(exhibits: Sequence[Exhibit]) -> list[Strip]:
    """Reconstructions, samples and their neighbours, of images and of sentences."""
    shown = [each for each in exhibits if _can_be_shown(each)]
    if not shown:
        return []
    made = {each.name: samples(each) for each in shown}
    found = [reconstructions(shown), sampled(shown, made), neighbours(shown, made)]
    return [strip for strip in found if strip is not None and strip.rows]


def reconstructions(exhibits: Sequence[Exhibit]) -> Strip | None:
    """The same examples, through each model."""
    known = [each for each in exhibits if each.batch is not None]
    if not known:
        return None
    rows = []
    for each in known:
        assert each.batch is not None
        again = each.model.reconstruct(each.batch)
        rows.append(Row(each.name, _shown(again), f"reconstructions by {each.name}"))
    first = known[0]
    assert first.batch is not None
    original = _shown(first.model.modality.shown(first.batch.x))
    kind = first.model.modality.name
    head = Row("", original, f"{len(first.batch.x)} {kind} of the {first.split} split")
    caption = f"The same {kind} of the {first.split} split, encoded and decoded by each model."
    return Strip("Reconstructions", caption, [head, *rows])


def sampled(exhibits: Sequence[Exhibit], made: dict[str, Tensor | list[str]]) -> Strip:
    """New examples of each model."""
    rows = [
        Row(each.name, _shown(made[each.name]), f"samples of {each.name}", _told_in_words(each))
        for each in exhibits
    ]
    caption = "Codes drawn from each model's prior, decoded; none were chosen."
    return Strip("Samples", caption, rows)


def neighbours(exhibits: Sequence[Exhibit], made: dict[str, Tensor | list[str]]) -> Strip | None:
    """Samples above the training images nearest to them: copies would look alike."""
    rows = []
    for each in exhibits:
        images = made[each.name]
        if each.data is None or not isinstance(images, Tensor) or images.ndim != 4:
            continue
        train = each.data.train.evenly(TRAINED_ON)
        whole = train.batch(torch.arange(len(train)), kind="real").x  # (M, C, H, W)
        found = nearest(images.flatten(1).cpu(), whole.flatten(1).cpu()).places[:, 0]  # (n,)
        pairs = torch.cat([images.cpu(), whole[found].cpu()])  # (2 n, C, H, W)
        alt = f"samples of {each.name}, under each the training image nearest to it"
        rows.append(Row(each.name, row_of(pairs, len(images)), alt))
    caption = (
        "Each sample above the training image nearest to it, by Euclidean distance of pixels. "
        "A model that copies would have the same image twice."
    )
    return Strip("Nearest training images", caption, rows, paired=True) if rows else None


def samples(exhibit: Exhibit) -> Tensor | list[str]:
    """As many as fit in a row; of a model that is told a class, of each in turn."""
    generator = torch.Generator(next(exhibit.model.parameters()).device).manual_seed(exhibit.seed)
    return exhibit.model.sample(SHOWN, generator=generator, condition=_told(exhibit))


def _can_be_shown(exhibit: Exhibit) -> bool:
    """Images and sentences; and of what must be told numbers only where there are data."""
    told = exhibit.model.conditioning
    readable = exhibit.model.modality.name in ("images", "text")
    return readable and (told is None or told.classes is not None or exhibit.examples is not None)


def _told(exhibit: Exhibit) -> Tensor | None:
    told = exhibit.model.conditioning
    if told is None:
        return None
    if told.classes is not None:
        return torch.arange(SHOWN) % told.classes
    return None if exhibit.examples is None else exhibit.examples.conditions(SHOWN)


def _told_in_words(exhibit: Exhibit) -> str:
    told = exhibit.model.conditioning
    if told is None:
        return ""
    return "told a class each" if told.classes is not None else "told what examples are"


def _shown(examples: Tensor | list[str]) -> Image.Image | list[str]:
    """Images in one row, sentences as they are."""
    return row_of(examples, len(examples)) if isinstance(examples, Tensor) else list(examples)


def in_page(images: Tensor) -> int:
    """How much to enlarge images (N, C, H, W): the page enlarges them once more."""
    return max(1, enlargement(images) // 2)


def row_of(images: Tensor, columns: int) -> Image.Image:
    """Images (N, C, H, W), small ones enlarged, with a fine line between them."""
    scale = in_page(images)
    large = images.cpu().repeat_interleave(scale, dim=-1).repeat_interleave(scale, dim=-2)
    return grid(large, columns)
