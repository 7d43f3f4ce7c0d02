"""A model by itself: what is recorded of it, and what its codes mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from zoo.core.component import Selected
from zoo.errors import UnsupportedError
from zoo.metrics.base import Measured
from zoo.metrics.shown import shown
from zoo.pictures.code_map import CodeMap
from zoo.pictures.grids import grid
from zoo.registry import CheckpointSpec
from zoo.reporting.exhibit import Exhibit
from zoo.reporting.strips import in_page
from zoo.tasks.drawing import Drawing, parts_of, plain_show

COLOURS = 64
"""Of a map's picture: points and their mixtures need no more."""
DRAWN: Sequence[tuple[str, dict[str, object]]] = (
    ("traverse", {"n": 6, "steps": 11}),
    ("groups", {"n": 3, "draws": 1}),
    ("latent-map", {}),
)
"""Pictures of codes, each where the model has one."""
CAPTIONS = {
    "traverse": (
        "The code of an image moved along the dimensions that vary most, a row each; on a "
        "sphere, around the great circle."
    ),
    "groups": "An image, its reconstruction, and each latent group drawn anew by itself.",
    "latent-map": "Where the codes of examples lie, coloured by class if these are known.",
}


@dataclass(frozen=True)
class Picture:
    """A picture with the words under it."""

    caption: str
    image: Image.Image


@dataclass(frozen=True)
class Card:
    """What there is to know of a model: facts and recorded figures by name, and pictures."""

    model: str
    summary: str
    facts: Mapping[str, str]
    figures: Mapping[str, str]
    pictures: Sequence[Picture]


@torch.no_grad()
def card(exhibit: Exhibit) -> Card:
    """Of a model on the page."""
    known = exhibit.card
    summary = "" if known is None else known.summary
    figures = {} if known is None else recorded(known)
    return Card(exhibit.name, summary, facts(exhibit), figures, pictures(exhibit))


def facts(exhibit: Exhibit) -> dict[str, str]:
    """Where a model comes from, and how it can be made again."""
    weights = sum(each.numel() for each in exhibit.model.parameters() if each.requires_grad)
    found = {"variant": exhibit.variant, "codes": exhibit.space, "weights": f"{weights:,}"}
    if (known := exhibit.card) is not None:
        recipe = known.recipe
        found |= {
            "command": recipe.command,
            "seed": str(recipe.seed),
            "revision": recipe.revision,
            "hardware": f"{recipe.hardware}, {recipe.duration}",
            "data": f"{known.dataset} ({known.data_license})",
            "licence of the weights": known.license,
            "file": f"{known.file}, {known.bytes:,} bytes, SHA-256 {known.sha256}",
        }
    return {name: fact for name, fact in found.items() if fact}


def recorded(card: CheckpointSpec) -> dict[str, str]:
    """The figures of a released checkpoint's card.

    >>> from zoo.registry import registry
    >>> recorded(registry().checkpoint("gaussian-vae-digits"))["nll"]
    '22.20 ± 0.22, K = 1000'
    """
    found = {}
    for name, figure in card.metrics.items():
        parts = [shown(Measured(figure.value, figure.stderr))]
        parts += [f"K = {figure.samples}"] if figure.samples is not None else []
        parts += [figure.note] if figure.note else []
        found[name] = ", ".join(parts)
    return found


def pictures(exhibit: Exhibit) -> list[Picture]:
    """What its codes mean; nothing of a model without examples."""
    if exhibit.many is None:
        return []
    images = exhibit.model.modality.name == "images"
    found = (
        (name, _drawn(exhibit, name, options))
        for name, options in DRAWN
        if images or name == "latent-map"
    )
    return [Picture(CAPTIONS[name], image) for name, image in found if image is not None]


def _drawn(exhibit: Exhibit, name: str, options: Mapping[str, object]) -> Image.Image | None:
    """None where the model has no such picture."""
    drawing = Selected[Drawing].parse("tasks", {"name": name, **options}).build()
    batch, model = exhibit.many, exhibit.model
    assert batch is not None
    few = next(parts_of(batch, drawing.examples))
    try:
        drawing.check_model(model)
        drawn = drawing.draw(model, few, plain_show(model))
        if isinstance(drawn, CodeMap):
            return drawn.picture.quantize(COLOURS)
        images = drawn.array
    except UnsupportedError:
        return None
    return grid(images, drawn.columns, scale=in_page(images))
