"""Importing torchvision beside a torch build that its compiled library does not match.

The package index serves one build of torchvision for Linux, compiled for CUDA. Beside a CPU build
of torch its library of operators cannot be loaded, and then the import itself fails: it registers
shape rules for two operators that nobody declared. Declaring their signatures is enough for
everything that does not call them; here only dataset readers are used, which do not.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision_datasets() -> ModuleType:
    """The module ``torchvision.datasets``, importable also where the operators are missing."""
    _declare_missing_operators()
    return importlib.import_module("torchvision.datasets")


@lru_cache(maxsize=1)
def _declare_missing_operators() -> torch.library.Library | None:
    """What was declared, held for the life of the process: a library dies with its handle."""
    if _operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + SIGNATURE)  # type: ignore[no-untyped-call]
    return library


def _operators_load() -> bool:
    """Whether torchvision's own library of operators can be loaded, tried as torchvision does."""
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True  # not installed: the import says so better than we could
    folder = Path(package.origin).parent
    details = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    extension = importlib.machinery.FileFinder(str(folder), details).find_spec("_C")
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
