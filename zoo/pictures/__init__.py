"""Images, maps of codes and examples in rows, each in one picture."""

from zoo.pictures.grids import grid, png_bytes, reconstruction_grid, save_grid

__all__ = ["grid", "png_bytes", "reconstruction_grid", "save_grid"]
