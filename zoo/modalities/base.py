"""What every modality knows of its examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from zoo.columns.schema import TableSchema
from zoo.core.batch import Batch
from zoo.core.checks import described
from zoo.core.component import Component
from zoo.distributions.precision import is_half
from zoo.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from zoo.likelihoods.base import InputKind
    from zoo.modalities.tokenizer import Tokenizer

Form: TypeAlias = str | TableSchema | None
"""What there is to know of examples beside their shape: a tokenizer's JSON, a table's columns."""


class Modality(Component, ABC):
    """Examples of one ``shape``: what they may hold, how people read them, and what to call them.

    ``shape`` is that of one example: (C, H, W), (D,), or (T,) for sentences of at most T tokens.
    ``form`` is what else there is to know of text and of tables.
    """

    section = "modalities"

    name: ClassVar[str]
    """What the examples are."""
    parts: ClassVar[str]
    """What a log-likelihood is summed over."""
    in_bits: ClassVar[bool] = False
    """Whether it is also said in bits per dimension: the parts have one scale for all data."""
    kinds: ClassVar[tuple[InputKind, ...]] = ("binary", "unit", "real")
    """How examples may be read: the likelihoods of a model are of one of these."""
    suffixes: ClassVar[tuple[str, ...]] = (".npy", ".npz")
    """Of the files that examples are written to."""
    nan_is_missing: ClassVar[bool] = False
    """Whether NaN stands for a value that is missing, and is not refused."""
    has_squared_error: ClassVar[bool] = True
    """Whether the values of an example are on one scale, and their squared errors have a mean."""

    def __init__(self, shape: tuple[int, ...], form: Form = None) -> None:
        self.shape = tuple(shape)

    @classmethod
    @abstractmethod
    def fits(cls, shape: tuple[int, ...], form: Form) -> bool:
        """Whether examples of that shape are of this kind."""

    @abstractmethod
    def check_form(self, x: Tensor) -> None:
        """Raise DataError where type, dtype or shape of x (B, ...) are wrong. Reads no values."""

    @abstractmethod
    def check_values(self, x: Tensor, kind: InputKind) -> None:
        """Raise DataError where a model of that kind cannot read the values of x (B, ...).

        On an accelerator the host waits once.
        """

    def in_floats(self, x: Tensor, kind: InputKind, dtype: torch.dtype) -> Tensor:
        """x (B, ...) in another type of floats; ids stay as they are.

        8-bit intensities in half precision become the levels that they stand for.
        """
        if x.dtype == dtype or not x.is_floating_point():
            return x
        return (x.to(dtype) * 255).round() / 255 if kind == "unit" and is_half(x) else x.to(dtype)

    def read_gapped(self, sentences: Sequence[str]) -> Batch:
        """Sentences of which tokens are missing; DataError where the examples are none."""
        raise DataError(f"the model reads {self.name}, no sentences; give a .npy file")

    @property
    def for_likelihood(self) -> tuple[Any, ...]:
        """What a likelihood of such examples is made of beside its settings: their shape."""
        return (self.shape,)

    def filled(self, batch: Batch) -> Batch:
        """A batch in which a number stands wherever x (B, ...) is not observed: 0."""
        if batch.observed is None:
            return batch
        return batch._replace(x=torch.where(batch.observed, batch.x, 0))

    def check(self, x: Tensor, kind: InputKind) -> None:
        """Raise DataError where a model of that kind cannot read x (B, ...)."""
        self.check_form(x)
        self.check_values(x, kind)

    def clamped(self, x: Tensor) -> Tensor:
        """x (B, ...) with what no example can be cut off."""
        return x

    def best_guess(self, draws: Tensor, means: Tensor) -> Tensor:
        """One example (B, ...) for many draws of it (S, B, ...), or for means of such: the mean."""
        return means.mean(0)

    @property
    def tokenizer(self) -> Tokenizer:
        """What cuts and joins sentences. Raises UnsupportedError where examples are not text."""
        raise UnsupportedError(f"this model reads {self.name}; it has no tokenizer")

    def read(self, sentences: Sequence[str]) -> Tensor:
        """The ids (B, T) of sentences. Raises UnsupportedError where examples are not text."""
        return self.tokenizer.ids(sentences)

    def write(self, x: Tensor) -> Tensor | list[str]:
        """Examples (B, ...) as people read them: vectors as they are."""
        return x

    def shown(self, x: Tensor) -> Tensor | list[str]:
        """What a model gives for samples and reconstructions: as :meth:`write` does."""
        return self.write(x)

    def log(self, writer: SummaryWriter, shown: Any, step: int) -> None:
        """Show in TensorBoard what samples look like, as :meth:`shown` gives them: their values."""
        writer.add_histogram("samples", shown, step)

    @abstractmethod
    def describe(self, count: int, kind: InputKind, seed: int, converted: str = "") -> str:
        """``count`` examples in words, as a model of that kind is measured on them."""

    @abstractmethod
    def protocol(self, kind: InputKind, split: str, seed: int) -> str:
        """How a split is read where figures are measured, in words."""


def check_floats(x: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise DataError where x is no float batch of that shape; ``what`` such a batch holds."""
    is_float = isinstance(x, Tensor) and x.is_floating_point()
    if not is_float or tuple(x.shape[1:]) != shape:
        raise DataError(
            f"expected a float tensor of shape (batch, {', '.join(map(str, shape))}) with "
            f"{what}, got {described(x)}" + _mended(x)
        )


def _mended(x: object) -> str:
    """What makes floats of other numbers; nothing where that is not what is wrong."""
    if not isinstance(x, Tensor) or x.is_floating_point() or x.is_complex():
        return ""
    return "; give x.float(), of 8-bit intensities x.float() / 255"


def host_values(*scalars: Tensor) -> list[float]:
    """Scalars of one device as numbers: the host waits once for all of them."""
    found: list[float] = torch.stack(scalars).tolist()
    return found
