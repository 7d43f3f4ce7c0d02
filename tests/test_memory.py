"""Freed memory stays with the process."""

from __future__ import annotations

import ctypes
import multiprocessing
import resource
import sys

import pytest
import torch
from processes import forked

from zoo.memory import keep_freed_memory

SIZES = (2**21, 2**24)
"""Of float32, 8 and 64 MiB."""


def count_faults(answer: multiprocessing.SimpleQueue[list[int]], keep: bool) -> None:
    """Pages mapped in three rounds of making and freeing tensors of each size, after five more."""
    if keep:
        keep_freed_memory()
    faults = []
    for size in SIZES:
        for once in range(8):
            if once == 5:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            held = [torch.zeros(size) for _ in range(3)]
            del held
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    answer.put(faults)


def faults(keep: bool) -> list[int]:
    answer: multiprocessing.SimpleQueue[list[int]] = multiprocessing.get_context(
        "forkserver"
    ).SimpleQueue()
    child = forked(count_faults, answer, keep)
    found = answer.get()
    child.join()
    return found


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="only glibc returns memory in this way",
)
def test_pages_are_mapped_once() -> None:
    pages = [9 * 4 * size // resource.getpagesize() for size in SIZES]
    returned, kept = faults(keep=False), faults(keep=True)
    assert returned[-1] > pages[-1] / 2, "nothing was returned: the test shows nothing"
    assert all(found < count / 50 for found, count in zip(kept, pages, strict=True))
