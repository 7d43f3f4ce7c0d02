"""What was measured, kept so that it is not measured again: a file for each figure of a model.

A file is named by all that its figure depends on: the model's SHA-256, the digest of the data, the
metric with its version and settings, and the protocol. Whatever of it changes, the name does, so
that nothing old is served for something new. Files are written beside and renamed, so that any
number of processes may measure at once; one that cannot be read counts as none.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.environment import cache_folder
from zoo.files import write_atomically
from zoo.metrics.base import Measured
from zoo.registry import packaged_root

FORMAT = 1
PACKAGED = packaged_root() / "checkpoints" / "records"
"""Those of released models."""
FIGURE = ("value", "stderr", "monte_carlo", "basis")
UNREADABLE = (
    OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, EOFError, RuntimeError
)  # fmt: skip
"""What a damaged file raises: ValueError is also that of JSON and of settings that do not fit.

RuntimeError is that of an archive that says of itself that it is encrypted, or of another kind.
"""


@dataclass(frozen=True)
class Key:
    """All that a figure depends on."""

    model: str
    """SHA-256 of the checkpoint's file."""
    data: str
    """SHA-256 of the splits that are read, before binarisation."""
    metric: dict[str, Any]
    version: int
    protocol: dict[str, Any]
    format: int = field(default=FORMAT)

    @property
    def text(self) -> str:
        """As JSON, the same for the same key."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def path(self) -> Path:
        """Below a folder of records."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return Path(self.model[:16]) / f"{self.metric['name']}-{digest[:16]}.npz"


class Records:
    """Records in a folder, by default in the cache; those of released models are read as well."""

    def __init__(self, folder: Path | None = None, read_too: Sequence[Path] = (PACKAGED,)) -> None:
        self.folder = cache_folder() / "records" if folder is None else folder
        self._folders = (self.folder, *read_too)

    def read(self, key: Key) -> Measured | None:
        """What is recorded under a key, or None."""
        found = (_read(folder / key.path) for folder in self._folders)
        return next((each for of, each in filter(None, found) if of.text == key.text), None)

    def of(self, model: str) -> Iterator[tuple[Key, Measured]]:
        """All that is recorded of the model with that SHA-256, whatever the data and protocol."""
        for folder in self._folders:
            for path in sorted((folder / model[:16]).glob("*.npz")):
                found = _read(path)
                if found is not None and found[0].model == model:
                    yield found

    def write(self, key: Key, measured: Measured, seconds: float) -> None:
        """Keep a figure, whole or not at all. Raises OSError where it cannot be written."""
        said = {
            "key": asdict(key),
            "figure": {name: getattr(measured, name) for name in FIGURE},
            "seconds": round(seconds, 3),
            "torch": torch.__version__,
        }
        text = np.frombuffer(json.dumps(said, sort_keys=True).encode(), dtype=np.uint8)
        values = np.empty(0) if measured.values is None else measured.values.numpy()
        content = io.BytesIO()
        np.savez_compressed(content, record=text, values=values)
        path = self.folder / key.path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())


def _read(path: Path) -> tuple[Key, Measured] | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            said = json.loads(bytes(file["record"]))
            values = torch.from_numpy(file["values"])
        if not math.isfinite(said["figure"]["value"]) or values.ndim != 1:
            return None
        measured = Measured(**said["figure"], values=values if len(values) else None)
        return Key(**said["key"]), measured
    except UNREADABLE:
        return None
