"""Pictures and one self-contained page of what was measured."""

from zoo.report.cards import checkpoint_section
from zoo.report.page import Picture, Section, Sentences, write_page
from zoo.report.pictures import grid, png_bytes, reconstruction_grid, save_grid

__all__ = [
    "Picture",
    "Section",
    "Sentences",
    "checkpoint_section",
    "grid",
    "png_bytes",
    "reconstruction_grid",
    "save_grid",
    "write_page",
]
