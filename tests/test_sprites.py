"""Sprites: the same bytes for all, factors that change what they say and nothing else."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

import zoo
from zoo.data import Dataset
from zoo.data.sprites import FACTORS, SHAPES, combination, render
from zoo.errors import DataError
from zoo.registry import registry

SIZES = list(FACTORS.values())


def random_factors(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(n, (count,), generator=generator) for n in SIZES], 1)


def moved(factors: Tensor, **values: int) -> Tensor:
    """With other values of the factors that are named."""
    found = factors.clone()
    for name, value in values.items():
        found[:, list(FACTORS).index(name)] = value
    return found


@pytest.fixture(scope="module")
def sprites() -> Dataset:
    return zoo.load_dataset("sprites")


def test_splits_are_disjoint_and_of_known_bytes(sprites: Dataset) -> None:
    labels = [split.labels for split in sprites.splits.values()]
    assert [len(each) for each in labels if each is not None] == [50_000, 5_000, 5_000]
    every = torch.cat([each for each in labels if each is not None])
    assert len(torch.unique(every, dim=0)) == len(every) == 60_000
    for name, split in sprites.splits.items():
        assert torch.equal(render(split.labels[:500]), split.rows[:500]), name
    digest = hashlib.sha256(sprites.test.rows.numpy().tobytes()).hexdigest()
    assert digest.startswith("c5f96d8d53f29b0b")


def test_every_value_of_a_factor_is_about_as_frequent(sprites: Dataset) -> None:
    """Within 5 standard deviations of a binomial."""
    assert sprites.train.labels is not None
    for column, size in zip(sprites.train.labels.T, SIZES, strict=True):
        counts, share = column.bincount(minlength=size).double(), 1 / size
        assert len(counts) == size
        assert (counts - 50_000 * share).abs().max() < 5 * (50_000 * share * (1 - share)) ** 0.5


def test_the_registry_says_what_the_labels_are() -> None:
    assert registry().dataset("sprites").factors == FACTORS


def test_every_combination_is_another_one() -> None:
    every = combination(torch.arange(737_280))
    assert len(torch.unique(every, dim=0)) == 737_280
    assert [int(column.max()) + 1 for column in every.T] == SIZES


def test_x_and_y_shift_the_pixels_and_do_nothing_else() -> None:
    factors = random_factors(200)
    images, at_the_corner = render(factors), render(moved(factors, x=0, y=0))
    for image, corner, row in zip(images, at_the_corner, factors, strict=True):
        x, y = row[3:].tolist()
        assert torch.equal(image, corner.roll((y, x), (-2, -1)))
        assert not corner[:, 33:].any() and not corner[..., 33:].any()


def test_a_quarter_turn_is_that_of_the_pixels() -> None:
    """About the sprite's centre, against the clock; also the square's and ellipse's symmetry."""
    factors = moved(random_factors(200), x=0, y=0)
    patch = render(factors)[..., :33, :33]
    later = factors.clone()
    later[:, 2] = (later[:, 2] + 10) % 40
    assert torch.equal(torch.rot90(patch, 1, (2, 3)), render(later)[..., :33, :33])
    square, ellipse, heart = (moved(factors, shape=n, orientation=3) for n in range(3))
    assert torch.equal(render(square), render(moved(square, orientation=13)))
    assert torch.equal(render(ellipse), render(moved(ellipse, orientation=23)))
    for other in (13, 23, 33):
        differ = render(heart) != render(moved(heart, orientation=other))
        assert differ.flatten(1).any(1).all()


def test_scale_changes_the_area_by_its_square() -> None:
    """Within what pixels allow: the boundary is as long as the root of the area."""
    for number, area in enumerate((2.0, torch.pi / 2, 3.6612 / 1.43**2)):
        for scale in range(6):
            every = torch.tensor([[number, scale, turn, 9, 9] for turn in range(40)])
            pixels = (render(every) > 0).flatten(1).sum(1).double()
            expected = area * (15.5 * (0.5 + 0.1 * scale)) ** 2
            assert pixels.mean().item() == pytest.approx(expected, rel=0.02), SHAPES[number]
            assert (pixels - expected).abs().max() < 2 * expected**0.5


def test_a_heart_stands_on_its_tip() -> None:
    image = render(torch.tensor([[2, 5, 0, 0, 0]]))[0, 0, :33, :33] > 0
    assert torch.equal(image, image.flip(1))
    rows = image.any(1).nonzero().flatten()
    widths = image.sum(1)
    assert widths[rows[-1]] < 4 < widths[rows[0]] and not image[rows[0], 16]


def test_images_are_black_and_white_and_none_is_cut_off(sprites: Dataset) -> None:
    rows = sprites.test.rows
    assert sorted(torch.unique(rows).tolist()) == [0, 255]
    border = torch.cat([rows[..., 0, :], rows[..., -1, :], rows[..., :, 0], rows[..., :, -1]], -1)
    assert not border.any()
    assert rows.flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (torch.zeros(2, 4).long(), r"integers \(N, 5\): shape, scale, orientation, x, y; got"),
        (torch.zeros(5).long(), "of shape"),
        (torch.zeros(2, 5), "float32"),
        (torch.tensor([[0, 0, 0, 0, 0], [0, 6, 0, 0, 0]]), "scale of a sprite is 0 to 5, got 6"),
        (torch.tensor([[-1, 0, 0, 0, 0]]), "shape of a sprite is 0 to 2, got -1"),
    ],
)
def test_what_are_no_factors_is_refused(factors: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        render(factors)
