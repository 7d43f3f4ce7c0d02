"""What a run is made of: variant, dataset, model, objective and training settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import Self

from zoo.data.loading import existing_path
from zoo.errors import ConfigError, did_you_mean
from zoo.registry import registry
from zoo.settings import Settings, merge
from zoo.training.start import StartingPoint, starting_point


class ElboObjective(Settings):
    """Minus the evidence lower bound. ``free_bits`` nats of each group's KL cost nothing.

    ``balance`` weighs the groups during the KL warm-up, so that those that carry little are pulled
    to the prior less.
    """

    name: Literal["elbo"] = "elbo"
    free_bits: float = Field(0.0, ge=0)
    balance: bool = False


class BetaObjective(Settings):
    """The KL counts ``beta`` times (beta-VAE, Higgins et al. 2017)."""

    name: Literal["beta"] = "beta"
    beta: float = Field(4.0, ge=0)
    free_bits: float = Field(0.0, ge=0)
    balance: bool = False


class IwaeObjective(Settings):
    """Minus the importance-weighted bound of ``samples`` draws (IWAE, Burda et al. 2016)."""

    name: Literal["iwae"] = "iwae"
    samples: int = Field(5, ge=1)


KLObjective = ElboObjective | BetaObjective
ObjectiveConfig = ElboObjective | BetaObjective | IwaeObjective
_OBJECTIVES: dict[str, type[ElboObjective] | type[BetaObjective] | type[IwaeObjective]] = {
    "elbo": ElboObjective,
    "beta": BetaObjective,
    "iwae": IwaeObjective,
}


class TrainingConfig(Settings):
    """How a model is trained. Steps count batches; an epoch drops its last, partial batch."""

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(128, ge=1)
    optimizer: Literal["adam", "adamw", "adamax"] = "adam"
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
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of the weights' moving average, which is then what is validated and released."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better validation ELBO; counted after the KL warm-up."""
    max_skipped_steps: int = Field(100, ge=0)
    """Steps with a non-finite gradient are skipped; more than so many in an epoch end the run."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    compile: bool = False
    seed: int = Field(0, ge=0, lt=2**32)
    checkpoint_seconds: float = Field(30.0, ge=0)
    """A kill loses at most this much work; 0 saves after every epoch and every step."""
    sample_every_epochs: int = Field(10, ge=1)
    """How often a grid of samples goes to TensorBoard."""


Objective = Annotated[ObjectiveConfig, Field(discriminator="name")]


class Experiment(Settings):
    """Everything that determines a run; written to ``config.yaml`` in its directory."""

    variant: str
    dataset: str
    model: dict[str, Any] = {}
    objective: Objective = ElboObjective()
    train: TrainingConfig = TrainingConfig()
    data_root: str | None = None
    image_size: int | None = None
    start_from: StartingPoint | None = None

    @classmethod
    def build(
        cls,
        variant: str,
        dataset: str = "digits",
        *,
        model: Mapping[str, Any] | None = None,
        train: Mapping[str, Any] | None = None,
        objective: Mapping[str, Any] | None = None,
        data_root: str | None = None,
        image_size: int | None = None,
        start_from: str | Path | None = None,
    ) -> Self:
        """The variant's registered defaults with overrides on top.

        ``start_from`` is a checkpoint as :func:`zoo.load` takes it: the run begins with its weights
        and has its model settings, which ``model`` may repeat but not change.

        Raises UnknownNameError for the variant and ConfigError for settings that do not fit. The
        model's settings are checked when its input shape is known, before any training. A
        checkpoint that cannot be read raises CheckpointError.
        """
        spec = registry().variant(variant)
        start, config = None, merge(spec.config, model or {})
        if start_from is not None:
            start, config = starting_point(start_from, variant, model or {})
        settings = {
            "variant": variant,
            "dataset": _from_anywhere(dataset),
            "model": config,
            "objective": _parse_objective(merge(spec.objective, objective or {})),
            "train": TrainingConfig.parse({**spec.training, **(train or {})}, "training settings"),
            "data_root": None
            if data_root is None
            else str(Path(data_root).expanduser().absolute()),
            "image_size": image_size,
            "start_from": start,
        }
        return cls.parse(settings, f"experiment with {variant!r}")


def _from_anywhere(dataset: str) -> str:
    """A path made absolute: a run may be resumed from another folder. A name stays a name."""
    path = None if dataset in registry().datasets else existing_path(dataset)
    return str(dataset if path is None else path.absolute())


def _parse_objective(data: Mapping[str, Any]) -> ObjectiveConfig:
    name = str(data.get("name", "elbo"))
    if name not in _OBJECTIVES:
        known = ", ".join(sorted(_OBJECTIVES))
        raise ConfigError(
            f"unknown objective {name!r}{did_you_mean(name, _OBJECTIVES)} Known: {known}."
        )
    return _OBJECTIVES[name].parse(data, f"objective {name!r}")


def route(
    overrides: Mapping[str, Any], model_schema: type[Settings], objective_name: str
) -> dict[str, dict[str, Any]]:
    """Sort flat options into ``model``, ``train`` and ``objective`` by the schema that knows them.

    Raises ConfigError with the nearest option for a name none of them knows.
    """
    objective = overrides.get("objective", objective_name)
    fields = {
        "train": list(TrainingConfig.model_fields),
        "objective": [f for f in _OBJECTIVES.get(str(objective), ElboObjective).model_fields
                      if f != "name"],
        "model": [f for f in model_schema.model_fields if f != "input_shape"],
    }  # fmt: skip
    sorted_options: dict[str, dict[str, Any]] = {"train": {}, "objective": {}, "model": {}}
    for key, value in overrides.items():
        if key == "objective":
            sorted_options["objective"]["name"] = value
            continue
        section = next((s for s, known in fields.items() if key in known), None)
        if section is None:
            known = [f for names in fields.values() for f in names]
            listing = "; ".join(f"{s}: {', '.join(names)}" for s, names in fields.items())
            raise ConfigError(f"unknown option {key!r}{did_you_mean(key, known)} Known: {listing}.")
        sorted_options[section][key] = value
    return sorted_options


def read_experiment(text: str, where: str) -> Experiment:
    """Parse a ``config.yaml``; ConfigError says what does not fit."""
    import yaml

    try:
        data = yaml.safe_load(text)
        return TypeAdapter(Experiment).validate_python(data)
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{where}: not a run's configuration: {error}") from error
