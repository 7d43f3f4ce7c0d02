"""What an example is: an image, a sentence or a vector. Each kind checks, shows and names its own.

>>> modality_of((1, 28, 28)).name, modality_of((10,)).name
('images', 'vectors')
"""

from __future__ import annotations

from zoo.core.component import component_class
from zoo.errors import ConfigError
from zoo.modalities.base import Modality
from zoo.registry import registry

__all__ = ["Modality", "modality_of"]


def modality_of(shape: tuple[int, ...], tokenizer: str | None = None) -> Modality:
    """What a model of that input shape reads: the registered modality that has such examples.

    Raises ConfigError for a shape that none has.
    """
    for name in registry().modalities:
        modality: type[Modality] = component_class("modalities", name)
        if modality.fits(shape, tokenizer):
            return modality(shape, tokenizer)
    given = "no tokenizer" if tokenizer is None else "a tokenizer"
    raise ConfigError(
        f"no examples have the shape {shape} and {given}; images have (C, H, W), vectors (D,), "
        "text has (T,) and a tokenizer"
    )
