"""The checkpoint format: one safetensors file that describes itself, written whole or not at all.

The file's string metadata has one key, ``"zoo"``: the JSON of :class:`CheckpointMetadata`, with the
variant's name and full configuration, so a file that was renamed or moved still loads. Nothing in a
file is trusted. It holds numbers and text, never code; the class comes from this machine's registry
alone; and every name, shape and type is compared with what the configuration calls for before any
memory is spent on them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import torch
from pydantic import StringConstraints
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

import zoo
from zoo.errors import CheckpointError, ConfigError, ZooError
from zoo.files import write_atomically
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.registry import BARE_FILE_NAME
from zoo.settings import Settings
from zoo.variants import model_class

SCHEMA_VERSION = 1
HEADER_CAP = 4 * 2**20
"""The longest header accepted, in bytes: names and metadata. Far above any real file's."""
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
_BEGINNINGS = {
    b"PK\x03\x04": "is a zip archive, as torch.save writes; it holds pickles, which can run code "
    "when opened, so zoo never reads them. Load it with the tool that wrote it, then zoo's save",
    b"\x80": "is a pickle, which can run code when opened, so zoo never reads it. "
    "Load it with the tool that wrote it, then zoo's save",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; run 'git lfs pull'",
    b"<": "is a web page, not a checkpoint; check the address it was downloaded from",
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
    model: LatentVariableModel,
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
    with _opened(Path(path)) as file:
        return _metadata_of(file, Path(path))


def load(path: str | Path, *, device: str | torch.device = "cpu") -> LatentVariableModel:
    """The model in the checkpoint at ``path``, in eval mode on ``device``.

    The model is first built without memory, on torch's "meta" device, so a file that lies about
    its sizes costs nothing. A variant's constructor therefore may not read the values of tensors
    it creates, unless it creates them under ``with torch.device("cpu")``.

    Raises CheckpointError when the file is missing, damaged, made by a newer zoo or for a variant
    not registered here, or when its tensors are not those its configuration calls for.
    """
    path = Path(path)
    with _opened(path) as file:
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


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file so that ``path`` is at every moment the old file or the new one.

    Raises CheckpointError when the folder does not exist or cannot be written, and for a header
    that :func:`read_tensors` would refuse.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder) / "x.safetensors", {"x": torch.arange(3)}, {"unit": "m"})
    ...     read_tensors(Path(folder) / "x.safetensors")
    ({'x': tensor([0, 1, 2])}, {'unit': 'm'})
    """
    path = Path(path)
    try:
        # safetensors' own save_file makes files that no other user may read, whatever the umask.
        content = serialize(_separated(tensors), dict(metadata))
        _check_header(content, path)
        write_atomically(path, content)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write {path}: {error}; choose an existing folder you may write to, with "
            f"room on its disk"
        ) from error


def read_tensors(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, on ``device``, and its string metadata.

    Raises CheckpointError when the file is missing, damaged or something else.
    """
    with _opened(Path(path)) as file:
        # A copy, so that nothing that later happens to the mapped file reaches the tensors.
        tensors = {name: file.get_tensor(name).to(device, copy=True) for name in file.keys()}  # noqa: SIM118
        return tensors, file.metadata() or {}


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


def _check_header(content: bytes, path: Path) -> None:
    length = int.from_bytes(content[:8], "little")
    if length > HEADER_CAP:
        raise CheckpointError(
            f"cannot write {path}: its header of names and metadata has {length} bytes, only "
            f"{HEADER_CAP} are read; shorten what is said of the training, or merge tensors"
        )


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


def _separated(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CPU copies where needed: safetensors takes contiguous tensors that share no storage."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        if own.untyped_storage().data_ptr() in seen:
            own = own.clone()
        seen.add(own.untyped_storage().data_ptr())
        result[name] = own
    return result


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The memory-mapped file, once its beginning was seen to be sound."""
    _check_beginning(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or was cut short ({error}); fetch or copy it again"
        ) from error


def _check_beginning(path: Path) -> None:
    """Refuse what is no safetensors file, before any of it is parsed."""
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; name a .safetensors file in it")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a regular file; name a .safetensors file")
        with path.open("rb") as file:
            beginning, size = file.read(64), os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    header = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] != b"{" or header > HEADER_CAP or 8 + header > size:
        _refuse_beginning(path, beginning, size, header)


def _refuse_beginning(path: Path, beginning: bytes, size: int, header: int) -> NoReturn:
    again = "fetch or copy it again"
    if size < 9:
        raise CheckpointError(f"{path} has only {size} bytes: it was cut short; {again}")
    if beginning[8:9] == b"{":
        cause = (
            f"more than the {HEADER_CAP} allowed" if header > HEADER_CAP else f"the file has {size}"
        )
        raise CheckpointError(
            f"{path} is damaged or was cut short: it announces a header of {header} bytes, "
            f"{cause}; {again}"
        )
    for start, what in _BEGINNINGS.items():
        if beginning.startswith(start):
            raise CheckpointError(f"{path} {what}.")
    raise CheckpointError(f"{path} is not a safetensors file; name one that zoo saved")


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
    cls: type[LatentVariableModel], config: ModelConfig, path: Path
) -> LatentVariableModel:
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


def _moved(model: LatentVariableModel, device: str | torch.device) -> LatentVariableModel:
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
