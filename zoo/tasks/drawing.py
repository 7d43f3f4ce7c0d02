"""What the pictures of codes have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeAlias, get_args

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.condition import as_condition, needed_condition
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.metrics.features.compared import Pixels
from zoo.pictures.code_map import CodeMap
from zoo.pictures.sheet import Sheet
from zoo.tasks.base import Task

Show: TypeAlias = Callable[[Tensor, Tensor | None], Tensor | list[str]]
"""What codes (N, D) and what they are told look like: a model's ``show``, in a way of decoding."""
Told: TypeAlias = int | list[float] | None
"""A class, or numbers, that all codes of a picture are told."""


class Drawing(Task):
    """A picture of what the codes of a model mean, called by ``zoo.draw`` with its name."""

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many examples it looks at, of which it is given the first; 0 where it reads none."""

    @abstractmethod
    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> Sheet | CodeMap:
        """The picture, of a ``batch`` of examples where it looks at any; noise is torch's."""


def examples_of(batch: Batch | None) -> Batch:
    """The batch of a drawing that looks at examples."""
    if batch is None:
        raise DataError("this picture is one of examples; give a batch of them")
    return batch


def parts_of(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch in parts of at most ``size`` examples."""
    for start in range(0, len(batch.x), size):
        yield Batch(*(None if part is None else part[start : start + size] for part in batch))  # type: ignore[arg-type]


def codes_of(model: LatentVariableModel, batch: Batch) -> Tensor:
    """The codes of examples, (B, D), few at a time."""
    return torch.cat([model.encode(part) for part in parts_of(batch, model.decode_batch)])


def shown(
    model: LatentVariableModel, show: Show, codes: Tensor, told: Tensor | None
) -> Tensor | list[str]:
    """What codes (N, D) look like, told (N, ...), few at a time."""
    size = model.decode_batch
    pieces = torch.split(told, size) if told is not None else [None] * -(-len(codes) // size)
    found = [show(z, c) for z, c in zip(torch.split(codes, size), pieces, strict=True)]
    return stacked([part for each in found for part in each])


def stacked(examples: list[Tensor] | list[str]) -> Tensor | list[str]:
    """Examples one by one, together: tensors (...) in one (N, ...), sentences as they are."""
    tensors = [each for each in examples if isinstance(each, Tensor)]
    return torch.stack(tensors) if tensors else [str(each) for each in examples]


def told_all(model: LatentVariableModel, condition: Told, n: int) -> Tensor | None:
    """What each of ``n`` codes is told where all are told the same.

    Raises UnsupportedError where nothing is said and must be, it or DataError for what the model
    cannot be told.
    """
    needed = needed_condition(model)
    if condition is None and needed is not None:
        raise UnsupportedError(
            f"the model is told {needed.wanted}; say what, as in condition=3 (--condition 3)"
        )
    return as_condition(model, condition, n)


def repeated(told: Tensor | None, times: int) -> Tensor | None:
    """What B examples are told, for so many codes of each: (B times, ...)."""
    return None if told is None else told.repeat_interleave(times, dim=0)


def plain_show(model: LatentVariableModel) -> Show:
    """As the model shows codes unless told otherwise."""
    return lambda codes, told: model.show(codes, told)


def show_of(model: LatentVariableModel, pixels: Pixels) -> Show:
    """Images as the means of p(x|z), or as draws from it, one for each code: of pixels that say
    more of each other than the code does of them, a mean is grey.

    Raises ConfigError for other words, and UnsupportedError for a model of no images.
    """
    if pixels not in get_args(Pixels):
        raise ConfigError(f"pixels are 'means' or 'draws', got {pixels!r:.100}")
    if model.modality.name != "images":
        raise UnsupportedError(
            f"pixels are of images, and this model makes {model.modality.name}; leave pixels "
            "(--pixels) out"
        )
    if pixels == "means":
        return plain_show(model)
    return lambda codes, told: model.modality.shown(model.decode(codes, told).sample())


def expect_shown(sheet: Sheet | CodeMap, count: int) -> None:
    """AssertionError unless so many examples are shown, in whole rows, all finite."""
    assert isinstance(sheet, Sheet)
    found = len(sheet.shown)
    if found != count or found % sheet.columns:
        raise AssertionError(f"{found} examples in rows of {sheet.columns}, not {count}")
    if isinstance(sheet.shown, Tensor) and not sheet.shown.isfinite().all():
        raise AssertionError("what is shown is not finite")
