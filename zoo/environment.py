"""What the environment says of where files are kept and whether the network may be used."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads are kept, as the environment says; it may not exist yet."""
    if home := os.environ.get("ZOO_HOME"):
        return Path(home).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zoo"


def offline() -> bool:
    """Whether ZOO_OFFLINE forbids downloads, of checkpoints and of datasets."""
    return os.environ.get("ZOO_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")
