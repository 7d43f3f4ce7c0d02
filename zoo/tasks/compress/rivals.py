"""What a model's compression is measured against."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from zoo.tasks.base import Baseline
from zoo.tasks.compress.stack import Array


class Rival(Baseline):
    """A program that compresses examples without having learned of any."""

    task = "compress"

    @abstractmethod
    def size(self, symbols: Array, highest: int) -> int:
        """Bytes of all examples (N, *shape) together, as symbols uint8 from 0 to ``highest``."""


def as_bytes(symbols: Array, highest: int) -> bytes:
    """Symbols one after the other, binary ones 8 to a byte.

    >>> as_bytes(np.array([1, 0, 0, 0, 0, 0, 0, 1], np.uint8), 1)
    b'\\x81'
    """
    return (np.packbits(symbols) if highest == 1 else symbols).tobytes()
