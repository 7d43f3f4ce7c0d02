"""The picture of a spherical latent beside a plane, on codes made up for it."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from zoo.errors import DataError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, imported as Python does when it runs one."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("draw_sphere")


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
    drawing: Any, position: tuple[float, ...], left: float, top: float
) -> None:
    side = 300
    codes = around(torch.tensor(position) @ drawing.camera())
    image = drawing.sphere_image(codes, torch.full((len(codes),), 4), side)
    assert image.size == (2 * side, side)
    near = np.abs(colours(image) - np.array(drawing.PALETTE[4])).max(-1) < 60
    down, across = np.nonzero(near)
    assert len(across) > 50
    assert across.mean() / side == pytest.approx(left, abs=0.05)
    assert down.mean() / side == pytest.approx(top, abs=0.05)


def test_every_code_is_on_one_of_the_two_discs(drawing: Any) -> None:
    assert torch.allclose(drawing.camera() @ drawing.camera().T, torch.eye(3), atol=1e-6)
    points = normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)))
    flat, front = drawing.project(points)
    opposite, opposite_front = drawing.project(-points)
    assert bool((front != opposite_front).all())  # antipodes are never on one disc
    assert float(flat.norm(dim=1).max()) <= 1 + 1e-6
    side = torch.where(front, 1.0, -1.0)[:, None]
    depth = (1 - flat.square().sum(1, keepdim=True)).clamp_min(0).sqrt()
    seen = torch.cat([flat[:, :1] * side, flat[:, 1:], depth * side], dim=1)
    torch.testing.assert_close(seen @ drawing.camera(), points, atol=2e-3, rtol=0)


def test_the_plane_shows_every_code_in_its_colour(drawing: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[-9.0, 3.0], [3.0, -9.0]]).repeat_interleave(300, dim=0)
    codes = corners + 6 * torch.rand(600, 2, generator=generator)
    labels = torch.tensor([2, 8]).repeat_interleave(300)
    image = drawing.plane_image(codes, labels, 200)
    assert image.size == (200, 200)
    for own, other, box in ((2, 8, (0, 0, 100, 100)), (8, 2, (100, 100, 200, 200))):
        quarter = image.crop(box)
        here, strange = (share_of(quarter, drawing.PALETTE[digit]) for digit in (own, other))
        assert here > 0.01 > 0.002 > strange  # edges of the number may come near any colour


def test_the_plane_reaches_as_far_as_its_farthest_code(drawing: Any) -> None:
    codes = torch.cat([torch.zeros(50, 2), torch.tensor([[0.0, 30.0]])])
    labels = torch.tensor([0] * 50 + [4])
    column = drawing.plane_image(codes, labels, 200).crop((60, 3, 140, 40))
    assert share_of(column, drawing.INK) > 0  # its number, and below it the code


def test_points_blend_alike_in_any_order_and_more_of_them_hide_more(drawing: Any) -> None:
    paper = Image.new("RGB", (40, 40), drawing.PAPER)
    pixels = torch.tensor([[20.0, 20.0]]).repeat(6, 1)
    labels = torch.tensor([0, 1, 1, 0, 0, 1])
    once = colours(drawing.with_points(paper, pixels, labels))
    shuffled = torch.tensor([3, 1, 5, 0, 2, 4])
    assert np.array_equal(once, colours(drawing.with_points(paper, pixels, labels[shuffled])))
    one = colours(drawing.with_points(paper, pixels[:1], labels[:1]))
    two = colours(drawing.with_points(paper, pixels[:2], labels[:1].repeat(2)))
    target = np.array(drawing.PALETTE[0])
    through = (one[19, 19] - target) / (255 - target)
    assert through == pytest.approx(1 - drawing.OPACITY, abs=0.02)
    assert (two[19, 19] - target) / (255 - target) == pytest.approx(through**2, abs=0.02)
    at_edge = drawing.with_points(paper, torch.tensor([[0.2, 39.9]]), labels[:1])
    assert np.count_nonzero((colours(at_edge) != 255).any(-1)) == np.count_nonzero(
        (colours(at_edge)[34:, :6] != 255).any(-1)
    )


def test_a_number_stands_where_its_digit_is_densest(drawing: Any) -> None:
    far = torch.tensor([[5.0, 5.0]]) + torch.randn(
        100, 2, generator=torch.Generator().manual_seed(0)
    )
    codes = torch.cat([torch.full((20, 2), -1.0), far])
    labels = torch.full((120,), 6)
    places, digits = drawing.densest(codes, labels, radius=0.1)
    assert (places.tolist(), digits.tolist()) == ([[-1.0, -1.0]], [6])


@pytest.mark.parametrize(
    ("half", "codes", "labels", "message"),
    [
        ("sphere_image", torch.eye(3) * 2, torch.arange(3), "unit length"),
        ("sphere_image", torch.eye(2), torch.arange(2), r"expected codes \(N, 3\)"),
        ("plane_image", torch.eye(3), torch.arange(3), r"expected codes \(N, 2\)"),
        ("plane_image", torch.eye(2), torch.arange(3), r"got \(2, 2\) and \(3,\)"),
        ("plane_image", torch.eye(2), torch.tensor([0, 10]), "digits from 0 to 9"),
        ("plane_image", torch.eye(2) * math.nan, torch.arange(2), "all of them finite"),
        ("plane_image", torch.zeros(0, 2), torch.arange(0), "there must be codes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    drawing: Any, half: str, codes: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        getattr(drawing, half)(codes, labels)


def test_the_colours_differ_for_every_kind_of_sight(drawing: Any) -> None:
    """Simulated by Machado et al. 2009, in linear light, at full severity."""
    palette = np.array(drawing.PALETTE) / 255
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
