"""What an example is: an image, a sentence, a vector or a table's row. Each kind checks its own.

>>> modality_of((1, 28, 28)).name, modality_of((10,)).name
('images', 'vectors')
"""

from __future__ import annotations

from zoo.columns.schema import TableSchema
from zoo.core.component import component_class
from zoo.errors import ConfigError
from zoo.modalities.base import Form, Modality
from zoo.registry import registry

__all__ = ["Form", "Modality", "modality_of"]


def modality_of(shape: tuple[int, ...], form: Form = None) -> Modality:
    """What a model of that input shape reads: the registered modality that has such examples.

    Raises ConfigError for a shape that none has.
    """
    for name in registry().modalities:
        modality: type[Modality] = component_class("modalities", name)
        if modality.fits(shape, form):
            return modality(shape, form)
    given = "no tokenizer" if form is None else "a tokenizer"
    given = "a table's columns" if isinstance(form, TableSchema) else given
    raise ConfigError(
        f"no examples have the shape {shape} and {given}; images have (C, H, W), vectors (D,), "
        "text has (T,) and a tokenizer, tables have (D,) and D columns"
    )
