"""Tables: files, frames and arrays -> rows, and what their columns are."""

from zoo.data.tables.split import TableSplit

__all__ = ["TableSplit"]
