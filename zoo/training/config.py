"""What a run is made of: variant, dataset, model, objective and training settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import Self

from zoo.core.component import Selected, default
from zoo.data.conversion import ImageSize, known_channels, stored_size
from zoo.data.paths import existing_path
from zoo.data.tables.kinds import asked_kinds
from zoo.errors import ConfigError
from zoo.files import as_path
from zoo.mappings import flatten, merge
from zoo.objectives import Objective
from zoo.registry import registry
from zoo.settings import Settings
from zoo.training.start import StartingPoint, starting_point
from zoo.variants import Variant
from zoo.yaml_files import parse_text


class TrainingConfig(Settings):
    """How a model is trained. Steps count batches; an epoch drops its last, partial batch."""

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(128, ge=1)
    optimizer: Literal["adam", "adamw", "adamax", "muon"] = "adam"
    """``muon`` steps matrices by orthogonal momentum: it learns more of an epoch than Adam, and
    costs a small network three times as much. It needs torch 2.9."""
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate rises linearly from 0."""
    final_lr_fraction: float = Field(0.0, ge=0, le=1)
    """Where the cosine ends, as a fraction of ``lr``."""
    kl_warmup_steps: int = Field(0, ge=0)
    """Steps over which the KL's weight rises linearly to 1."""
    clip_grad_norm: float | None = Field(None, gt=0)
    """The largest norm of all gradients together; a longer one is scaled down to it."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of the weights' moving average, which is then what is validated and released."""
    ema_snapshot_epochs: int | None = Field(None, ge=1)
    """Every so many epochs two averages are kept, of which ``zoo.average`` makes one of any length.

    A snapshot takes twice the weights' memory on the disk."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better validation ELBO; counted after the KL warm-up."""
    max_skipped_steps: int = Field(100, ge=0)
    """Steps with a non-finite gradient are skipped; more than so many in an epoch end the run."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; ``auto`` is bfloat16 on a CUDA device that has it, else float32."""
    device: str = "auto"
    """``auto`` is a CUDA device where there is one, else the CPU."""
    compile: bool = False
    """Make code for the whole step, which takes some seconds or a minute at first."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the first weights, the order of examples and all noise."""
    checkpoint_seconds: float = Field(30.0, ge=0)
    """A kill loses at most this much work; 0 saves after every epoch and every step."""
    sample_every_epochs: int = Field(10, ge=1)
    """How often a grid of samples goes to TensorBoard."""


HARMLESS = ("data_root", "train.checkpoint_seconds", "train.device")
"""Settings that change no result beyond rounding: a run goes on with others."""


class Experiment(Settings):
    """Everything that determines a run; written to ``config.yaml`` in its directory."""

    variant: Variant
    dataset: str
    """A registered name, a path, or "memory:" and the name of data that a program held."""
    model: dict[str, Any] = {}
    objective: Selected[Objective] = default("elbo")
    train: TrainingConfig = TrainingConfig()
    data_root: str | None = None
    image_size: Annotated[int | tuple[int, int] | None, BeforeValidator(stored_size)] = None
    """The side of a square, or height and width; 28x20 is one, too."""
    image_channels: Annotated[int | None, BeforeValidator(known_channels)] = None
    skip_unreadable: bool = False
    labelled: int | None = Field(None, ge=1)
    """How many training labels are known, as many of each class; the seed says which."""
    columns: dict[str, Any] | list[Any] | None = None
    """The kinds of a table's columns that are asked for."""
    labels: str | None = None
    """The column of a table that is its label."""
    start_from: StartingPoint | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """All settings that change the result beyond rounding, by dotted key."""
        settings = flatten(self.model_dump(mode="json"))
        return {key: value for key, value in settings.items() if key not in HARMLESS}

    @classmethod
    def build(
        cls,
        variant: str | Variant,
        dataset: str = "digits",
        *,
        model: Mapping[str, Any] | None = None,
        train: Mapping[str, Any] | None = None,
        objective: Mapping[str, Any] | None = None,
        data_root: str | None = None,
        image_size: ImageSize | None = None,
        image_channels: int | None = None,
        skip_unreadable: bool = False,
        labelled: int | None = None,
        columns: object = None,
        labels: str | None = None,
        start_from: str | Path | None = None,
    ) -> Self:
        """The variant's registered defaults with overrides on top.

        ``start_from`` is a checkpoint as :func:`zoo.load` takes it: the run begins with its weights
        and has its model settings, which ``model`` may repeat but not change.

        Raises UnknownNameError for the variant and ConfigError for settings that do not fit. The
        model's settings are checked when its input shape is known, before any training. A
        checkpoint that cannot be read raises CheckpointError.
        """
        variant = variant if isinstance(variant, Variant) else Variant.find(variant)
        spec = variant.spec
        start, config = None, variant.settings(model or {})
        if start_from is not None:
            start, config = starting_point(start_from, variant, model or {})
        settings = {
            "variant": variant,
            "dataset": _from_anywhere(dataset),
            "model": config,
            "objective": Selected.parse("objectives", merge(spec.objective, objective or {})),
            "train": TrainingConfig.parse({**spec.training, **(train or {})}, "training settings"),
            "data_root": None
            if data_root is None
            else str(as_path(data_root, "data_root").absolute()),
            "image_size": image_size,
            "image_channels": image_channels,
            "skip_unreadable": skip_unreadable,
            "labelled": labelled,
            "columns": asked_kinds(columns),
            "labels": labels,
            "start_from": start,
        }
        return cls.parse(settings, f"experiment with {variant.name!r}")


def _from_anywhere(dataset: str) -> str:
    """A path made absolute: a run may be resumed from another folder. A name stays a name."""
    path = None if dataset in registry().datasets else existing_path(dataset)
    return str(dataset if path is None else path.absolute())


def read_experiment(text: str, where: str) -> Experiment:
    """Parse a ``config.yaml``; ConfigError says what does not fit."""
    where = f"{where}: not a run's configuration"
    data = parse_text(text, where)
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of settings")
    return Experiment.parse(data, where)
