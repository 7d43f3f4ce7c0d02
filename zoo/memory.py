"""One habit of the C library's allocator for which a computation on the CPU pays with its time."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 2**30
_EARLIER_LIMIT = 2**25  # the largest threshold that an older glibc accepts


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors instead of returning it to the system.

    glibc returns a large block as soon as it is freed. Where the same large tensors are made and
    freed in a loop, every round then maps the same pages anew, and the system clears each of them.
    Up to 1 GiB stays with the process from here on; with another C library nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT) or mallopt(_MMAP_THRESHOLD, _EARLIER_LIMIT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
