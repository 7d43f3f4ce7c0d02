"""Examples that a model shows, row by row: a picture of images, or lines of sentences."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.pictures.grids import enlargement, grid


@dataclass(frozen=True, eq=False)
class Sheet:
    """``shown``, images (N, C, H, W) in [0, 1], vectors (N, D) or sentences, ``columns`` in a row.

    >>> sheet = Sheet(["a cat", "a hat", "the cat", "the hat"], columns=2)
    >>> print(sheet)
    a cat
    a hat
    <BLANKLINE>
    the cat
    the hat
    """

    shown: Tensor | list[str]
    columns: int

    @property
    def picture(self) -> Image.Image:
        """The images in rows, small ones enlarged. Raises UnsupportedError for anything else."""
        if not isinstance(self.shown, Tensor) or self.shown.ndim != 4:
            what = "sentences, as lines" if isinstance(self.shown, list) else "vectors, as an array"
            form = ".txt" if isinstance(self.shown, list) else ".npz"
            raise UnsupportedError(f"these are {what}, and no picture; write a file {form}")
        return grid(self.shown, self.columns, scale=enlargement(self.shown))

    @property
    def lines(self) -> list[str]:
        """Sentences one a line, an empty line between rows. UnsupportedError for anything else."""
        if isinstance(self.shown, Tensor):
            raise UnsupportedError("there are no sentences to write; write a file .png or .npz")
        starts = range(0, len(self.shown), self.columns)
        rows = [self.shown[start : start + self.columns] for start in starts]
        return [line for row in rows for line in ("", *row)][1:]

    @property
    def array(self) -> Tensor:
        """What is shown, (N, ...). Raises UnsupportedError for sentences."""
        if isinstance(self.shown, Tensor):
            return self.shown
        raise UnsupportedError("sentences make no array; write a file .txt")

    def __str__(self) -> str:
        if isinstance(self.shown, Tensor):
            return f"{len(self.shown)} examples, {self.columns} in a row"
        return "\n".join(self.lines)
