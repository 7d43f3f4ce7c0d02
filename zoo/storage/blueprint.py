"""A model built without memory, from what a file says, and the file's tensors that fit it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.errors import CheckpointError, ZooError
from zoo.precision import float32_by_default
from zoo.storage.latents import MOMENTS
from zoo.storage.rounding import SCALE, restored, with_scales

STORED = {
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
"""What a file calls the types of tensors that a model may hold."""

_SHOWN = 3  # problems listed in full before "and N more"
_SPARE = 1000  # parameters a constructor may make besides two for each tensor stored


def blueprint(
    cls: type[LatentVariableModel], config: ModelConfig, dtype: torch.dtype, stored: int
) -> LatentVariableModel:
    """The model on torch's "meta" device, its floats in ``dtype``: shapes without values.

    ``stored`` is the number of tensors in its file; what calls for many more is given up early.
    Raises CheckpointError.
    """
    try:
        with _without_values(), _at_most(_SPARE + 2 * stored):
            return construct(cls, config, dtype)
    except (ZooError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        # What a constructor raises for sizes no tensor can have, or that do not fit each other.
        raise CheckpointError(
            f"no {cls.__name__} can be built from the file's configuration: {error}"
        ) from error


@contextmanager
def _without_values() -> Iterator[None]:
    """Tensors made here have shapes alone, and what is drawn leaves the caller's state alone."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _WithoutInitialisation():
        yield


class _WithoutInitialisation(TorchFunctionMode):
    """What is on the "meta" device has no values: torch takes longer to make none than to load.

    Much of what it does there is written in Python, and imports sympy and half of its compiler.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWN:
            shape = torch.empty(*args, **{k: v for k, v in kwargs.items() if k != "generator"})
            return shape if shape.is_meta else func(*args, **kwargs)
        if func in _VALUES_ALONE or getattr(func, "__module__", None) == nn.init.__name__:
            given = next(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))
            if given.is_meta:
                return given
        return func(*args, **kwargs)


_DRAWN = (torch.randn, torch.rand)
_VALUES_ALONE = (
    Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.mul_, Tensor.div_,
    nn.functional.normalize,  # power iterations begin with it
)  # fmt: skip
"""What leaves shape and type of its first argument as they are."""


def construct(
    cls: type[LatentVariableModel], config: ModelConfig, dtype: torch.dtype
) -> LatentVariableModel:
    """A new model, whose constructor sees a default of float32, with floats in ``dtype``."""
    with float32_by_default():
        model = cls(config)
    return model if dtype == torch.float32 else model.to(dtype)


def read_state(file: Any, model: nn.Module, renames: Mapping[str, str]) -> dict[str, Tensor]:
    """The file's tensors under all their names in ``model``, once all are what it calls for.

    ``renames``, old -> new, apply to names the model does not have. Raises CheckpointError, also
    where values are NaN or infinite.
    """
    first = first_names(model)
    state = model.state_dict(keep_vars=True)
    expected = {name: state[name] for name in first.values()}
    scaled = with_scales(file)
    beside = {*MOMENTS, *(name + SCALE for name in scaled)}
    present = [name for name in file.keys() if name not in beside]  # noqa: SIM118 -- no mapping
    places = {n if n in expected else renames.get(n, n): n for n in present}
    spare = set(present) - set(places.values())  # stored under the old and the new name
    _refuse(
        "its tensors do not fit its configuration",
        [*_mismatches(file, expected, places, spare, scaled)],
    )
    # A copy, so that nothing that later happens to the mapped file reaches the model.
    values = {
        name: restored(file, places[name], scaled, wanted.dtype)
        for name, wanted in expected.items()
    }
    refuse_unsound(values)
    tensors = {name: _like(expected[name], value) for name, value in values.items()}
    return {name: tensors[source] for name, source in first.items()}


def first_names(model: nn.Module) -> dict[str, str]:
    """Each name in the state dict -> the first name of the same tensor (tied weights share it)."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    return {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}


def refuse_unsound(tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, naming them, when tensors hold NaN or infinity."""
    unsound = [f"{name} has NaN or infinity" for name, t in tensors.items() if not _is_finite(t)]
    _refuse("these weights are of no use, as of a training that diverged", unsound)


def has_meta(model: nn.Module) -> bool:
    """Whether a buffer, or a tensor that is a plain attribute, has no values yet."""
    attributes = chain.from_iterable(vars(module).values() for module in model.modules())
    tensors = chain(model.buffers(), (value for value in attributes if isinstance(value, Tensor)))
    return any(tensor.is_meta for tensor in tensors)


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Let no constructor that this thread runs register more parameters than these."""
    thread, left = threading.get_ident(), iter(range(parameters))

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() == thread and next(left, None) is None:
            raise CheckpointError(f"it calls for more than {parameters} tensors")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _mismatches(
    file: Any,
    expected: Mapping[str, Tensor],
    places: Mapping[str, str],
    spare: Iterable[str],
    scaled: Collection[str],
) -> Iterator[str]:
    for name, wanted in expected.items():
        if name not in places:
            yield f"{name} is missing"
            continue
        stored = file.get_slice(places[name])
        shape, dtype = tuple(stored.get_shape()), stored.get_dtype()
        if shape != tuple(wanted.shape):
            yield f"{name} has shape {shape} instead of {tuple(wanted.shape)}"
        fewer = dtype in ("F16", "BF16") or places[name] in scaled
        if dtype != STORED.get(wanted.dtype) and not (wanted.is_floating_point() and fewer):
            yield f"{name} is stored as {dtype}, which is no {wanted.dtype}"
    for name in sorted([*(places.keys() - expected.keys()), *spare]):
        yield f"{name[:100]!r} is unexpected"


def _like(wanted: Tensor, value: Tensor) -> Tensor:
    is_parameter = isinstance(wanted, nn.Parameter)
    return nn.Parameter(value, wanted.requires_grad) if is_parameter else value


def _is_finite(tensor: Tensor) -> bool:
    """The sum is ten times as fast to look at, and finite unless a value is not or it overflows."""
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())


def _refuse(what: str, problems: list[str]) -> None:
    if not problems:
        return
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise CheckpointError(f"{what}: {'; '.join(problems[:_SHOWN])}{more}")
