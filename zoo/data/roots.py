"""Where datasets are looked for, and where downloads go."""

from __future__ import annotations

import os
from pathlib import Path

from zoo import environment
from zoo.files import as_path


def cache_folder() -> Path:
    """The folder downloads go to: ``data`` in zoo's cache folder."""
    return environment.cache_folder() / "data"


def data_roots(root: str | Path | None) -> list[Path]:
    """The folders looked at, in order: ``root``, ZOO_DATA, the cache folder."""
    given = [str(root) if root is not None else None, os.environ.get("ZOO_DATA")]
    return [*(as_path(place, "a data root") for place in given if place), cache_folder()]
