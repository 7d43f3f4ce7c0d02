"""Sprites of known factors, drawn when they are asked for: no download.

In the manner of dSprites (Matthey et al. 2017): one white shape on black, which five independent
factors make. Unlike there no orientation is twice in the set, and positions are whole pixels.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from torch import Tensor

from zoo.data.partition import SPLIT_SEED, Splits
from zoo.data.split import LEVELS, Split
from zoo.errors import DataError
from zoo.registry import DatasetSpec

FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
"""How many values each factor has, in the order of the columns of the labels."""
SHAPES = ("square", "ellipse", "heart")
SIDE = 64
PATCH = SIDE - FACTORS["x"] + 1
"""The side of what holds a sprite; its corner lies at pixel (x, y)."""
RADIUS = 15.5
"""Of the circle about the largest sprite, in pixels."""
SMALLEST = 0.5
"""The least scale; the largest is 1."""
HEART = 1.43
"""The circle about (u^2 + v^2 - 1)^3 = u^2 v^3 has a radius of 1.425."""
TRAIN, TEST = 50_000, 5_000
AT_ONCE = 4096


def load_sprites(spec: DatasetSpec, root: Path | None) -> Splits:
    """Splits of other combinations of the factors each, drawn from all; ``root`` is not needed.

    ``labels`` are the factors, int64 (N, 5).
    """
    ends = list(accumulate((0, TRAIN, spec.validation, TEST)))
    generator = torch.Generator("cpu").manual_seed(SPLIT_SEED)
    every = torch.randperm(math.prod(FACTORS.values()), generator=generator, device="cpu")
    factors = combination(every[: ends[-1]])
    train, validation, test = (factors[start:end] for start, end in pairwise(ends))
    return drawn(train), drawn(validation), drawn(test)


def drawn(factors: Tensor) -> Split:
    """The images of the factors, which are their labels."""
    return Split(render(factors), factors)


def combination(index: Tensor) -> Tensor:
    """The factors (N, 5) of the combinations ``index`` (N,), of which the last varies fastest.

    >>> combination(torch.tensor([0, 33, 737_279])).tolist()
    [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [2, 5, 39, 31, 31]]
    """
    return torch.stack(torch.unravel_index(index, tuple(FACTORS.values())), dim=1)


def render(factors: Tensor) -> Tensor:
    r"""Images of the factors, uint8 (N, 1, 64, 64): 255 where a pixel's centre lies in the sprite.

    ``factors`` (N, 5) are integers: which shape (square, ellipse, heart), the scale from 0.5 to 1
    in steps of 0.1, the orientation in turns of 9 degrees against the clock, and x to the right and
    y downwards in pixels. In coordinates (u, v) of the sprite that are scaled and turned with it
    they are

        square:   max(|u|, |v|) <= 1 / sqrt(2)
        ellipse:  u^2 + 4 v^2 <= 1
        heart:    (u'^2 + v'^2 - 1)^3 <= u'^2 v'^3, (u', v') = 1.43 (u, v)

    each in a circle of radius 1, which is 15.5 pixels of the largest. The square looks the same
    after 10 turns, the ellipse after 20.

    Raises DataError for factors of another form or beyond their values.

    >>> one = render(torch.tensor([[0, 0, 0, 0, 0]]))
    >>> one.shape, int((one > 0).sum())
    (torch.Size([1, 1, 64, 64]), 121)
    """
    _check(factors)
    factors = factors.cpu().long()
    sprites, number = _sprites(), factors[:, 0]
    for column, name in enumerate(("scale", "orientation"), 1):
        number = number * FACTORS[name] + factors[:, column]
    corner = factors[:, 4] * SIDE + factors[:, 3]  # (N,)
    rows = torch.arange(PATCH, device="cpu")
    patch = (rows[:, None] * SIDE + rows).flatten()  # (P^2,), where its pixels lie in an image
    images = torch.zeros(len(factors), SIDE * SIDE, dtype=torch.uint8, device="cpu")
    for start in range(0, len(factors), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        images[part].scatter_(1, corner[part, None] + patch, sprites[number[part]])
    return images.view(-1, 1, SIDE, SIDE)


def _sprites() -> Tensor:
    """Every shape at every scale and orientation, uint8 (3 x 6 x 40, P^2)."""
    scales, turns, middle = FACTORS["scale"], FACTORS["orientation"], PATCH // 2
    scale = torch.linspace(SMALLEST, 1, scales, dtype=torch.float64, device="cpu")
    angle = torch.arange(turns, dtype=torch.float64, device="cpu") * math.tau / turns
    right = torch.arange(-middle, middle + 1, dtype=torch.float64, device="cpu") / RADIUS
    scale, angle, up = scale.view(-1, 1, 1, 1), angle.view(-1, 1, 1), -right.view(-1, 1)
    u = (angle.cos() * right + angle.sin() * up) / scale  # (6, 40, P, P)
    v = (angle.cos() * up - angle.sin() * right) / scale
    square = torch.maximum(u.abs(), v.abs()) <= 0.5**0.5
    ellipse = u.square() + 4 * v.square() <= 1
    u, v = HEART * u, HEART * v
    heart = (u.square() + v.square() - 1).pow(3) <= u.square() * v.pow(3)
    every = torch.stack([square, ellipse, heart]).to(torch.uint8).mul_(LEVELS)  # (3, 6, 40, P, P)
    return every.view(-1, PATCH * PATCH)


def _check(factors: Tensor) -> None:
    sizes = torch.tensor(list(FACTORS.values()), device=factors.device)
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.is_floating_point():
        raise DataError(
            f"factors of sprites are integers (N, {len(FACTORS)}): {', '.join(FACTORS)}; got "
            f"{factors.dtype} of shape {tuple(factors.shape)}"
        )
    wrong = ((factors < 0) | (factors >= sizes)).nonzero().tolist()
    if wrong:
        row, column = wrong[0]
        name = list(FACTORS)[column]
        raise DataError(
            f"{name} of a sprite is 0 to {FACTORS[name] - 1}, got {factors[row, column]}"
        )
