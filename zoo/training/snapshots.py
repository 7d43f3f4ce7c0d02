"""Averages of the weights that a run keeps along its way, of which others are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import TrainingError
from zoo.storage.tensors import read_tensors, write_tensors
from zoo.training.averages import combination

State = dict[str, Tensor]


class Snapshots:
    """Files of a folder, one for each step at which averages were kept; each holds all lengths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, step: int, averages: Mapping[float, State]) -> None:
        """Keep the states of averages, by their lengths, at a step."""
        self.folder.mkdir(exist_ok=True)
        tensors = {
            f"{length}:{name}": tensor
            for length, state in averages.items()
            for name, tensor in state.items()
        }
        write_tensors(self.folder / f"step-{step:09}.safetensors", tensors, {})

    @property
    def files(self) -> dict[int, Path]:
        """By step, in order."""
        return {int(path.stem.partition("-")[2]): path for path in self._paths()}

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))

    def averaged(self, length: float) -> State:
        """The state of the average of another length, at the last step that was kept.

        What is no float is that of the last snapshot. Raises TrainingError where
        none was kept, ConfigError for a length that no average has.
        """
        files = self.files
        if not files:
            raise TrainingError(
                f"no averages were kept in {self.folder.parent}: train with "
                "ema_snapshot_epochs, as in zoo.train(..., ema_snapshot_epochs=5)"
            )
        last = max(files)
        states = {
            (each, step): state
            for step, path in files.items()
            for each, state in _by_length(read_tensors(path)[0]).items()
        }
        shares = combination(list(states), length, last)
        newest = states[max(states, key=lambda key: (key[1], -key[0]))]
        return {
            name: _weighted([state[name] for state in states.values()], shares)
            if tensor.is_floating_point()
            else tensor
            for name, tensor in newest.items()
        }


def _by_length(tensors: State) -> dict[float, State]:
    found: dict[float, State] = {}
    for key, tensor in tensors.items():
        length, _, name = key.partition(":")
        found.setdefault(float(length), {})[name] = tensor
    return found


def _weighted(tensors: list[Tensor], shares: list[float]) -> Tensor:
    """Their sum, weighted, in the type that they have."""
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor, share in zip(tensors, shares, strict=True):
        total += share * tensor
    return total.to(tensors[0].dtype)
