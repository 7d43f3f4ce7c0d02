"""The checkpoint format: one safetensors file that describes itself, written whole or not at all.

The file's string metadata has the key ``"zoo"``: the JSON of :class:`CheckpointMetadata`, with the
variant's name and full configuration, so a file that was renamed or moved still loads. Nothing in a
file is trusted. It holds numbers and text and names its components, never code; what the names mean
comes from this machine's registry alone; and every name, shape and type is compared with what the
configuration calls for before any memory is spent on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import StringConstraints
from torch import Tensor

import zoo
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.errors import CheckpointError, ConfigError, UnknownNameError, ZooError
from zoo.files import as_path
from zoo.registry import BARE_FILE_NAME
from zoo.settings import Settings
from zoo.storage.blueprint import (
    blueprint,
    construct,
    first_names,
    has_meta,
    read_state,
    refuse_unsound,
)
from zoo.storage.latents import MOMENTS, moments_as_stored, read_moments
from zoo.storage.migrations import SCHEMA_VERSION, migrate
from zoo.storage.naming import check_fits, variant_of
from zoo.storage.rounding import SCALE, check_bits, rounded
from zoo.storage.tensors import HEADER_CAP, opened, write_tensors
from zoo.variants import model_class

CONFIG_CAP = HEADER_CAP * 3 // 4
"""The most of a header that a model's configuration takes; the rest is for names of tensors."""

_KEY = "zoo"


class CheckpointMetadata(Settings):
    """What a checkpoint says of itself. ``training`` is informative: free JSON, or None.

    ``dtype`` is that of the model's floats; those of a constructor count as float32.
    """

    schema_version: Literal[3] = 3
    variant: Annotated[str, StringConstraints(pattern=BARE_FILE_NAME, max_length=128)]
    config: dict[str, Any]
    dtype: Literal["float64", "float32", "float16", "bfloat16"] = "float32"
    dataset: str | None
    zoo_version: str
    training: dict[str, Any] | None = None

    @property
    def data(self) -> str | None:
        """The digest of the examples it was trained on, where the training says it."""
        digest = (self.training or {}).get("data")
        return digest if isinstance(digest, str) else None


def save(
    path: str | Path,
    model: LatentVariableModel,
    *,
    variant: str | None = None,
    dataset: str | None = None,
    training: dict[str, Any] | None = None,
    bits: int | None = None,
) -> None:
    """Write ``model`` to ``path``, whole or not at all; a tensor with several names once.

    ``variant`` is the registered name of what the model is, and may be left out for models that
    were created, trained or loaded by name. ``bits`` make a released file smaller: with 16 floats
    are stored as float16, with 8 the rows of weights as integers times a scale; loading makes them
    what they were, with about three or two of their significant digits
    (:func:`~zoo.storage.rounding.rounded`).

    Raises ConfigError when the variant is not known or for other ``bits``, UnknownNameError for an
    unregistered one, and CheckpointError when ``model`` is not of that variant or, unless made by
    that name, has other parts than it names, when its weights are NaN or infinite or beyond the
    range of ``bits``, when its floats are of several types, when a tensor has a name that files use
    themselves, when its moments are not those of its codes, when ``training`` is not JSON, when the
    description is longer than reading accepts, or when the file cannot be written.
    """
    check_bits(bits)
    try:
        path = as_path(path, "path")
    except ConfigError as error:
        raise CheckpointError(f"cannot write {path!r:.100}: {error}") from error
    variant = variant or variant_of(model)
    check_fits(model, variant)
    config = model.config.model_dump(mode="json")
    check_config(config, f"cannot write {path}")
    state = model.state_dict()
    tensors = {name: state[name] for name in dict.fromkeys(first_names(model).values())}
    with _about(f"cannot write {path}"):
        refuse_unsound(tensors)
        _refuse_reserved(tensors)
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "variant": variant,
            "config": config,
            "dtype": _dtype_name(model, state),
            "dataset": dataset,
            "zoo_version": zoo.__version__,
            "training": training,
        }
        if bits is not None:
            tensors = rounded(tensors, bits, dict(model.named_parameters()))
        tensors |= moments_as_stored(model.latent_moments, model.code_dim)
    write_tensors(path, tensors, {_KEY: _to_json(metadata, path)})


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError, which begins with ``where``, for settings no checkpoint can hold.

    Only a tokeniser is ever so long. A training asks before its first step.
    """
    # As a header has it: JSON within a string of JSON.
    lengths = {key: len(json.dumps(json.dumps(value))) for key, value in config.items()}
    if (total := sum(lengths.values())) > CONFIG_CAP:
        longest = max(lengths, key=lambda key: lengths[key])
        raise CheckpointError(
            f"{where}: the model's settings take {total} bytes in a checkpoint, {CONFIG_CAP} are "
            f"allowed, and model.{longest} takes {lengths[longest]} of them; make it shorter, a "
            f"tokeniser by a smaller vocabulary"
        )


def read_metadata(path: str | Path) -> CheckpointMetadata:
    """What the checkpoint at ``path`` says of itself; none of its tensors is read.

    Raises CheckpointError when there is no such file, or when it is not a checkpoint of zoo.
    """
    with opened(Path(path), verify=False) as file:
        return _metadata_of(file, Path(path))[0]


def load(path: str | Path, *, device: str | torch.device = "cpu") -> LatentVariableModel:
    """The model in the checkpoint at ``path``, in eval mode on ``device``.

    The model is first built without memory, on torch's "meta" device, so a file that lies about
    its sizes costs nothing. A variant's constructor therefore may not read the values of tensors
    it creates, unless it creates them under ``with torch.device("cpu")``.

    Raises CheckpointError when the file is missing, damaged, made by a newer zoo or for a variant
    not registered here, when its tensors are not those its configuration calls for, or when they
    are NaN or infinite.
    """
    path = Path(path)
    with opened(path) as file:
        metadata, renames = _metadata_of(file, path)
        cls, config = resolved(metadata, path)
        dtype = getattr(torch, metadata.dtype)
        with _about(str(path)):
            model = blueprint(cls, config, dtype, stored=len(file.keys()))
            state = read_state(file, model, renames)
            moments = read_moments(file, model.code_dim)
    model.load_state_dict(state, assign=True)
    if has_meta(model):
        # Buffers outside the state dict hold values only after a real construction, whose size is
        # now known to be that of the file. Its random initialisation must not disturb the caller.
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            model = construct(cls, config, dtype)
        model.load_state_dict(state, assign=True)
    model.variant, model.latent_moments = metadata.variant, moments
    return _moved(model, device).eval()


def _refuse_reserved(names: Iterable[str]) -> None:
    if reserved := [name for name in names if name in MOMENTS or name.endswith(SCALE)]:
        raise CheckpointError(
            f"the model has a tensor named {reserved[0]!r}, a name that files use themselves; "
            f"give it one without a colon"
        )


def _dtype_name(model: LatentVariableModel, state: Mapping[str, Tensor]) -> str:
    """The type that all floats have, float32 for those of which a constructor mixes several."""
    kinds = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if len(kinds) == 1:
        return str(kinds.pop()).removeprefix("torch.")
    made = blueprint(type(model), model.config, torch.float32, stored=len(state)).state_dict()
    if changed := [name for name, tensor in state.items() if tensor.dtype != made[name].dtype]:
        raise CheckpointError(
            f"{changed[0]} is {state[changed[0]].dtype} where the model has several types of "
            f"floats; convert all of it, for instance by model.float()"
        )
    return "float32"


def _to_json(metadata: Mapping[str, Any], path: Path) -> str:
    try:
        CheckpointMetadata.parse(metadata, f"cannot write {path}")
        return json.dumps(metadata, allow_nan=False)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"cannot write {path}: its metadata is not plain JSON ({error}); keep to numbers "
            f"other than NaN and infinity, strings, lists and dicts"
        ) from error


def _metadata_of(file: Any, path: Path) -> tuple[CheckpointMetadata, dict[str, str]]:
    """What the file says of itself, as of today's version, and old -> new names of its tensors."""
    content = _description_of(file, path)
    newer = content.get("schema_version")
    if isinstance(newer, int) and newer > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} was written in format {newer}; this zoo reads up to {SCHEMA_VERSION}; "
            "upgrade zoo"
        )
    description, renames = migrate(content, file.keys())
    try:
        return CheckpointMetadata.parse(description, f"{path}: its description"), renames
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def _description_of(file: Any, path: Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise CheckpointError(
            f"{path} is a safetensors file without zoo's description of the model; "
            f"name one that zoo saved"
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: its description is not a JSON object")
    return content


def resolved(
    metadata: CheckpointMetadata, path: Path
) -> tuple[type[LatentVariableModel], ModelConfig]:
    """The class and the configuration that the file's names mean on this machine."""
    try:
        cls = model_class(metadata.variant)
        return cls, cls.Config.parse(metadata.config, f"{path}: config")
    except UnknownNameError as error:
        raise CheckpointError(
            f"{path} cannot be loaded here: {error} If a plug-in brings it, install that package, "
            f"or name its registry file by zoo.use_registry(FILE) or ZOO_REGISTRY."
        ) from error
    except ZooError as error:  # a plug-in that is broken, a wrong setting
        raise CheckpointError(f"{path} cannot be loaded here: {error}") from error


@contextmanager
def _about(where: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _moved(model: LatentVariableModel, device: str | torch.device) -> LatentVariableModel:
    try:
        return model.to(torch.device(device))
    except (AssertionError, RuntimeError, TypeError) as error:  # the first without CUDA
        raise CheckpointError(
            f"cannot move the model to the device {str(device)!r}: {error}; use 'cpu', or a device "
            f"that torch finds on this machine"
        ) from error
