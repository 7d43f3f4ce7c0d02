"""Imports and loads that take as little time as may be."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@contextmanager
def collector_paused() -> Iterator[None]:
    """An import, or a load, allocates much and frees little: it sets off the garbage collector.

    Its full passes over torch's objects would take longer than all of zoo's own import.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()


def names_of_stub(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose names are imported when first used.

    They stand in the ``.pyi`` beside its ``file``, once for readers, type checkers and Python.
    """

    @cache
    def homes() -> dict[str, str]:
        """Each name and the module that defines it."""
        import ast

        stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
        imports = [statement for statement in stub.body if isinstance(statement, ast.ImportFrom)]
        return {name.name: str(each.module) for each in imports for name in each.names}

    def find(name: str) -> Any:
        if name == "__all__":  # what `from zoo import *` asks for
            return sorted(homes())
        if name.startswith("_") or name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with collector_paused():
            value = getattr(import_module(homes()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted({*vars(sys.modules[package]), *homes()})
