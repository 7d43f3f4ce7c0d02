"""What a run's future depends on, in one file: enough to go on bit for bit after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.core.model import LatentVariableModel
from zoo.data.dataset import Identity
from zoo.errors import CheckpointError, TrainingError
from zoo.storage.tensors import read_tensors, write_tensors
from zoo.training.config import Experiment
from zoo.training.optim import GradientGuard
from zoo.training.run import refuse_difference

LAYOUT = "zoo-run-5"
"""The metadata key; a change of what the file holds changes the number."""


@dataclass
class Position:
    """How far a run has come; "progress" in the file of its state."""

    step: int = 0
    best: float | None = None
    """Of the figure that the objective selects by, on the validation split."""
    best_epoch: int = 0
    epochs_since_best: int = 0
    stopped: bool = False
    fitted: bool = False


class RunState:
    """The tensors of a run: weights, averages (both among ``models``), moments, counters, noise.

    ``data`` identifies the examples: a run goes on only with those it began with, and with the
    settings it began with.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: torch.device,
        data: Identity,
        models: Mapping[str, LatentVariableModel],
        optimizer: torch.optim.Optimizer,
        guard: GradientGuard,
    ) -> None:
        self.device, self.data, self.optimizer = device, data, optimizer
        self.decoder_warning: str | None = None
        self.experiment, self.models = experiment, models
        # What a run resumed in the middle of an epoch must know to report the whole of it.
        self.counters = {"steps": guard.table, "gradient_norm": guard.norm}

    def save(self, path: Path, position: Position) -> None:
        """Write everything, whole or not at all."""
        tensors = {f"counter.{name}": tensor for name, tensor in self.counters.items()}
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng.device"] = torch.cuda.get_rng_state(self.device)
        for prefix, model in self.models.items():
            tensors |= {f"{prefix}.{name}": t for name, t in model.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        content = {
            "progress": asdict(position),
            "data": self.data.digest,
            "pixels": self.data.pixels,
            "decoder": self.data.decoder,
            "settings": self.experiment.identity,
        }
        write_tensors(path, tensors, {LAYOUT: json.dumps(content)})

    def restore(self, path: Path) -> Position:
        """Put everything back in place.

        Raises CheckpointError for another version's file, TrainingError when the data changed,
        ConfigError when settings did.
        """
        tensors, metadata = read_tensors(path, device=self.device)
        if LAYOUT not in metadata:
            raise CheckpointError(
                f"{path} is not the state of a run of this version of zoo; go on with the version "
                f"that wrote it, or remove the folder and train again"
            )
        content = json.loads(metadata[LAYOUT])
        self._check_data(content, path.parent)
        refuse_difference(content["settings"], self.experiment.identity, path.parent)
        for prefix, model in self.models.items():
            model.load_state_dict(_part(tensors, prefix))
        for name, counter in self.counters.items():
            counter.copy_(tensors[f"counter.{name}"])
        self._restore_moments(_part(tensors, "optimizer"))
        torch.set_rng_state(tensors["rng.cpu"].cpu())
        if self.device.type == "cuda" and "rng.device" in tensors:  # it may have begun elsewhere
            torch.cuda.set_rng_state(tensors["rng.device"].cpu(), self.device)
        return Position(**content["progress"])

    def _check_data(self, content: Mapping[str, Any], folder: Path) -> None:
        """Raise TrainingError for other files or examples; note another decoder of the files."""
        began = content.get("pixels")  # only of the files where an earlier version has written it
        if not (self.data.matches(content["data"]) or self.data.matches(str(began))):
            raise TrainingError(
                f"the data are not those the run in {folder} began with; restore them, or "
                f"choose another directory"
            )
        if began not in (None, self.data.pixels):
            self.decoder_warning = (
                f"the files are those the run began with, but {self.data.decoder} reads other "
                f"pixels than {content['decoder']} did: the run will not end bit for bit as there"
            )

    def _restore_moments(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
