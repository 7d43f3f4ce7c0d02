"""Models that cannot stand in one table, refused before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.api.source import Opened
from zoo.data import Dataset
from zoo.data.examples import content
from zoo.errors import ConfigError


def refuse_different_datasets(entries: Sequence[Opened]) -> None:
    """Raise ConfigError where the models do not say one dataset that all were trained on."""
    said = {str(entry.dataset): entry.name for entry in entries}
    if len(said) > 1 or "None" in said:
        listing = ", ".join(f"{entry.name}: {entry.dataset or 'unknown'}" for entry in entries)
        raise ConfigError(
            "give either a benchmark or a dataset to compare on, for the models do not say one "
            f"that all were trained on ({listing:.500})"
        )


def refuse_other_forms(entries: Sequence[Opened]) -> None:
    """Raise ConfigError for sentences in other tokens, and tables in other columns."""
    first = entries[0]
    tokenizer, table = _form(first, "tokenizer"), _form(first, "table")
    for other in entries[1:]:
        if _form(other, "tokenizer") != tokenizer:
            raise ConfigError(
                f"cannot compare {first.name!r} with {other.name!r}: their vocabularies differ, "
                "and likelihoods of other tokens have no common scale; train both with the same "
                "tokenizer.json beside the corpus"
            )
        if _form(other, "table") != table:
            ours, theirs = (_form(each, "table") for each in (first, other))
            raise ConfigError(
                f"cannot compare {first.name!r} with {other.name!r}: their columns differ, "
                f"{getattr(ours, 'described', None):.100}... and "
                f"{getattr(theirs, 'described', None):.100}..., and a density is no mass; "
                "train both with the same columns (columns=, --columns)"
            )


def refuse_other_examples(entries: Sequence[Opened], data: Sequence[Dataset], split: str) -> None:
    """Raise ConfigError where models do not read the same examples.

    What they are told, and what is drawn of them for models of binary pixels, may differ: what that
    changes is measured all the same, and not ranked.
    """
    first = getattr(data[0], split)
    for entry, each in zip(entries, data, strict=True):
        rows = getattr(each, split).rows
        if rows is first.rows:
            continue
        if rows.shape != first.rows.shape or content(rows) != content(first.rows):
            raise ConfigError(
                f"cannot compare {entries[0].name!r} with {entry.name!r}: the examples of "
                f"{each.name}/{split} that they read differ (of shape {first.shape} and "
                f"{getattr(each, split).shape}); compare models of one size, on one copy of the "
                "data"
            )


def _form(entry: Opened, name: str) -> object | None:
    return getattr(entry.config, name, None)
