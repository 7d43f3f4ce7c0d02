"""zoo: a model zoo of variational autoencoders.

>>> import zoo
>>> "gaussian-vae" in zoo.list_variants()
True

Importing zoo, and listing what it holds, does not import torch: each name below is resolved when
it is first used.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import compare, create, evaluate, train, verify
    from zoo.catalogue import (
        info,
        list_benchmarks,
        list_checkpoints,
        list_datasets,
        list_variants,
    )
    from zoo.errors import ZooError
    from zoo.loading import load
    from zoo.model import ElboTerms, VariationalAutoencoder
    from zoo.registry import register, use_registry
    from zoo.training.config import Experiment
    from zoo.training.trainer import Run, resume, train_experiment
    from zoo.variants.univae.decoding import Beam, Draw, Greedy, Mean

__version__ = "0.1.0"

_HOME = {
    "zoo.api": ("compare", "create", "evaluate", "train", "verify"),
    "zoo.catalogue": (
        "info", "list_benchmarks", "list_checkpoints", "list_datasets", "list_variants",
    ),
    "zoo.errors": ("ZooError",),
    "zoo.loading": ("load",),
    "zoo.model": ("ElboTerms", "VariationalAutoencoder"),
    "zoo.variants.univae.decoding": ("Beam", "Draw", "Greedy", "Mean"),
    "zoo.registry": ("register", "use_registry"),
    "zoo.training.config": ("Experiment",),
    "zoo.training.trainer": ("Run", "resume", "train_experiment"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Beam",
    "Draw",
    "ElboTerms",
    "Experiment",
    "Greedy",
    "Mean",
    "Run",
    "VariationalAutoencoder",
    "ZooError",
    "compare",
    "create",
    "evaluate",
    "info",
    "list_benchmarks",
    "list_checkpoints",
    "list_datasets",
    "list_variants",
    "load",
    "register",
    "resume",
    "train",
    "train_experiment",
    "use_registry",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    with _collector_paused():
        value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


@contextmanager
def _collector_paused() -> Iterator[None]:
    """An import allocates much and frees nothing, which sets off the garbage collector.

    Its full passes over torch's objects would take longer than all of zoo's own import.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
