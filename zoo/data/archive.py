"""The files of a public dataset: found in one of the roots, or downloaded into the cache folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock

from zoo.data.roots import cache_folder, data_roots
from zoo.environment import offline
from zoo.errors import DataError
from zoo.registry import DatasetSpec

Find: TypeAlias = Callable[[Path], "Path | None"]


def _plain(path: Path) -> Path | None:
    return path if path.is_file() else None


def _found(find: Find, place: Iterable[Path]) -> list[Path]:
    """The files that are there. Raises DataError for a folder that cannot be looked into."""
    try:
        return [path for path in map(find, place) if path is not None]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be looked for: {error.strerror}") from error


@dataclass(frozen=True)
class Archive:
    """Files relative to a root, how to download them where that is possible, and which to keep."""

    spec: DatasetSpec
    files: tuple[str, ...]
    keep: str = "*"
    download: Callable[[Path], None] | None = None

    def locate(
        self, root: Path | None, find: Find = _plain, packaged: Path | None = None
    ) -> list[Path]:
        """Where each file is, all in one root; ``packaged`` is a folder that holds them flat.

        ``find`` maps a path to the file that stands for it. Raises DataError with what to put
        where if the files are nowhere and cannot be downloaded.
        """
        places = [[folder / file for file in self.files] for folder in data_roots(root)]
        if packaged is not None:
            places.append([packaged / Path(file).name for file in self.files])
        for place in places:
            found = _found(find, place)
            if len(found) == len(self.files):
                return found
        looked_in = [place[0].parent for place in places]
        if self.download is None:
            raise DataError(self._missing("zoo has no address to fetch them from", looked_in))
        self._fetch(self.download, looked_in)
        return [cache_folder() / file for file in self.files]

    def _fetch(self, download: Callable[[Path], None], looked_in: Iterable[Path]) -> None:
        if offline():
            raise DataError(self._missing("downloads are off (ZOO_OFFLINE is set)", looked_in))
        cache = cache_folder()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / ".download.lock"):
                self._download_into(cache, download)
        # RuntimeError is torchvision's for a failed download or a wrong checksum.
        except (OSError, RuntimeError, HTTPException) as error:
            reason = f"the download failed ({' '.join(str(error).split())})"
            raise DataError(self._missing(reason, looked_in)) from error

    def _download_into(self, cache: Path, download: Callable[[Path], None]) -> None:
        """Download beside the cache and move whole files, so that none is ever half there."""
        if all((cache / file).is_file() for file in self.files):
            return  # another process has just done it
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as name:
            folder = Path(name)
            download(folder)
            for file in folder.glob(self.keep):
                target = cache / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)

    def _missing(self, reason: str, looked_in: Iterable[Path]) -> str:
        places = ", ".join(str(place) for place in looked_in)
        return (
            f"the dataset's files were found in none of {places}, and {reason}. "
            f"Put {', '.join(self.files)} into {cache_folder()}, or into a folder given as root "
            f"or in ZOO_DATA. They come from {self.spec.options['page']}; "
            f"licence: {self.spec.license}."
        )
