"""What codes are drawn on: the plane, and the two halves of a sphere."""

from __future__ import annotations

import math

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo.pictures.points import PAPER, RIM, SCALE

PAD = 8
"""Between the edge of a square and what is drawn to scale."""
SEA = (228, 235, 245)
LINE = (196, 204, 216)
ELEVATION = math.radians(22)
"""How far above the equator the front camera stands."""
GRATICULE = 30  # degrees
MOST_CIRCLES = 12


def to_pixels(points: Tensor, side: int, reach: float) -> Tensor:
    """Pixels (N, 2), across and down, of points with coordinates in [-reach, reach]."""
    return side / 2 + points / reach * torch.tensor([1.0, -1.0]) * (side / 2 - PAD)


def project(points: Tensor) -> tuple[Tensor, Tensor]:
    """Orthographic coordinates (N, 2) in the unit disc, right and up, and which are in front (N,).

    What is not in front is seen from behind the sphere, where right and left change places.
    """
    seen = points @ camera().T  # (N, 3)
    front = seen[:, 2] >= 0
    side = torch.where(front, 1.0, -1.0)
    return torch.stack([seen[:, 0] * side, seen[:, 1]], dim=1), front


def camera() -> Tensor:
    """Rows: to the right, up, and towards the viewer in front of the sphere; (3, 3)."""
    toward = torch.tensor([math.cos(ELEVATION), 0.0, math.sin(ELEVATION)])
    right = torch.tensor([0.0, 1.0, 0.0])
    return torch.stack([right, torch.linalg.cross(toward, right), toward])


def globe(side: int, *, from_behind: bool) -> Image.Image:
    """An empty hemisphere: a disc, paler in the middle, under meridians and parallels."""
    axis = torch.linspace(-1, 1, side * SCALE)  # (n,)
    shade = torch.hypot(axis[:, None], axis).clamp(0, 1).pow(3)[..., None]  # (n, n, 1)
    pixels = torch.tensor(PAPER) * (1 - shade) + torch.tensor(SEA) * shade  # (n, n, 3)
    picture = Image.fromarray(pixels.round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(picture)
    for curve in _graticule():
        flat, front = project(curve)
        places = (to_pixels(flat, side, 1.0) * SCALE).tolist()
        seen = (front != from_behind).tolist()
        for start, end, *ends_seen in zip(places, places[1:], seen, seen[1:], strict=False):
            if all(ends_seen):
                draw.line((*start, *end), fill=LINE, width=SCALE)
    return _cut_out(picture, side)


def _graticule() -> list[Tensor]:
    """Meridians and parallels as polylines on the unit sphere, each (P, 3)."""
    turn = torch.linspace(0, 2 * math.pi, 361)
    climb = torch.linspace(-math.pi / 2, math.pi / 2, 181)
    meridians = [
        on_sphere(torch.full_like(climb, math.radians(degrees)), climb)
        for degrees in range(0, 360, GRATICULE)
    ]
    return meridians + [
        on_sphere(turn, torch.full_like(turn, math.radians(degrees)))
        for degrees in range(GRATICULE - 90, 90, GRATICULE)
    ]


def on_sphere(longitude: Tensor, latitude: Tensor) -> Tensor:
    """Unit vectors (P, 3)."""
    across = latitude.cos()
    return torch.stack([across * longitude.cos(), across * longitude.sin(), latitude.sin()], dim=1)


def _cut_out(picture: Image.Image, side: int) -> Image.Image:
    """The disc of a large picture, with a rim on white, reduced to ``side``."""
    box = (PAD * SCALE, PAD * SCALE, (side - PAD) * SCALE, (side - PAD) * SCALE)
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    disc = Image.composite(picture, Image.new("RGB", picture.size, PAPER), mask)
    ImageDraw.Draw(disc).ellipse(box, outline=RIM, width=SCALE + 1)
    return disc.resize((side, side), Image.Resampling.LANCZOS)


def field(side: int, reach: float, *, circles: bool) -> Image.Image:
    """An empty plane in a frame: axes, and circles of radius 1, 2, ... about their crossing."""
    large = side * SCALE
    picture = Image.new("RGB", (large, large), PAPER)
    draw = ImageDraw.Draw(picture)
    unit = (side / 2 - PAD) * SCALE / reach
    most = min(MOST_CIRCLES, math.floor(reach * math.sqrt(2))) if circles else 0
    for radius in range(1, most + 1):
        near, far = large / 2 - radius * unit, large / 2 + radius * unit
        draw.ellipse((near, near, far, far), outline=LINE, width=SCALE)
    draw.line((0, large / 2, large, large / 2), fill=LINE, width=SCALE)
    draw.line((large / 2, 0, large / 2, large), fill=LINE, width=SCALE)
    draw.rectangle((0, 0, large - 1, large - 1), outline=RIM, width=SCALE + 1)
    return picture.resize((side, side), Image.Resampling.LANCZOS)
