"""Lossless coding of examples with a model: compress, decompress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from zoo.api.load import file_of
from zoo.api.source import Source, opened
from zoo.core.component import component_class
from zoo.errors import DataError
from zoo.files import sha256
from zoo.registry import registry


def compress(model: Source, x: Tensor | NDArray[Any]) -> bytes:
    """Examples (N, ...) in as many bytes as the model finds them likely, without loss.

    By bits back (Townsend et al. 2019, arXiv:1901.04866) they take about -ELBO / log 2 bits each,
    and a few hundred bytes to begin with. ``x`` holds what the model reads, floats of 0 and 1 or of
    whole multiples of 1/255, or whole numbers, 0 and 1 (also booleans) or 0 to 255. It comes back
    as it was, on a machine with the same torch and vector instructions.

    Raises UnsupportedError for models that cannot do it: they need normal posteriors and priors,
    and binary or 8-bit examples. DataError for examples that the model cannot read, ConfigError
    without the library constriction (extra ``compress``).

    >>> import torch, zoo
    >>> x = zoo.load_dataset("digits").test.fixed("binary", 0).images > 127
    >>> data = compress("gaussian-vae-digits", x)
    >>> torch.equal(decompress("gaussian-vae-digits", data), x)
    True
    """
    source = opened(model)
    task = component_class("tasks", "compress")
    name, digest = _released(model)
    data: bytes = task(task.Config()).compress(source.model, x, name, digest)
    return data


def decompress(model: Source, data: bytes) -> Tensor:
    """The examples that :func:`compress` was given, from its bytes and the same model.

    Raises DataError for bytes that are damaged, of another model, another version of the format, or
    of a machine whose floats may differ: nothing is ever decoded into something else.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DataError(f"expected the bytes that zoo.compress made, got {type(data).__name__}")
    task = component_class("tasks", "compress")
    x: Tensor = task(task.Config()).decompress(opened(model).model, bytes(data))
    return x


def _released(model: Source) -> tuple[str | None, str | None]:
    """The name of a released checkpoint, and the SHA-256 of its file or of another one."""
    if not isinstance(model, str | Path):
        return None, None
    return str(model) if model in registry().checkpoints else None, sha256(file_of(model))
