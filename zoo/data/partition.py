"""Splits made from a set that does not come with them: the same on every machine."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import torch

from zoo.data.examples import Examples
from zoo.data.split import Split
from zoo.errors import ConfigError, DataError, did_you_mean

Splits: TypeAlias = tuple[Split, Split, Split]
"""Train, validation, test."""
E = TypeVar("E", bound=Examples)

SPLIT_SEED = 0
SPLITS = ("train", "validation", "test")


def check_split(name: str) -> None:
    """Raise ConfigError, with the nearest, for a name that is no split's."""
    if name not in SPLITS:
        guess = did_you_mean(name, SPLITS)
        raise ConfigError(f"unknown split {name!r}{guess} Known: {', '.join(SPLITS)}.")


def hold_out(split: E, count: int) -> tuple[E, E]:
    """(the rest, ``count`` examples), drawn by a permutation of fixed seed, in the order they had.

    >>> rest, held = hold_out(Split(torch.zeros(10, 1, 2, 2, dtype=torch.uint8)), 3)
    >>> len(rest), len(held)
    (7, 3)
    """
    if not 0 < count < len(split):
        raise DataError(
            f"cannot hold out {count} of {len(split)} examples; both parts need at least one"
        )
    generator = torch.Generator("cpu").manual_seed(SPLIT_SEED)
    order = torch.randperm(len(split), generator=generator, device="cpu")
    held, rest = order[:count].sort().values, order[count:].sort().values
    return split.select(rest), split.select(held)


def with_held_out(
    train: E, validation: E | None, test: E | None, whole: bool = False
) -> tuple[E, E, E]:
    """The splits with those that are missing held out of ``train``: a tenth of it each.

    Where there is only ``train`` and it is to be ``whole``, each of them is all of it.
    """
    if whole and validation is None and test is None:
        return train, train, train
    needed = 1 + (validation is None) + (test is None)
    if len(train) < needed:
        raise DataError(
            f"{len(train)} example{'s' * (len(train) != 1)} cannot be split into train, "
            f"validation and test; give at least {needed}"
        )
    tenth = max(1, len(train) // 10)
    if test is None:
        train, test = hold_out(train, tenth)
    if validation is None:
        train, validation = hold_out(train, tenth)
    return train, validation, test
