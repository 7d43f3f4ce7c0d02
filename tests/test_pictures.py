"""Pictures hold the very pixels they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.errors import ConfigError, DataError
from zoo.pictures import grid, reconstruction_grid, save_grid


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    columns=st.integers(1, 14),
    scale=st.integers(1, 3),
)
def test_every_image_is_found_at_its_place(
    n: int, channels: int, height: int, width: int, columns: int, scale: int
) -> None:
    levels = torch.randint(0, 256, (n, channels, height, width))
    sheet = np.asarray(grid(levels / 255, columns, scale=scale))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    across = min(columns, n)
    assert sheet.shape[0] == scale * (1 + -(-n // across) * (height + 1))
    assert sheet.shape[1] == scale * (1 + across * (width + 1))
    for i, image in enumerate(levels):
        top = scale * (1 + i // across * (height + 1))
        left = scale * (1 + i % across * (width + 1))
        found = sheet[top : top + scale * height, left : left + scale * width]
        expected = image.permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
        assert np.array_equal(found, expected)


def test_values_beyond_the_range_are_clipped() -> None:
    sheet = np.asarray(grid(torch.tensor([-3.0, 7.0]).view(2, 1, 1, 1), columns=2))
    assert (sheet[1, 1], sheet[1, 3]) == (0, 255)


def test_each_row_of_originals_stands_above_its_reconstructions() -> None:
    originals = torch.arange(5).view(5, 1, 1, 1) / 255
    sheet = np.asarray(reconstruction_grid(originals, originals + 100 / 255, columns=3))
    assert sheet[1::2, 1::2].tolist() == [
        [0, 1, 2],
        [100, 101, 102],
        [3, 4, 128],
        [103, 104, 128],
    ]


def test_what_is_no_picture_is_refused() -> None:
    images = torch.rand(4, 1, 3, 3)
    with pytest.raises(ConfigError, match="columns must be at least 1, got 0"):
        grid(images, 0)
    with pytest.raises(ConfigError, match="scale must be at least 1, got 0"):
        grid(images, 2, scale=0)
    with pytest.raises(DataError, match=r"1 or 3 channels.*\(4, 2, 3, 3\)"):
        grid(torch.rand(4, 2, 3, 3), 2)
    with pytest.raises(DataError, match="N at least 1"):
        grid(images[:0], 2)
    with pytest.raises(DataError, match="NaN"):
        grid(images.log().log(), 2)
    with pytest.raises(DataError, match="the same images"):
        reconstruction_grid(images, images[:3], 2)


def test_a_saved_grid_reads_back_and_leaves_nothing_else(tmp_path: Path) -> None:
    images = torch.rand(6, 3, 4, 4)
    path = save_grid(tmp_path / "new" / "samples.png", images, 3, scale=2)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), np.asarray(grid(images, 3, scale=2)))
    assert list(path.parent.iterdir()) == [path]
