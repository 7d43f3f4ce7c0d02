"""Draw MNIST's test images where a spherical and a Gaussian latent put them, coloured by digit.

Left the sphere of a model whose codes have 3 numbers and unit length, seen from the front and from
behind, so that every code is on one of the two discs; right the plane of a Gaussian VAE with 2.
Each number stands where its digit is densest.

    python scripts/draw_sphere.py --sphere RUN --plane RUN --output sphere.png [--data-root DIR]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import zoo
from zoo.data.loading import load_for_model
from zoo.errors import DataError
from zoo.evaluation import encode_split
from zoo.files import write_atomically
from zoo.report.pictures import png_bytes

SIZE = (1500, 560)
SIDE = 452
"""Of the square that holds a disc or the plane, in pixels."""
PAD = 8
"""Between the edge of that square and what is drawn to scale."""
LEFT, TOP = 20, 78
PLANE_LEFT = LEFT + 2 * SIDE + 36
LEGEND_LEFT = PLANE_LEFT + SIDE + 22
SCALE = 3
"""Drawn this much larger and then reduced, so that lines and edges are smooth."""

PALETTE = (
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
"""A colour for each digit: Paul Tol's muted scheme, moved apart for the colour-blind."""

PAPER = (255, 255, 255)
SEA = (228, 235, 245)
LINE = (196, 204, 216)
RIM = (132, 144, 162)
INK = (38, 44, 56)
ELEVATION = math.radians(22)
"""How far above the equator the front camera stands."""
GRATICULE = 30  # degrees
POINT = 1.5
"""Radius of a point, in pixels of the picture."""
OPACITY = 0.62
SHOWN = 600
"""Codes of a class that are looked at to find where it is densest."""


def camera() -> Tensor:
    """Rows: to the right, up, and towards the viewer in front of the sphere; (3, 3)."""
    toward = torch.tensor([math.cos(ELEVATION), 0.0, math.sin(ELEVATION)])
    right = torch.tensor([0.0, 1.0, 0.0])
    return torch.stack([right, torch.linalg.cross(toward, right), toward])


def project(points: Tensor) -> tuple[Tensor, Tensor]:
    """Orthographic coordinates (N, 2) in the unit disc, right and up, and which are in front (N,).

    What is not in front is seen from behind the sphere, where right and left change places.
    """
    seen = points @ camera().T
    front = seen[:, 2] >= 0
    side = torch.where(front, 1.0, -1.0)
    return torch.stack([seen[:, 0] * side, seen[:, 1]], dim=1), front


def sphere_image(codes: Tensor, labels: Tensor, side: int = SIDE) -> Image.Image:
    """Both hemispheres of codes (N, 3) of unit length with digits (N,), side by side.

    The picture is 2 ``side`` wide and ``side`` high. Raises DataError for other codes or labels.
    """
    codes = checked(codes, labels, width=3)
    if not torch.allclose(codes.norm(dim=1), torch.ones(len(codes)), atol=1e-3):
        raise DataError("codes on a sphere must have unit length; give a spherical model's")
    flat, front = project(codes)
    centres, digits = densest(codes, labels, radius=0.15)
    marks, marks_in_front = project(centres)
    picture = Image.new("RGB", (2 * side, side), PAPER)
    for column, (shown, named) in enumerate(((front, marks_in_front), (~front, ~marks_in_front))):
        disc = globe(side, from_behind=column == 1)
        disc = with_points(disc, to_pixels(flat[shown], side, 1.0), labels[shown])
        disc = with_numbers(disc, to_pixels(marks[named], side, 1.0), digits[named])
        picture.paste(disc, (column * side, 0))
    return picture


def plane_image(codes: Tensor, labels: Tensor, side: int = SIDE) -> Image.Image:
    """Codes (N, 2) with digits (N,) under circles of radius 1, 2, ... about the prior's mean.

    Every code is in the picture, a square of ``side``. Raises DataError for other codes or labels.
    """
    codes = checked(codes, labels, width=2)
    reach = max(3.0, 1.03 * float(codes.abs().max()))
    centres, digits = densest(codes, labels, radius=0.05 * reach)
    square = with_points(field(side, reach), to_pixels(codes, side, reach), labels)
    return with_numbers(square, to_pixels(centres, side, reach), digits)


def checked(codes: Tensor, labels: Tensor, width: int) -> Tensor:
    """The codes as float32, once they and their labels are what can be drawn."""
    if codes.ndim != 2 or codes.shape[1] != width or labels.shape != codes.shape[:1]:
        raise DataError(
            f"expected codes (N, {width}) and labels (N,), "
            f"got {tuple(codes.shape)} and {tuple(labels.shape)}"
        )
    if not len(codes) or not codes.isfinite().all():
        raise DataError("there must be codes, all of them finite")
    if int(labels.min()) < 0 or int(labels.max()) >= len(PALETTE):
        raise DataError(f"labels must be digits from 0 to {len(PALETTE) - 1}")
    return codes.float()


def to_pixels(points: Tensor, side: int, reach: float) -> Tensor:
    """Pixels (N, 2), across and down, of points with coordinates in [-reach, reach]."""
    return side / 2 + points / reach * torch.tensor([1.0, -1.0]) * (side / 2 - PAD)


def densest(codes: Tensor, labels: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """For each digit there is, the code with most of the same digit about it; (K, D) and (K,)."""
    digits = torch.unique(labels)
    places = []
    for digit in digits:
        own = codes[labels == digit][:SHOWN]
        weight = (-0.5 * (torch.cdist(own, own) / radius).square()).exp().sum(1)
        places.append(own[weight.argmax()])
    return torch.stack(places), digits


def with_points(picture: Image.Image, pixels: Tensor, labels: Tensor) -> Image.Image:
    """The picture under half-transparent points; their order does not matter.

    A pixel lets through the product of what its points let through, and shows the mean of their
    colours for the rest.
    """
    base = torch.from_numpy(np.array(picture)).float()
    height, width, _ = base.shape
    index, cover = footprints(pixels, width, height)
    darkness = -torch.log1p(-OPACITY * cover)
    colour = torch.tensor(PALETTE).float()[labels].repeat_interleave(cover.shape[1], dim=0)
    weight = darkness.flatten()
    total = torch.zeros(height * width).index_add_(0, index.flatten(), weight)
    sums = torch.zeros(height * width, 3).index_add_(0, index.flatten(), colour * weight[:, None])
    through = (-total).exp().view(height, width, 1)
    mean = (sums / total.clamp_min(1e-9)[:, None]).view(height, width, 3)
    blended = through * base + (1 - through) * mean
    return Image.fromarray(blended.round().to(torch.uint8).numpy())


def footprints(pixels: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Flat indices of the pixels that each point touches and how much of each it covers; (N, P)."""
    reach = math.ceil(POINT + 0.5)
    steps = torch.arange(-reach, reach + 1)
    offsets = torch.cartesian_prod(steps, steps)
    touched = pixels.floor().long()[:, None] + offsets
    distance = (touched + 0.5 - pixels[:, None]).norm(dim=-1)
    cover = (POINT + 0.5 - distance).clamp(0, 1)
    inside = ((touched >= 0) & (touched < torch.tensor([width, height]))).all(-1)
    across = touched[..., 0].clamp(0, width - 1)
    down = touched[..., 1].clamp(0, height - 1)
    return down * width + across, cover * inside


def globe(side: int, *, from_behind: bool) -> Image.Image:
    """An empty hemisphere: a disc, paler in the middle, under meridians and parallels."""
    axis = torch.linspace(-1, 1, side * SCALE)
    shade = torch.hypot(axis[:, None], axis).clamp(0, 1).pow(3)[..., None]
    pixels = torch.tensor(PAPER) * (1 - shade) + torch.tensor(SEA) * shade
    picture = Image.fromarray(pixels.round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(picture)
    for curve in graticule():
        flat, front = project(curve)
        places = (to_pixels(flat, side, 1.0) * SCALE).tolist()
        seen = (front != from_behind).tolist()
        for start, end, *ends_seen in zip(places, places[1:], seen, seen[1:], strict=False):
            if all(ends_seen):
                draw.line((*start, *end), fill=LINE, width=SCALE)
    return cut_out(picture, side)


def graticule() -> list[Tensor]:
    """Meridians and parallels as polylines on the unit sphere, each (P, 3)."""
    turn, climb = (
        torch.linspace(0, 2 * math.pi, 361),
        torch.linspace(-math.pi / 2, math.pi / 2, 181),
    )
    lines = [
        on_sphere(torch.full_like(climb, math.radians(degrees)), climb)
        for degrees in range(0, 360, GRATICULE)
    ]
    return lines + [
        on_sphere(turn, torch.full_like(turn, math.radians(degrees)))
        for degrees in range(GRATICULE - 90, 90, GRATICULE)
    ]


def on_sphere(longitude: Tensor, latitude: Tensor) -> Tensor:
    """Unit vectors (P, 3)."""
    across = latitude.cos()
    return torch.stack([across * longitude.cos(), across * longitude.sin(), latitude.sin()], dim=1)


def cut_out(picture: Image.Image, side: int) -> Image.Image:
    """The disc of a large picture, with a rim on white, reduced to ``side``."""
    box = (PAD * SCALE, PAD * SCALE, (side - PAD) * SCALE, (side - PAD) * SCALE)
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    disc = Image.composite(picture, Image.new("RGB", picture.size, PAPER), mask)
    ImageDraw.Draw(disc).ellipse(box, outline=RIM, width=SCALE + 1)
    return disc.resize((side, side), Image.Resampling.LANCZOS)


def field(side: int, reach: float) -> Image.Image:
    """An empty plane: the prior's circles and axes in a frame."""
    large = side * SCALE
    picture = Image.new("RGB", (large, large), PAPER)
    draw = ImageDraw.Draw(picture)
    unit = (side / 2 - PAD) * SCALE / reach
    for radius in range(1, math.floor(reach * math.sqrt(2)) + 1):
        near, far = large / 2 - radius * unit, large / 2 + radius * unit
        draw.ellipse((near, near, far, far), outline=LINE, width=SCALE)
    draw.line((0, large / 2, large, large / 2), fill=LINE, width=SCALE)
    draw.line((large / 2, 0, large / 2, large), fill=LINE, width=SCALE)
    draw.rectangle((0, 0, large - 1, large - 1), outline=RIM, width=SCALE + 1)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def with_numbers(picture: Image.Image, pixels: Tensor, digits: Tensor) -> Image.Image:
    """The picture with each digit written at its place, on a light ground."""
    font = ImageFont.load_default(22)
    draw = ImageDraw.Draw(picture)
    for (across, down), digit in zip(pixels.tolist(), digits.tolist(), strict=True):
        draw.text(
            (across, down), str(digit), INK, font, anchor="mm", stroke_width=3, stroke_fill=PAPER
        )
    return picture


def compose(sphere: Image.Image, plane: Image.Image) -> Image.Image:
    """Both pictures under their headings, beside the digits' colours."""
    picture = Image.new("RGB", SIZE, PAPER)
    picture.paste(sphere, (LEFT, TOP))
    picture.paste(plane, (PLANE_LEFT, TOP))
    draw = ImageDraw.Draw(picture)
    headings = (
        (LEFT + SIDE / 2, "Sphere: uniform prior", "seen from the front"),
        (LEFT + 3 * SIDE / 2, "The same sphere", "seen from behind"),
        (PLANE_LEFT + SIDE / 2, "Plane: normal prior", "circles at 1, 2, ... deviations"),
    )
    for across, heading, note in headings:
        draw.text((across, 30), heading, INK, ImageFont.load_default(23), anchor="mm")
        draw.text((across, 57), note, RIM, ImageFont.load_default(17), anchor="mm")
    step = SIDE / len(PALETTE)
    for digit, colour in enumerate(PALETTE):
        down = TOP + (digit + 0.5) * step
        draw_dot(picture, LEGEND_LEFT + 8, down, colour)
        text_place = (LEGEND_LEFT + 24, down)
        draw.text(text_place, str(digit), INK, ImageFont.load_default(20), anchor="lm")
    return picture


def draw_dot(
    picture: Image.Image, across: float, down: float, colour: tuple[int, int, int]
) -> None:
    """A smooth disc of 16 pixels."""
    mask = Image.new("L", (16 * SCALE, 16 * SCALE), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, 16 * SCALE - 1, 16 * SCALE - 1), fill=255)
    mask = mask.resize((16, 16), Image.Resampling.LANCZOS)
    picture.paste(colour, (round(across) - 8, round(down) - 8), mask)


def codes_of_test_images(source: str, width: int, data_root: str | None) -> tuple[Tensor, Tensor]:
    """A model's codes of the test images (N, width) and the images' digits (N,)."""
    model = zoo.load(source)
    if model.code_dim != width:
        raise DataError(f"{source} has codes of {model.code_dim} numbers, {width} can be drawn")
    test = load_for_model(model.config, "mnist", root=data_root).test
    if test.labels is None:
        raise DataError("the test images have no labels to colour them by")
    return encode_split(model, test), test.labels


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = "a run's folder, a checkpoint's name or its file"
    parser.add_argument("--sphere", required=True, help=f"the spherical model: {source}")
    parser.add_argument("--plane", required=True, help=f"the Gaussian model: {source}")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="a PNG file")
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Write the picture."""
    options = parse_arguments(arguments)
    try:
        sphere = sphere_image(*codes_of_test_images(options.sphere, 3, options.data_root))
        plane = plane_image(*codes_of_test_images(options.plane, 2, options.data_root))
    except zoo.ZooError as error:
        raise SystemExit(f"error: {error}") from error
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output, png_bytes(compose(sphere, plane)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
