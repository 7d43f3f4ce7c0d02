"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Cells under one another, the first of each row to the left; a rule is under the header.

    >>> print(aligned([["", "a"], ["nll", "22.20"]]))
             a
    ---  -----
    nll  22.20
    """
    widths = [max(2, *map(len, column)) for column in zip(*rows, strict=True)]
    head, *rest = rows
    lines = [_line(cells, widths) for cells in (head, ["-" * width for width in widths], *rest)]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([name, *figures]).rstrip()
