"""Where datasets are looked for, and where downloads go."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder downloads go to: ``data`` in ZOO_HOME, else in ``zoo`` of the user's cache."""
    home = os.environ.get("ZOO_HOME")
    if home:
        return Path(home).expanduser() / "data"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "zoo" / "data"


def data_roots(root: str | Path | None) -> list[Path]:
    """The folders looked at, in order: ``root``, ZOO_DATA, the cache folder."""
    given = [str(root) if root is not None else None, os.environ.get("ZOO_DATA")]
    return [*(Path(place).expanduser() for place in given if place), cache_folder()]


def offline() -> bool:
    """Whether ZOO_OFFLINE forbids downloads (set, and neither empty nor 0)."""
    return os.environ.get("ZOO_OFFLINE", "0") not in ("", "0")
