"""Imports and loads without the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
