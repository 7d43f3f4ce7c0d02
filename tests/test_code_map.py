"""Maps of codes on a plane and on a sphere, on codes made up for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from zoo.errors import DataError, UnsupportedError
from zoo.pictures.code_map import DISC, HEAD, MARGIN, PLANE, CodeMap
from zoo.pictures.grounds import camera, project
from zoo.pictures.points import (
    INK,
    LEGEND_COLUMN,
    OPACITY,
    PAPER,
    TOL,
    densest,
    palette,
    with_points,
)


def colours(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


def share_of(image: Image.Image, colour: tuple[int, int, int]) -> float:
    """How many of the pixels are nearly of a colour."""
    return float((np.abs(colours(image) - np.array(colour)).max(-1) < 60).mean())


def around(direction: torch.Tensor, count: int = 300, spread: float = 0.1) -> torch.Tensor:
    noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return normalize(direction + spread * noise)


@pytest.mark.parametrize(
    ("position", "left", "top"),
    [
        ((0.0, 0.0, 1.0), 0.5, 0.5),  # towards the viewer
        ((0.8, 0.0, 0.6), 0.9, 0.5),
        ((-0.6, 0.5, 0.6), 0.2, 0.25),
        ((0.0, 0.0, -1.0), 1.5, 0.5),  # behind: the other disc
        ((0.8, 0.0, -0.6), 1.1, 0.5),  # right and left change places there
        ((0.0, 0.7, -0.7), 1.5, 0.15),  # up stays up
    ],
)
def test_a_code_is_drawn_where_it_is_on_the_sphere(
    position: tuple[float, ...], left: float, top: float
) -> None:
    codes = around(torch.tensor(position) @ camera())
    image = CodeMap(codes, torch.full((len(codes),), 4), "").picture
    assert image.size == (2 * DISC + LEGEND_COLUMN + 4 * MARGIN, HEAD + DISC + MARGIN)
    near = np.abs(colours(image) - np.array(TOL[0])).max(-1) < 60  # of the only class
    near[:HEAD], near[:, 2 * (DISC + MARGIN) :] = False, False
    down, across = np.nonzero(near)
    assert len(across) > 50
    step = MARGIN * (left > 1)
    assert (across.mean() - MARGIN - step) / DISC == pytest.approx(left, abs=0.05)
    assert (down.mean() - HEAD) / DISC == pytest.approx(top, abs=0.05)


def test_every_code_is_on_one_of_the_two_discs() -> None:
    assert torch.allclose(camera() @ camera().T, torch.eye(3), atol=1e-6)
    points = normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)))
    flat, front = project(points)
    opposite, opposite_front = project(-points)
    assert bool((front != opposite_front).all())  # antipodes are never on one disc
    assert float(flat.norm(dim=1).max()) <= 1 + 1e-6
    side = torch.where(front, 1.0, -1.0)[:, None]
    depth = (1 - flat.square().sum(1, keepdim=True)).clamp_min(0).sqrt()
    seen = torch.cat([flat[:, :1] * side, flat[:, 1:], depth * side], dim=1)
    torch.testing.assert_close(seen @ camera(), points, atol=2e-3, rtol=0)


def test_the_plane_shows_every_code_in_its_colour() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[-9.0, 3.0], [3.0, -9.0]]).repeat_interleave(3000, dim=0)
    codes = corners + 6 * torch.rand(6000, 2, generator=generator)
    labels = torch.tensor([2, 8]).repeat_interleave(3000)
    image = plane_of(CodeMap(codes, labels, ""))
    half = PLANE // 2
    for own, other, box in ((0, 1, (0, 0, half, half)), (1, 0, (half, half, PLANE, PLANE))):
        quarter = image.crop(box)
        here, strange = (share_of(quarter, TOL[number]) for number in (own, other))
        assert here > 0.01 > 0.002 > strange  # edges of the name may come near any colour


def plane_of(drawn: CodeMap) -> Image.Image:
    return drawn.picture.crop((MARGIN, HEAD, MARGIN + PLANE, HEAD + PLANE))


def test_the_plane_reaches_as_far_as_its_farthest_code() -> None:
    codes = torch.cat([torch.zeros(50, 2), torch.tensor([[0.0, 30.0]])])
    labels = torch.tensor([0] * 50 + [4])
    column = plane_of(CodeMap(codes, labels, "")).crop((240, 3, 320, 60))
    assert share_of(column, INK) > 0  # its name, and below it the code


def test_points_blend_alike_in_any_order_and_more_of_them_hide_more() -> None:
    paper = Image.new("RGB", (40, 40), PAPER)
    pixels = torch.tensor([[20.0, 20.0]]).repeat(6, 1)
    labels, of = torch.tensor([0, 1, 1, 0, 0, 1]), torch.tensor(TOL)
    once = colours(with_points(paper, pixels, of[labels], 1.5))
    shuffled = torch.tensor([3, 1, 5, 0, 2, 4])
    assert np.array_equal(once, colours(with_points(paper, pixels, of[labels[shuffled]], 1.5)))
    one = colours(with_points(paper, pixels[:1], of[:1], 1.5))
    two = colours(with_points(paper, pixels[:2], of[[0, 0]], 1.5))
    target = np.array(TOL[0])
    through = (one[19, 19] - target) / (255 - target)
    assert through == pytest.approx(1 - OPACITY, abs=0.02)
    assert (two[19, 19] - target) / (255 - target) == pytest.approx(through**2, abs=0.02)
    at_edge = with_points(paper, torch.tensor([[0.2, 39.9]]), of[:1], 1.5)
    assert np.count_nonzero((colours(at_edge) != 255).any(-1)) == np.count_nonzero(
        (colours(at_edge)[34:, :6] != 255).any(-1)
    )


def test_a_name_stands_where_its_class_is_densest() -> None:
    far = torch.tensor([[5.0, 5.0]]) + torch.randn(
        100, 2, generator=torch.Generator().manual_seed(0)
    )
    codes = torch.cat([torch.full((20, 2), -1.0), far])
    labels = torch.full((120,), 6)
    places, digits = densest(codes, labels, radius=0.1)
    assert (places.tolist(), digits.tolist()) == ([[-1.0, -1.0]], [6])


@pytest.mark.parametrize(
    ("codes", "labels", "message"),
    [
        (torch.eye(3) * 2, torch.arange(3), "unit length"),
        (torch.eye(4), torch.arange(4), r"needs codes \(N, 2\) or \(N, 3\)"),
        (torch.eye(2), torch.arange(3), r"got \(2, 2\) and \(3,\)"),
        (torch.eye(2) * math.nan, torch.arange(2), "all of them finite"),
        (torch.zeros(0, 2), torch.arange(0), "there must be codes"),
        (torch.zeros(0, 2), None, "there must be codes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    codes: torch.Tensor, labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        CodeMap(codes, labels, "")


def test_a_map_has_codes_and_no_sentences() -> None:
    drawn = CodeMap(torch.eye(2), None, "")
    assert torch.equal(drawn.array, torch.eye(2))
    with pytest.raises(UnsupportedError, match="no sentences"):
        _ = drawn.lines


def test_without_labels_there_is_no_legend() -> None:
    with_labels, without = (CodeMap(torch.eye(2), of, "") for of in (torch.arange(2), None))
    assert with_labels.picture.width - without.picture.width == LEGEND_COLUMN + MARGIN


@pytest.mark.parametrize("classes", [1, 10, 11, 47, 62])
def test_classes_have_colours_of_their_own(classes: int) -> None:
    assert len(set(palette(classes))) == classes
    labels = torch.arange(classes)
    picture = CodeMap(torch.randn(classes, 2), labels, "").picture
    columns = -(-classes // 20)
    assert picture.width == PLANE + 3 * MARGIN + LEGEND_COLUMN * columns


def test_the_colours_differ_for_every_kind_of_sight() -> None:
    """Simulated by Machado et al. 2009, in linear light, at full severity."""
    palette = np.array(TOL) / 255
    linear = np.where(palette <= 0.04045, palette / 12.92, ((palette + 0.055) / 1.055) ** 2.4)
    sights = {
        "normal": np.eye(3),
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    }
    for sight, matrix in sights.items():
        seen = lab((linear @ np.array(matrix).T).clip(0, 1))
        distances = np.linalg.norm(seen[:, None] - seen, axis=-1) + 1e3 * np.eye(10)
        assert distances.min() > 15, (sight, np.unravel_index(distances.argmin(), (10, 10)))


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, where distances are about as large as they look."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt((linear @ np.array(to_xyz).T / [0.9505, 1.0, 1.089]).T + 1e-6)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
