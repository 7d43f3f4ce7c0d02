"""Kinds of columns of a table: how networks see their values, and p(x|z) of each."""

from zoo.columns.base import ColumnKind
from zoo.columns.layout import Layout
from zoo.columns.schema import Column, TableSchema

__all__ = ["Column", "ColumnKind", "Layout", "TableSchema"]
