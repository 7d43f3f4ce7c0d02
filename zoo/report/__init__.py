"""Pictures and one self-contained page of what was measured."""

from zoo.report.cards import checkpoint_section
from zoo.report.figures import grid, png_bytes, reconstruction_grid, save_grid
from zoo.report.page import Figure, Section, Sentences, write_page

__all__ = [
    "Figure",
    "Section",
    "Sentences",
    "checkpoint_section",
    "grid",
    "png_bytes",
    "reconstruction_grid",
    "save_grid",
    "write_page",
]
