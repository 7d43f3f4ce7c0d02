"""Seconds of a call, and how fast a machine multiplies matrices."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from benchmarks._figures import Contender
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from zoo.training.device import choose_device

SIZES = {"cpu": (512, 1024, 2048), "cuda": (1024, 2048, 8192)}
PEAK_SECONDS = 0.2
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def elapsed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def seconds_of(call: Callable[[], object], block: float, device: torch.device) -> float:
    """Seconds for one call, of a block of at least so many seconds; waits for the device."""

    def repeat(repetitions: int) -> None:
        for _ in range(repetitions):
            call()
        synchronise(device)

    repeat(1)  # the first call sets things up
    count, total = 0, 0.0
    while not count or total < block:
        more = max(1, count)
        total += elapsed(partial(repeat, more))
        count += more
    return total / count


def in_blocks(
    options: argparse.Namespace,
    call: Callable[[], object],
    work: float = 1,
    operations: float | None = None,
) -> Contender:
    """What repeats a call in blocks, each as long as the options say."""
    device = choose_device(getattr(options, "device", "cpu"))
    return Contender(partial(seconds_of, call, options.block, device), work, operations)


def synchronise(device: torch.device) -> None:
    """Wait for an accelerator."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def waiting_is_an_error(device: torch.device) -> Iterator[None]:
    """On a CUDA device; anywhere else there is nothing to wait for."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def products(precision: str, device: torch.device) -> Contender:
    """What others reach a part of: a billion operations of the fastest square matrix product."""
    return Contender(lambda: 1e9 / peak_rate(TYPES[precision], device), None, operations=1e9)


def peak_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of the fastest square product.

    Of three sizes, each as ``torch.mm`` and as a 1 x 1 convolution over maps of 4 x 4: on some
    processors these go through libraries of different speed.
    """
    rates = []
    for size in SIZES[device.type]:
        a, b = (torch.rand(size, size, dtype=dtype, device=device) for _ in range(2))
        maps = a.view(-1, 4, 4, size).permute(0, 3, 1, 2)  # the channels innermost
        for multiply in (partial(torch.mm, a, b), partial(conv2d, maps, b[:, :, None, None])):
            rates.append(2 * size**3 / seconds_of(multiply, PEAK_SECONDS, device))
    return max(rates)


def counted(call: Callable[[], object]) -> int:
    """Operations of the products and convolutions in a call, as PyTorch counts them."""
    # Of attention PyTorch counts the products only where they are written out.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    total: int = counter.get_total_flops()
    return total
