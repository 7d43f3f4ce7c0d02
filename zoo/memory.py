"""One habit of the C library's allocator that costs a computation on the CPU up to a sixth."""

from __future__ import annotations

import torch

_BLOCK_BYTES = 31 * 2**20  # just below the largest size that glibc still learns from


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors instead of returning it to the system.

    glibc returns free memory as soon as it exceeds twice the largest block freed so far. Where the
    same large tensors are made and freed in a loop, every round then maps the same pages anew.
    Freeing one large block raises that limit for the rest of the process; with another C library
    nothing happens. Importance-weighted likelihoods then take 1.38 times their matrix products
    (``scripts/benchmarks evaluation``); with this function's body removed it was 1.60.
    """
    torch.empty(_BLOCK_BYTES, dtype=torch.uint8, device="cpu")
