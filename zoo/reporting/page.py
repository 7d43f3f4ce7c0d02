"""One HTML page that needs nothing beside it, and works without JavaScript, too."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

import zoo
from zoo.files import write_atomically
from zoo.pictures.grids import png_bytes
from zoo.reporting.chapter import Chapter


def write_page(path: str | Path, chapters: Sequence[Chapter], *, title: str = "zoo") -> Path:
    """Write the page, whole or not at all, and return its path; its folder is made if need be.

    Pictures, styles, scripts and weights are in it, so the one file can be moved, mailed and read
    without a network.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, rendered(chapters, title).encode("utf-8"))
    return path


def rendered(chapters: Sequence[Chapter], title: str) -> str:
    """The page's text; all that is said of models is escaped."""
    environment = Environment(
        loader=PackageLoader("zoo.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_url"] = _data_url
    environment.globals["source"] = _source
    template = environment.get_template("page.html")
    return template.render(title=title, chapters=chapters, version=zoo.__version__)


def _source(name: str) -> Markup:
    """A style sheet or a script of zoo's own, as it is."""
    folder = files("zoo.reporting").joinpath("templates")
    return Markup(folder.joinpath(name).read_text(encoding="utf-8"))


def _data_url(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")
