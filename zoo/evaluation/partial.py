"""An evaluation that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from zoo.core.bounds import Evidence
from zoo.data import Examples
from zoo.environment import cache_folder
from zoo.errors import CheckpointError
from zoo.storage.tensors import read_tensors, write_tensors

SECONDS = 30.0
"""A kill loses at most so much work."""
DAYS = 30
"""So long what was stopped waits for the call that goes on with it."""
VERSION = 1
"""Goes up whenever the same draws get other weights than before."""


class Partial:
    """What the first examples of a split are found to be, and the noise that the next will have.

    Kept in the cache every half minute, under a digest of all that figures depend on, ``of``, so
    that what was begun for another model, other data or by another torch is not gone on with. A
    file that cannot be read or written costs the time alone, and is none.
    """

    def __init__(self, of: Mapping[str, object], device: torch.device) -> None:
        all_of = {**of, "device": str(device), "torch": torch.__version__, "version": VERSION}
        digest = hashlib.sha256(json.dumps(all_of, sort_keys=True).encode()).hexdigest()
        self.path = cache_folder() / "partial" / f"{digest[:32]}.safetensors"
        self._device, self._kept = device, time.monotonic()

    @classmethod
    def of(
        cls,
        identity: str | None,
        examples: Examples,
        protocol: Mapping[str, int],
        device: torch.device,
    ) -> Partial | None:
        """That of a model with the SHA-256 ``identity``; None of one that has no file."""
        if identity is None:
            return None
        try:
            return cls({"model": identity, "data": examples.digest(), **protocol}, device)
        except RuntimeError:  # there is no home folder, and so no cache
            return None

    def restore(self) -> list[Evidence]:
        """What was kept, after which the noise goes on as it would have; nothing where none was."""
        try:
            found, _ = read_tensors(self.path)
            log_p, variance = (found[name].to(self._device) for name in Evidence._fields)
            noise = {name: state for name, state in found.items() if name.startswith("rng.")}
            self._set_noise(noise)
        except (CheckpointError, KeyError, RuntimeError):  # the last is that of a broken state
            return []
        return [Evidence(log_p, variance)]

    def keep(self, parts: Sequence[Evidence]) -> None:
        """All that is found so far, if the last was long ago."""
        if time.monotonic() - self._kept < SECONDS:
            return
        log_p, variance = (
            torch.cat([part.cpu() for part in each]) for each in zip(*parts, strict=True)
        )
        with suppress(CheckpointError, OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._clear_away_old()
            write_tensors(self.path, {"log_p": log_p, "variance": variance, **self._noise()}, {})
        self._kept = time.monotonic()

    def forget(self) -> None:
        """All is found, and what was made of it is returned or kept elsewhere."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _clear_away_old(self) -> None:
        """What nobody has gone on with for long."""
        for file in self.path.parent.glob("*.safetensors"):
            if time.time() - file.stat().st_mtime > DAYS * 86_400:
                file.unlink(missing_ok=True)

    def _noise(self) -> dict[str, Tensor]:
        states = {"rng.cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            states["rng.device"] = torch.cuda.get_rng_state(self._device)
        return states

    def _set_noise(self, states: Mapping[str, Tensor]) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states["rng.device"], self._device)
        torch.set_rng_state(states["rng.cpu"])
