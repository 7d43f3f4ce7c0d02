"""The checkpoint format: one safetensors file that describes itself, written whole or not at all.

The file's string metadata has one key, ``"zoo"``: the JSON of :class:`CheckpointMetadata`, with the
variant's name and full configuration, so a file that was renamed or moved still loads. Nothing in a
file is trusted. It holds numbers and text, never code; the class comes from this machine's registry
alone; and every name, shape and type is compared with what the configuration calls for before any
memory is spent on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import StringConstraints
from torch import Tensor, nn

import zoo
from zoo.errors import CheckpointError, ConfigError, ZooError
from zoo.model import ModelConfig, VariationalAutoencoder
from zoo.registry import BARE_FILE_NAME
from zoo.settings import Settings
from zoo.storage.tensors import HEADER_CAP, opened, write_tensors
from zoo.variants import model_class

SCHEMA_VERSION = 1
CONFIG_CAP = HEADER_CAP * 3 // 4
"""The most of it that a model's configuration takes; the rest is for the names of its tensors."""

_KEY = "zoo"
_SHOWN = 3  # problems listed in full before "and N more"
_STORED = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}


class CheckpointMetadata(Settings):
    """What a checkpoint says of itself. ``training`` is informative: free JSON, or None."""

    schema_version: Literal[1] = 1
    variant: Annotated[str, StringConstraints(pattern=BARE_FILE_NAME, max_length=128)]
    config: dict[str, Any]
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
    model: VariationalAutoencoder,
    *,
    variant: str,
    dataset: str | None,
    training: dict[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write ``model`` to ``path``, whole or not at all; a tensor with several names once.

    With ``half``, float tensors are stored as float16, which halves a released file; loading
    makes them float32 again, with about three of their significant digits.

    Raises UnknownNameError for an unregistered variant, and CheckpointError when ``model`` is not
    of that variant, when ``training`` is not JSON, when a weight is beyond the range of float16,
    when the description is longer than reading accepts, or when the file cannot be written.
    """
    cls = model_class(variant)
    if not isinstance(model, cls):
        raise CheckpointError(
            f"the variant {variant!r} is a {cls.__name__}, got a {type(model).__name__}; "
            f"save the model itself, not a compiled or distributed wrapper of it"
        )
    config = model.config.model_dump(mode="json")
    check_config(config, f"cannot write {path}")
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "variant": variant,
        "config": config,
        "dataset": dataset,
        "zoo_version": zoo.__version__,
        "training": training,
    }
    state = model.state_dict()
    tensors = {name: state[name] for name in set(_first_names(model).values())}
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    write_tensors(path, tensors, {_KEY: _to_json(metadata, Path(path))})


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
    with opened(Path(path)) as file:
        return _metadata_of(file, Path(path))


def load(path: str | Path, *, device: str | torch.device = "cpu") -> VariationalAutoencoder:
    """The model in the checkpoint at ``path``, in eval mode on ``device``.

    The model is first built without memory, on torch's "meta" device, so a file that lies about
    its sizes costs nothing. A variant's constructor therefore may not read the values of tensors
    it creates, unless it creates them under ``with torch.device("cpu")``.

    Raises CheckpointError when the file is missing, damaged, made by a newer zoo or for a variant
    not registered here, or when its tensors are not those its configuration calls for.
    """
    path = Path(path)
    with opened(path) as file:
        metadata = _metadata_of(file, path)
        try:
            cls = model_class(metadata.variant)
            config = cls.Config.parse(metadata.config, f"{path}: config")
        except ZooError as error:  # an unknown variant, a plugin that is gone, a wrong setting
            raise CheckpointError(f"{path} cannot be loaded here: {error}") from error
        model = _blueprint(cls, config, path)
        state = _read_state(file, model, path)
    model.load_state_dict(state, assign=True)
    if _has_meta(model):
        # Buffers outside the state dict hold values only after a real construction, whose size is
        # now known to be that of the file. Its random initialisation must not disturb the caller.
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            model = cls(config)
        model.load_state_dict(state, assign=True)
    return _moved(model, device).eval()


def _first_names(model: nn.Module) -> dict[str, str]:
    """Each name in the state dict -> the first name of the same tensor (tied weights share it)."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    return {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.half()
    if not torch.equal(stored.isfinite(), tensor.isfinite()):
        raise CheckpointError(f"{name} has values beyond float16's range; save with half=False")
    return stored


def _to_json(metadata: Mapping[str, Any], path: Path) -> str:
    try:
        CheckpointMetadata.parse(metadata, f"cannot write {path}")
        return json.dumps(metadata, allow_nan=False)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"cannot write {path}: its metadata is not plain JSON ({error}); keep to numbers "
            f"other than NaN and infinity, strings, lists and dicts"
        ) from error


def _metadata_of(file: Any, path: Path) -> CheckpointMetadata:
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
    newer = content.get("schema_version")
    if isinstance(newer, int) and newer > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} was written in format {newer}; this zoo reads up to {SCHEMA_VERSION}: "
            f"upgrade zoo (pip install --upgrade zoo)"
        )
    try:
        return CheckpointMetadata.parse(content, f"{path}: its description")
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def _blueprint(
    cls: type[VariationalAutoencoder], config: ModelConfig, path: Path
) -> VariationalAutoencoder:
    try:
        with torch.device("meta"):
            return cls(config)
    except (ZooError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        # What a constructor raises for sizes no tensor can have, or that do not fit each other.
        raise CheckpointError(
            f"{path}: no {cls.__name__} can be built from the file's configuration: {error}"
        ) from error


def _read_state(file: Any, blueprint: nn.Module, path: Path) -> dict[str, Tensor]:
    """The file's tensors under all their names, once all are what the blueprint calls for."""
    first = _first_names(blueprint)
    state = blueprint.state_dict(keep_vars=True)
    expected = {name: state[name] for name in first.values()}
    if problems := list(_mismatches(file, expected)):
        listed = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError(f"{path} does not fit its own configuration: {listed}{more}")
    tensors: dict[str, Tensor] = {}
    for name, wanted in expected.items():
        # A copy, so that nothing that later happens to the mapped file reaches the model.
        tensor = file.get_tensor(name).to(wanted.dtype, copy=True)
        is_parameter = isinstance(wanted, nn.Parameter)
        tensors[name] = nn.Parameter(tensor, wanted.requires_grad) if is_parameter else tensor
    return {name: tensors[source] for name, source in first.items()}


def _mismatches(file: Any, expected: Mapping[str, Tensor]) -> Iterator[str]:
    present = set(file.keys())
    for name, wanted in expected.items():
        if name not in present:
            yield f"{name} is missing"
            continue
        stored = file.get_slice(name)
        shape, dtype = tuple(stored.get_shape()), stored.get_dtype()
        if shape != tuple(wanted.shape):
            yield f"{name} has shape {shape} instead of {tuple(wanted.shape)}"
        halved = wanted.is_floating_point() and dtype in ("F16", "BF16")
        if dtype != _STORED.get(wanted.dtype) and not halved:
            yield f"{name} is stored as {dtype}, which is no {wanted.dtype}"
    for name in sorted(present - expected.keys()):
        yield f"{name[:100]!r} is unexpected"


def _moved(model: VariationalAutoencoder, device: str | torch.device) -> VariationalAutoencoder:
    try:
        return model.to(device)
    except (AssertionError, RuntimeError) as error:  # torch raises the former without CUDA
        raise CheckpointError(
            f"cannot move the model to the device {str(device)!r}: {error}; use 'cpu', or a device "
            f"that torch finds on this machine"
        ) from error


def _has_meta(model: nn.Module) -> bool:
    """Whether a buffer, or a tensor that is a plain attribute, has no values yet."""
    attributes = chain.from_iterable(vars(module).values() for module in model.modules())
    tensors = chain(model.buffers(), (value for value in attributes if isinstance(value, Tensor)))
    return any(tensor.is_meta for tensor in tensors)
