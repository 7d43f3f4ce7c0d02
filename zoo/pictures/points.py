"""Points in colours on a picture, a legend beside it."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TOL = (
    (49, 34, 135),
    (220, 169, 48),
    (19, 118, 50),
    (132, 203, 240),
    (180, 9, 1),
    (1, 154, 140),
    (121, 18, 65),
    (155, 159, 64),
    (245, 127, 176),
    (82, 93, 108),
)
"""Paul Tol's muted scheme, moved apart for the colour-blind."""
PAPER = (255, 255, 255)
RIM = (132, 144, 162)
INK = (38, 44, 56)
LEAST_RADIUS, MOST_RADIUS = 1.5, 4.0
"""Of a point, in pixels of the picture: of many, and of few."""
COVERED = 5000
"""Pixels that all points together would cover, were they of one radius and apart."""
OPACITY = 0.62
SCALE = 3
"""Drawn this much larger and then reduced, so that lines and edges are smooth."""
DENSEST_OF = 600
"""Codes of a class that are looked at to find where it is densest."""
LEGEND_ROWS = 20
LEGEND_STEP = 28
LEGEND_COLUMN = 78


def palette(classes: int) -> list[tuple[int, int, int]]:
    """A colour for each class: of up to ten a fixed scheme, of more, hues at even distances.

    >>> palette(2)
    [(49, 34, 135), (220, 169, 48)]
    """
    if classes <= len(TOL):
        return list(TOL[:classes])
    light = (0.42, 0.6)
    colours = [colorsys.hls_to_rgb(n / classes, light[n % 2], 0.7) for n in range(classes)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colours]


def densest(points: Tensor, labels: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """For each class there is, the point with most of the same about it; (K, D) and (K,)."""
    classes = torch.unique(labels)
    places = []
    for each in classes:
        own = points[labels == each][:DENSEST_OF]  # (n, D)
        weight = (-0.5 * (torch.cdist(own, own) / radius).square()).exp().sum(1)  # (n,)
        places.append(own[weight.argmax()])
    return torch.stack(places), classes


def with_points(
    picture: Image.Image, pixels: Tensor, colours: Tensor, radius: float
) -> Image.Image:
    """The picture under half-transparent points at ``pixels`` (N, 2); their order does not matter.

    ``colours`` are (N, 3). A pixel lets through the product of what its points let through, and
    shows the mean of their colours for the rest.
    """
    base = torch.from_numpy(np.array(picture)).float()
    height, width, _ = base.shape
    index, cover = _footprints(pixels, width, height, radius)
    darkness = -torch.log1p(-OPACITY * cover)
    colour = colours.float().repeat_interleave(cover.shape[1], dim=0)  # (N P, 3)
    weight = darkness.flatten()  # (N P,)
    total = torch.zeros(height * width).index_add_(0, index.flatten(), weight)  # (H W,)
    sums = torch.zeros(height * width, 3).index_add_(0, index.flatten(), colour * weight[:, None])
    through = (-total).exp().view(height, width, 1)  # (H, W, 1)
    mean = (sums / total.clamp_min(1e-9)[:, None]).view(height, width, 3)  # (H, W, 3)
    blended = through * base + (1 - through) * mean
    return Image.fromarray(blended.round().to(torch.uint8).numpy())


def radius_of(count: int) -> float:
    """Of so many points: the fewer, the larger.

    >>> radius_of(50), radius_of(10_000)
    (4.0, 1.5)
    """
    radius = math.sqrt(COVERED / (math.pi * max(count, 1)))
    return min(MOST_RADIUS, max(LEAST_RADIUS, radius))


def _footprints(pixels: Tensor, width: int, height: int, radius: float) -> tuple[Tensor, Tensor]:
    """Flat indices of the pixels that each point touches and how much of each it covers; (N, P)."""
    reach = math.ceil(radius + 0.5)
    steps = torch.arange(-reach, reach + 1)
    offsets = torch.cartesian_prod(steps, steps)  # (P, 2)
    touched = pixels.floor().long()[:, None] + offsets  # (N, P, 2)
    distance = (touched + 0.5 - pixels[:, None]).norm(dim=-1)  # (N, P)
    cover = (radius + 0.5 - distance).clamp(0, 1)
    inside = ((touched >= 0) & (touched < torch.tensor([width, height]))).all(-1)  # (N, P)
    across = touched[..., 0].clamp(0, width - 1)
    down = touched[..., 1].clamp(0, height - 1)
    return down * width + across, cover * inside


def with_names(picture: Image.Image, pixels: Tensor, names: Sequence[str]) -> Image.Image:
    """The picture with each name written at its place (K, 2), on a light ground."""
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for (across, down), name in zip(pixels.tolist(), names, strict=True):
        draw.text((across, down), name, INK, font, anchor="mm", stroke_width=3, stroke_fill=PAPER)
    return picture


def legend(names: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A dot and a name for each class, at most twenty below each other."""
    rows, columns = min(len(names), LEGEND_ROWS), -(-len(names) // LEGEND_ROWS)
    picture = Image.new("RGB", (LEGEND_COLUMN * columns, LEGEND_STEP * rows), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(20)
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        left = LEGEND_COLUMN * (number // LEGEND_ROWS)
        middle = LEGEND_STEP * (number % LEGEND_ROWS) + LEGEND_STEP // 2
        _draw_dot(picture, left + 10, middle, colour)
        draw.text((left + 26, middle), name, INK, font, anchor="lm")
    return picture


def _draw_dot(picture: Image.Image, across: int, down: int, colour: tuple[int, int, int]) -> None:
    """A smooth disc of 16 pixels."""
    mask = Image.new("L", (16 * SCALE, 16 * SCALE), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, 16 * SCALE - 1, 16 * SCALE - 1), fill=255)
    mask = mask.resize((16, 16), Image.Resampling.LANCZOS)
    picture.paste(colour, (across - 8, down - 8), mask)
