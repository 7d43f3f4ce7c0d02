"""What an example is: an image, a sentence or a vector. Each kind checks, shows and names its own.

>>> modality_of((1, 28, 28)).name, modality_of((10,)).name
('images', 'vectors')
"""

from __future__ import annotations

from zoo.errors import ConfigError
from zoo.modalities.base import Modality
from zoo.modalities.images import Images
from zoo.modalities.text import Text
from zoo.modalities.vectors import Vectors

__all__ = ["Images", "Modality", "Text", "Vectors", "modality_of"]


def modality_of(shape: tuple[int, ...], tokenizer: str | None = None) -> Modality:
    """What a model of that input shape reads: text where it has a tokenizer, else by its axes.

    Raises ConfigError for a shape that no modality has.
    """
    if tokenizer is not None and len(shape) == 1:
        return Text(shape, tokenizer)
    if tokenizer is None and len(shape) == 3:
        return Images(shape)
    if tokenizer is None and len(shape) == 1:
        return Vectors(shape)
    given = "no tokenizer" if tokenizer is None else "a tokenizer"
    raise ConfigError(
        f"no examples have the shape {shape} and {given}; images have (C, H, W), vectors (D,), "
        "text has (T,) and a tokenizer"
    )
