"""The length of a run's average of weights, chosen when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.files import as_path
from zoo.precision import float32_by_default
from zoo.randomness import seeded
from zoo.training.device import made_definite
from zoo.training.launch import Run, with_data
from zoo.training.run import RunDirectory
from zoo.training.session import Session
from zoo.training.statistics import refresh_statistics

LENGTHS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25)


@dataclass(frozen=True)
class Average:
    """The average of the best length, where it lies, and what each length reached in validation."""

    model: LatentVariableModel
    path: Path
    length: float
    figure: str
    """What the run selects by."""
    measured: dict[float, float]
    own: float
    """What the run's own best model reached."""

    def __str__(self) -> str:
        lines = [f"length  validation {self.figure}"]
        for length, value in self.measured.items():
            lines.append(f"{length:<8g}{value:.4f}" + "  best" * (length == self.length))
        return "\n".join([*lines, f"run     {self.own:.4f}"])


@float32_by_default()
def average(
    run: str | Path | Run, lengths: Sequence[float] = LENGTHS, *, dataset: object | None = None
) -> Average:
    """Of a run's weights, the average over the length that validates best; also written to a file.

    A run that keeps snapshots of two averages (the setting ``ema_snapshot_epochs``) need not be
    told beforehand how long its average is to be: one of any length, a fraction of the training,
    is a combination of them (Karras et al. 2024, arXiv:2312.02696). The file,
    ``averaged.safetensors`` in the run's folder, is what :func:`zoo.load` reads. ``dataset`` are
    the data where they are not where they were.

    Raises TrainingError for a run that kept none or other data, ConfigError for lengths that no
    average has.

    >>> import tempfile, zoo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = zoo.train("gaussian-vae", directory=folder, epochs=3, ema_snapshot_epochs=1,
    ...                     latent_dim=4, progress=False)
    ...     found = average(run, [0.1, 0.2])
    >>> found.length in (0.1, 0.2), found.path.name
    (True, 'averaged.safetensors')
    """
    if not lengths:
        raise ConfigError("give at least one length of an average, such as 0.1")
    directory = RunDirectory(run.directory if isinstance(run, Run) else as_path(run, "run"))
    experiment = directory.read_config()
    states = {length: directory.snapshots.averaged(length) for length in lengths}
    data, experiment = with_data(experiment, dataset)
    experiment, device = made_definite(experiment, experiment.train)
    with seeded(experiment.train.seed, device):
        session = Session(experiment, data, directory, device, visible=False)
        position = session.state.restore(directory.last)
    records = {length: validated(session, state)[1] for length, state in states.items()}
    figure = session.selection.figure
    measured = {length: record[f"validation_{figure}"] for length, record in records.items()}
    best = max(measured, key=lambda length: measured[length])
    model, record = validated(session, states[best])
    path = directory.path / "averaged.safetensors"
    session.selection.write(model, {"ema_length": best, **record}, path)
    own = float("nan") if position.best is None else position.best
    return Average(model, path, best, figure, measured, own)


def validated(
    session: Session, state: dict[str, Tensor]
) -> tuple[LatentVariableModel, dict[str, float]]:
    """The session's model with other weights, in evaluation mode, and how it validates."""
    session.model.load_state_dict(state)
    model = session.model.eval()
    refresh_statistics(model, session.train_split)
    return model, session.validation.measure(model)
