"""Fine-tuning: a run that begins with a checkpoint's weights instead of random ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, TrainingError
from zoo.files import sha256
from zoo.mappings import differences
from zoo.registry import registry
from zoo.settings import Settings, shortened
from zoo.storage import checkpoint
from zoo.storage.hub import locate
from zoo.variants import Variant


class StartingPoint(Settings):
    """The name of a released checkpoint or an absolute path, and the hash of the file it meant."""

    source: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def starting_point(
    source: str | Path, variant: Variant, given: Mapping[str, Any]
) -> tuple[StartingPoint, dict[str, Any]]:
    """The checkpoint that ``source`` means to :func:`zoo.load`, and its complete model settings.

    ``given`` are the settings the user asks for. Raises ConfigError, naming the first one that
    differs from the checkpoint's, and CheckpointError or UnknownNameError.
    """
    path = locate(source)
    metadata = checkpoint.read_metadata(path)
    if metadata.variant != variant.name:
        raise ConfigError(
            f"{source} is a {metadata.variant!r}, so a {variant.name!r} cannot start from it; "
            f"train {metadata.variant!r}, or start from another checkpoint"
        )
    config = variant.parse(metadata.config).model_dump(mode="json")
    asked = variant.parse(variant.settings(given, config)).model_dump(mode="json")
    _refuse_difference(config, asked, str(source))
    return StartingPoint(source=_lasting(source), sha256=sha256(path)), config


def load_start(start: StartingPoint, model: LatentVariableModel) -> None:
    """Give ``model`` the weights of the checkpoint.

    Raises TrainingError when the file is no longer the one it was, ConfigError when the model has
    other settings, and what :func:`zoo.load` raises when the file is gone.
    """
    path = locate(start.source)
    found = sha256(path)
    if found != start.sha256:
        raise TrainingError(
            f"{path} is not the file the run began with: its SHA-256 is {found}, it was "
            f"{start.sha256}; restore it, or choose another directory for a new run"
        )
    loaded = checkpoint.load(path)
    theirs, asked = (m.config.model_dump(mode="json") for m in (loaded, model))
    _refuse_difference(theirs, asked, start.source)  # an Experiment may also be written by hand
    model.load_state_dict(loaded.state_dict())


def _refuse_difference(
    their_config: dict[str, Any], asked_config: dict[str, Any], source: str
) -> None:
    for key, (theirs, asked) in differences(their_config, asked_config).items():
        was, now = shortened(theirs), shortened(asked)
        raise ConfigError(
            f"model.{key} is {was} in {source}, which training starts from, and "
            f"{now if now != was else 'another'} is asked for; leave it out, or start from other "
            "weights"
        )


def _lasting(source: str | Path) -> str:
    """A path made absolute: a run may be resumed from another folder. A name stays a name."""
    if isinstance(source, str) and source in registry().checkpoints:
        return source
    return str(Path(source).expanduser().absolute())
