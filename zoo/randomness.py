"""Seeded noise that leaves the caller's random state alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

GENERATORS = threading.RLock()
"""Held by the thread that has seeded torch's generators, which are the same ones in all threads."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Noise from ``seed`` on the CPU and on ``device``, the generators restored afterwards.

    Another thread that seeds waits until then; one that draws without seeding still disturbs.

    torch.manual_seed is not used: it reseeds every accelerator, also those not restored here.

    >>> with seeded(0, torch.device("cpu")):
    ...     first = torch.rand(3)
    >>> with seeded(0, torch.device("cpu")):
    ...     print(torch.equal(first, torch.rand(3)))
    True
    """
    devices = [device] if device.type == "cuda" else []
    with GENERATORS, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def short_seed(seed: int) -> int:
    """A seed for scikit-learn, which takes 32 bits: one that has no more is itself.

    >>> short_seed(7), short_seed(2**32 + 7)
    (7, 7)
    """
    return seed % 2**32


def noise_of(
    generator: torch.Generator | None, device: torch.device
) -> AbstractContextManager[None]:
    """Noise of the global generators drawn from ``generator`` instead, where there is one.

    For what takes no generator itself, as most distributions.
    """
    if generator is None:
        return nullcontext()
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return seeded(int(seed), device)
