"""Handwritten digits of 8 x 8 pixels that come with scikit-learn: no download."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from zoo.data.partition import Splits, hold_out
from zoo.data.split import Split
from zoo.registry import DatasetSpec

TEST_EXAMPLES = 300


def load_digits(spec: DatasetSpec, root: Path | None) -> Splits:
    """All 1,797 digits, their levels 0..16 scaled to 0..255; ``root`` is not needed."""
    images, labels = _read()
    every = Split(images.clone(), labels.clone())
    rest, test = hold_out(every, TEST_EXAMPLES)
    train, validation = hold_out(rest, spec.validation)
    return train, validation, test


@cache
def _read() -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) and their labels, of which reading the text takes long."""
    from sklearn import datasets  # a slow import, and only this set needs it

    digits = datasets.load_digits()
    levels = torch.from_numpy(digits.images).to(torch.int32).unsqueeze(1)
    images = ((levels * 255 + 8) // 16).to(torch.uint8)
    return images, torch.from_numpy(digits.target).to(torch.int64)
