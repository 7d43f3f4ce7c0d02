"""zoo: a model zoo of variational autoencoders.

>>> import zoo
>>> "gaussian-vae" in zoo.list_variants()
True

Importing zoo, and listing what it holds, does not import torch: each name is resolved when it is
first used. The public names stand in ``__init__.pyi``, once for readers, type checkers and Python.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.startup import collector_paused

__version__ = "0.1.0"


@cache
def _homes() -> dict[str, str]:
    """Each public name and the module that defines it, as the stub beside this file lists them."""
    import ast

    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [statement for statement in stub.body if isinstance(statement, ast.ImportFrom)]
    return {name.name: str(each.module) for each in imports for name in each.names}


def __getattr__(name: str) -> Any:
    if name == "__all__":  # what `from zoo import *` asks for
        return sorted(_homes())
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    with collector_paused():
        value = getattr(import_module(_homes()[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
