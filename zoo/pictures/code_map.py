"""A map of codes in the plane or on a sphere, coloured by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from zoo.errors import DataError, UnsupportedError
from zoo.pictures.grounds import field, globe, project, to_pixels
from zoo.pictures.points import (
    INK,
    PAPER,
    RIM,
    densest,
    legend,
    palette,
    radius_of,
    with_names,
    with_points,
)

PLANE, DISC = 560, 452
"""Sides of the squares that hold a plane, and half a sphere, in pixels."""
HEAD, MARGIN = 74, 20
LEAST_REACH = 3.0


@dataclass(frozen=True, eq=False)
class CodeMap:
    """Codes (N, 2) of a plane, or unit vectors (N, 3), with classes (N,) or none.

    ``title`` and ``note`` stand above it. With ``circles`` those of radius 1, 2, ... show the
    deviations of a normal prior. Raises DataError for other codes or labels.
    """

    codes: Tensor
    labels: Tensor | None
    title: str
    note: str = ""
    circles: bool = False

    def __post_init__(self) -> None:
        codes, labels = self.codes, self.labels
        wrong = codes.ndim != 2 or codes.shape[1] not in (2, 3)
        if wrong or (labels is not None and labels.shape != codes.shape[:1]):
            got = "none" if labels is None else str(tuple(labels.shape))
            raise DataError(
                "a map needs codes (N, 2) or (N, 3) and labels (N,) or none, got "
                f"{tuple(codes.shape)} and {got}"
            )
        if not len(codes) or not codes.isfinite().all():
            raise DataError("there must be codes, all of them finite; look at the model")
        if self.is_sphere and not torch.allclose(codes.norm(dim=1), torch.ones(1), atol=1e-3):
            raise DataError("codes on a sphere must have unit length; give a spherical model's")

    @property
    def is_sphere(self) -> bool:
        """Whether codes are unit vectors of R^3: each is in front of the sphere, or behind."""
        return self.codes.shape[1] == 3

    @property
    def picture(self) -> Image.Image:
        """The map under its title, the classes' colours beside it."""
        panels = self._sphere() if self.is_sphere else [self._plane()]
        key = [] if self.labels is None else [legend(self._names, self._palette)]
        width = sum(part.width + MARGIN for part in (*panels, *key)) + MARGIN
        height = HEAD + max(part.height for part in (*panels, *key)) + MARGIN
        sheet, left = Image.new("RGB", (width, height), PAPER), MARGIN
        for part in (*panels, *key):
            sheet.paste(part, (left, HEAD))
            left += part.width + MARGIN
        draw = ImageDraw.Draw(sheet)
        draw.text((MARGIN, 26), self.title, INK, ImageFont.load_default(23), anchor="lm")
        draw.text((MARGIN, 54), self.note, RIM, ImageFont.load_default(17), anchor="lm")
        return sheet

    @property
    def lines(self) -> list[str]:
        """A map has none: raises UnsupportedError."""
        raise UnsupportedError("a map has no sentences; write a file .png, or the codes as .npz")

    @property
    def array(self) -> Tensor:
        """The codes as they are drawn, (N, 2) or (N, 3)."""
        return self.codes

    def _plane(self) -> Image.Image:
        points = self.codes.float()
        reach = 1.03 * float(points.abs().max())
        reach = max(LEAST_REACH, reach) if self.circles else reach or 1.0
        square = field(PLANE, reach, circles=self.circles)
        pixels = to_pixels(points, PLANE, reach)
        square = with_points(square, pixels, self._colours, radius_of(len(points)))
        if self.labels is None:
            return square
        centres, classes = densest(points, self.labels, 0.05 * reach)
        return with_names(square, to_pixels(centres, PLANE, reach), _named(classes))

    def _sphere(self) -> list[Image.Image]:
        """The half in front, and the other, seen from behind."""
        flat, front = project(self.codes.float())  # (N, 2), (N,)
        halves = []
        for behind, shown in ((False, front), (True, ~front)):
            disc = globe(DISC, from_behind=behind)
            pixels = to_pixels(flat[shown], DISC, 1.0)
            disc = with_points(disc, pixels, self._colours[shown], radius_of(len(flat)))
            halves.append(self._with_classes(disc, behind))
        return halves

    def _with_classes(self, disc: Image.Image, behind: bool) -> Image.Image:
        if self.labels is None:
            return disc
        centres, classes = densest(self.codes.float(), self.labels, 0.15)  # (K, 3), (K,)
        marks, front = project(centres)  # (K, 2), (K,)
        there = front != behind
        return with_names(disc, to_pixels(marks[there], DISC, 1.0), _named(classes[there]))

    @property
    def _names(self) -> list[str]:
        """Of the classes that there are, each once."""
        return [] if self.labels is None else _named(torch.unique(self.labels))

    @property
    def _palette(self) -> list[tuple[int, int, int]]:
        return palette(len(self._names))

    @property
    def _colours(self) -> Tensor:
        """Of every code, (N, 3)."""
        if self.labels is None:
            return torch.tensor(INK).expand(len(self.codes), 3)
        _, number = torch.unique(self.labels, return_inverse=True)
        return torch.tensor(self._palette)[number]


def _named(classes: Tensor) -> list[str]:
    return [str(each) for each in classes.tolist()]
