"""Evaluations side by side, and only those that can honestly stand side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import field_validator

from zoo.errors import ConfigError
from zoo.evaluation.results import Evaluation, shown
from zoo.evaluation.table import aligned
from zoo.likelihoods.base import InputKind
from zoo.settings import Settings

_PROTOCOL = {
    "test_set": "evaluate all on the same split, examples and binarisation seed",
    "test_set_sha256": "pixels or tokens differ: use one copy of the data, and one vocabulary",
    "input_kind": "binary and unit inputs have different likelihoods; compare each kind by itself",
    "measure": "a probability mass and a density have no common scale; compare each by itself",
    "samples": "evaluate all with the same number of importance samples",
    "seed": "evaluate all with the same seed",
}
"""The fields on which all rows must agree, each with how to mend a difference."""


class Comparison(Settings):
    """A table of evaluations made under one protocol, best (lowest) NLL first.

    ``title`` is what heads the table. Models without log p(x) come last, with "-" for
    what they do not define. ``str()`` gives an aligned table with the convention line under it.

    Raises ConfigError when there is nothing to compare, or when two evaluations differ in test
    set, kind of input, kind of likelihood, number of importance samples or seed: such figures
    cannot be ranked.
    """

    title: str
    rows: tuple[Evaluation, ...]

    @field_validator("rows")
    @classmethod
    def _same_protocol(cls, rows: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        if not rows:
            raise ConfigError("nothing to compare: give at least one evaluation")
        for row in rows[1:]:
            _refuse_difference(rows[0], row)
        return tuple(sorted(rows, key=_rank))

    @property
    def convention(self) -> str:
        """The units and the protocol of every row, in one line."""
        return self.rows[0].convention

    @property
    def columns(self) -> tuple[str, ...]:
        """The titles of the columns of :meth:`table`."""
        shared = "model", "NLL", "ELBO", "log p(x|z)", "KL", "active units"
        return (*shared, *self._own_columns, "parameters", "K")

    @property
    def _own_columns(self) -> tuple[str, ...]:
        """What not every modality has."""
        first = self.rows[0]
        if first.text is not None:
            return "perplexity", "accuracy", "BLEU"
        return (*["bits/dim"] * first.in_bits, f"MSE/{first.part}")

    def table(self) -> list[tuple[str, ...]]:
        """The rows as text, one cell for each of ``columns``."""
        return [_cells(row) for row in self.rows]

    def __str__(self) -> str:
        test_set = self.rows[0].test_set
        head = test_set if self.title == test_set else f"{self.title} ({test_set})"
        return "\n".join([head, aligned([self.columns, *self.table()]), self.convention])

    def to_markdown(self) -> str:
        """The table in Markdown, the convention line under it."""
        rule = [":---"] + ["---:"] * (len(self.columns) - 1)
        table = [self.columns, rule, *self.table()]
        lines = ["| " + " | ".join(_escape(cell) for cell in cells) + " |" for cells in table]
        return "\n".join([*lines, "", f"*{self.convention}*"])

    def to_json(self) -> str:
        """Every figure with its protocol; ``rows`` hold the fields of :class:`Evaluation`."""
        return self.model_dump_json(indent=2)


class Reader(NamedTuple):
    """A model's name, its kind of input, and what it is told.

    Its tokeniser where it reads text, of tables the columns and their kinds in words.
    """

    name: str
    kind: InputKind
    tokenizer: str | None = None
    condition: str | None = None
    columns: str | None = None


def refuse_mixed(readers: Sequence[Reader]) -> None:
    """Raise ConfigError when models read x so differently that they cannot be compared.

    >>> refuse_mixed([Reader("a", "unit"), Reader("b", "unit")])
    """
    first = readers[0]
    for other in readers[1:]:
        if other.kind != first.kind:
            raise _difference("input_kind", (first.name, first.kind), (other.name, other.kind))
        if other.tokenizer != first.tokenizer:
            raise ConfigError(
                f"cannot compare {first.name!r} with {other.name!r}: their vocabularies differ, "
                "and likelihoods of other tokens have no common scale; train both with the same "
                "tokenizer.json beside the corpus"
            )
        if other.columns != first.columns:
            raise ConfigError(
                f"cannot compare {first.name!r} with {other.name!r}: their columns differ, "
                f"{first.columns:.100}... and {other.columns:.100}..., and a density is no mass; "
                "train both with the same columns (columns=, --columns)"
            )
        if other.condition != first.condition:
            raise ConfigError(
                f"cannot compare {first.name!r} with {other.name!r}: one is told "
                f"{first.condition or 'nothing'}, the other {other.condition or 'nothing'}, and "
                "log p(x|c) is another quantity than log p(x); compare those told alike"
            )


def _refuse_difference(first: Evaluation, other: Evaluation) -> None:
    for field in _PROTOCOL:
        ours, theirs = getattr(first, field), getattr(other, field)
        if ours != theirs:
            raise _difference(field, (first.model, ours), (other.model, theirs))


def _difference(field: str, first: tuple[str, object], other: tuple[str, object]) -> ConfigError:
    return ConfigError(
        f"cannot compare {first[0]!r} with {other[0]!r}: their {field} differs "
        f"({first[1]!r} and {other[1]!r}); {_PROTOCOL[field]}"
    )


def _rank(row: Evaluation) -> tuple[bool, float]:
    figure = row.nll or row.mse_per_pixel
    return row.nll is None, math.inf if figure is None else figure.value


def _cells(row: Evaluation) -> tuple[str, ...]:
    return (
        row.model,
        shown(row.nll, ".2f"),
        shown(row.elbo, ".2f"),
        shown(row.log_likelihood, ".2f"),
        shown(row.kl, ".2f"),
        "-" if row.active_units is None else f"{row.active_units}/{row.code_dim}",
        *_own_cells(row),
        f"{row.parameters:,}",
        "-" if row.nll is None else str(row.samples),
    )


def _own_cells(row: Evaluation) -> tuple[str, ...]:
    """What not every modality has."""
    if row.text is None:
        error = "-" if row.mse_per_pixel is None else f"{row.mse_per_pixel.value:.5f}"
        return (*[shown(row.bits_per_dim, ".4f")] * row.in_bits, error)
    perplexity = "-" if row.text.perplexity is None else f"{row.text.perplexity:.2f}"
    return perplexity, f"{100 * row.text.accuracy.value:.1f} %", f"{row.text.bleu:.1f}"


def _escape(cell: str) -> str:
    return cell.replace("|", r"\|")
