"""Which model, and on what machine: what has to be the same at both ends."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch

from zoo.core.model import LatentVariableModel
from zoo.precision import float32_by_default
from zoo.tasks.compress.stack import import_constriction


def digest_of(model: LatentVariableModel) -> str:
    """SHA-256 of a model's class, settings and weights, in hexadecimal."""
    digest = hashlib.sha256(f"{type(model).__qualname__} {model.config.model_dump_json()}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def floats_here() -> str:
    """What the last digits of a network's numbers hang on, as far as it has a name.

    Vector instructions and libraries decide in which order sums are taken. What has none, as the
    make of the processor, shows in the checksum of the decoded examples.
    """
    import_constriction()  # which says what to install, where the version would only be missing
    versions = f"torch {torch.__version__}, constriction {version('constriction')}"
    vectors = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return f"{versions}, {vectors}, products {torch.get_float32_matmul_precision()}"


@contextmanager
def same_floats() -> Iterator[None]:
    """No gradients, no autocast, one thread: how work is shared decides how sums are taken."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False), float32_by_default():
            yield
    finally:
        torch.set_num_threads(threads)
