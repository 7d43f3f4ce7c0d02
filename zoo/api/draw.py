"""``zoo.draw``: pictures of what codes mean."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch

from zoo.api.arguments import plain, seed_number
from zoo.api.source import Opened, Source, dataset_for, opened
from zoo.api.train import Option
from zoo.core.batch import Batch
from zoo.core.component import Selected, component_class
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of, evaluation_mode
from zoo.data.partition import check_split
from zoo.errors import ConfigError, UnknownNameError, UnsupportedError
from zoo.metrics.features.compared import Pixels
from zoo.pictures.code_map import CodeMap
from zoo.pictures.sheet import Sheet
from zoo.randomness import seeded
from zoo.registry import registry
from zoo.tasks.drawing import Drawing, Show, show_of
from zoo.variants.univae.decoding import Decoding


def draw(
    kind: str,
    source: Source,
    *,
    dataset: object | None = None,
    split: str = "test",
    decoding: Decoding | None = None,
    pixels: Pixels | None = None,
    seed: int = 0,
    data_root: str | None = None,
    image_channels: int | None = None,
    device: str | torch.device = "cpu",
    **options: Option,
) -> Sheet | CodeMap:
    """A picture of what the codes of a model mean; its ``picture`` is a Pillow image.

    ``kind`` is one of

    - "manifold": the plane of two-dimensional codes by quantiles of the prior, or the sphere;
    - "traverse": a code moved along each of its dimensions;
    - "interpolate": ways between pairs of examples;
    - "latent-map": the codes of examples as points, coloured by class;
    - "groups": examples of which some latent groups are drawn anew;
    - "classes": samples of each class that a model can be told, from the same noise;
    - "temperatures": samples at several temperatures;

    or a task of one's own that is a ``zoo.tasks.drawing.Drawing``. ``options`` are those of the
    kind: ``zoo.tasks`` has each in a file of its name. Of sentences the result has ``lines``, of
    vectors an ``array``.

    ``source`` is what :func:`zoo.evaluate` takes, ``dataset`` and ``split`` say which examples are
    shown, the first of them, where the kind shows any. ``decoding`` is the one of models that work
    token by token. ``pixels`` are the "means" of p(x|z), as most models show anyway, or "draws"
    from it, as pixels are to be seen that say more of each other than a code does.

    Raises UnknownNameError, ConfigError, DataError, CheckpointError, and UnsupportedError for a
    model that the kind does not fit, which says which do.

    >>> sheet = draw("interpolate", "gaussian-vae-digits", n=2, steps=5)
    >>> sheet.picture.size, tuple(sheet.shown.shape)
    ((448, 133), (14, 1, 8, 8))
    """
    check_split(split)
    drawing = _drawing(kind, plain(options))
    entry = opened(source, device)
    model, seed = entry.model, seed_number(seed)
    show = _show(model, decoding, pixels)
    with torch.no_grad(), evaluation_mode(model), seeded(seed, device_of(model)):
        drawing.check_model(model)
        batch = None
        if drawing.examples:
            data = dataset_for(entry, dataset, data_root, image_channels=image_channels)
            batch = first_examples(entry, getattr(data, split), drawing.examples, seed)
        drawn = drawing.draw(model, batch, show)
    if isinstance(drawn, CodeMap) and (pixels is not None or decoding is not None):
        raise UnsupportedError(
            f"{kind} shows codes, and nothing decoded: leave pixels and decoding out"
        )
    return drawn


def drawings() -> list[str]:
    """The names of all kinds of pictures."""
    tasks = registry().names("tasks")
    return [name for name in tasks if issubclass(component_class("tasks", name), Drawing)]


def _drawing(kind: str, options: dict[str, Any]) -> Drawing:
    if kind not in registry().names("tasks") or not issubclass(
        component_class("tasks", kind), Drawing
    ):
        raise UnknownNameError("picture", kind, drawings())
    chosen: Selected[Drawing] = Selected.parse("tasks", {"name": kind, **options})
    return chosen.build()


def _show(model: LatentVariableModel, decoding: Decoding | None, pixels: Pixels | None) -> Show:
    if pixels is not None and decoding is not None:
        raise ConfigError("give either a decoding or pixels: a decoding says how pixels are made")
    if pixels is not None:
        return show_of(model, pixels)
    if decoding is None:
        return model.show
    if "decoding" not in inspect.signature(model.show).parameters:
        raise UnsupportedError(
            "only models that make sentences or images token by token, as univae does, can be "
            "decoded in several ways; leave the decoding out"
        )
    return partial(model.show, decoding=decoding)  # type: ignore[call-arg]


def first_examples(entry: Opened, split: Any, n: int, seed: int) -> Batch:
    """The first examples of a split as the model reads them, on its device."""
    model = entry.model
    fixed = split.take(n).fixed(model.input_kind, seed).to(device_of(model))
    batch: Batch = fixed.batch(torch.arange(len(fixed)), kind="real")
    return batch
