"""One HTML page that needs nothing beside it: tables, pictures and the facts behind them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from PIL import Image

from zoo.files import write_atomically
from zoo.metrics import Scores
from zoo.report.pictures import png_bytes


@dataclass(frozen=True)
class Picture:
    """A picture with the words under it."""

    caption: str
    image: Image.Image


@dataclass(frozen=True)
class Sentences:
    """Sentences, one a line, with the words under them."""

    caption: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of the page: words, facts by name, a table, pictures, sentences, all text escaped.

    ``table`` holds rows of cells, the first being the titles; ``notes`` stand under it.
    """

    title: str
    summary: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    table: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    sentences: Sequence[Sentences] = ()


def write_page(
    path: str | Path,
    comparisons: Sequence[Scores],
    sections: Sequence[Section],
    *,
    title: str = "zoo",
) -> Path:
    """Write the page, whole or not at all, and return its path; its folder is made if need be.

    First every comparison with its protocol and notes, then every section. Pictures are embedded,
    so the one file can be moved, mailed and read without a network.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_url"] = _data_url
    source = files("zoo.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title, comparisons=comparisons, sections=sections
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode("utf-8"))
    return path


def _data_url(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")
