"""Programs that compress anything: gzip (RFC 1952), bzip2, and xz (LZMA2)."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, cast

from zoo.settings import Settings
from zoo.tasks.compress.rivals import Rival, as_bytes
from zoo.tasks.compress.stack import Array


class General(Rival):
    """A module of Python's own, as thorough as it can be.

    >>> import numpy as np
    >>> General(General.Config(library="bz2")).size(np.zeros((100, 1, 8, 8), np.uint8), 1) < 100
    True
    """

    class Config(Settings):
        """Which of them."""

        library: Literal["gzip", "bz2", "lzma"] = "gzip"

    def size(self, symbols: Array, highest: int) -> int:
        library = cast("General.Config", self.config).library
        thorough = {"preset": 9} if library == "lzma" else {"compresslevel": 9}
        return len(import_module(library).compress(as_bytes(symbols, highest), **thorough))
