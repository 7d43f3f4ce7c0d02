"""Labels of which only some are known."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.data.dataset import Dataset
from zoo.data.examples import Examples, are_classes
from zoo.errors import DataError

UNKNOWN = -1
"""The label of an example whose class is not known."""


def labelled_of(examples: Examples) -> Tensor | None:
    """Where the examples are whose class is known, (M,), on the CPU; None where there is none."""
    labels = examples.labels
    if labels is None or not are_classes(labels):
        return None
    known = (labels.cpu() >= 0).nonzero().flatten()
    return known if len(known) else None


def with_few_labels(data: Dataset, count: int, seed: int) -> Dataset:
    """A dataset of whose training labels only ``count`` are known, as many of each class.

    Which ones, the seed decides; the others are -1. Validation and test keep theirs. Raises
    DataError for data without labels, for a number that the classes cannot share evenly, and for
    more than there are.

    >>> from zoo.data import load_dataset
    >>> few = with_few_labels(load_dataset("digits"), 50, seed=0).train.labels
    >>> few[few >= 0].bincount()
    tensor([5, 5, 5, 5, 5, 5, 5, 5, 5, 5])
    """
    known = labelled_of(data.train)
    if known is None or data.train.labels is None:
        raise DataError(
            f"{data.name} has no labels of classes, of which labelled={count} (--labelled) could "
            "be known; leave it out, or give (x, labels) with whole numbers from 0"
        )
    labels = data.train.labels.cpu()
    classes = int(labels[known].bincount().count_nonzero())
    if count < classes or count % classes:
        more = -(-count // classes) * classes
        raise DataError(
            f"{data.name} has {classes} classes, which cannot share labelled={count} labels "
            f"evenly; give a multiple of {classes}, such as {more or classes}"
        )
    drawn = known[balanced_draw(labels[known], count, torch.Generator().manual_seed(seed))]
    few = torch.full_like(labels, UNKNOWN)
    few[drawn] = labels[drawn]
    return replace(data, train=replace(data.train, labels=few.to(data.train.labels.device)))


def balanced_draw(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of ``count`` examples, the classes as equally often as they can be; (count,).

    Raises DataError for a class with too few examples.
    """
    values, classes, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    quota = torch.full_like(sizes, count // len(sizes))  # (K,)
    quota[torch.randperm(len(sizes), generator=generator)[: count % len(sizes)]] += 1
    missing = (quota > sizes).nonzero().flatten()
    if len(missing):
        first = missing[0]
        raise DataError(
            f"class {values[first]} has {sizes[first]} training examples, a balanced draw of "
            f"{count} labels needs {quota[first]} of it; ask for fewer labels"
        )
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[classes[shuffled].argsort(stable=True)]  # (N,)
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)  # (N,)
    return by_class[rank < quota.repeat_interleave(sizes)]
