"""Data that a model does not read, refused with what to do."""

from __future__ import annotations

from zoo.columns import TableSchema
from zoo.data.dataset import Dataset
from zoo.errors import DataError
from zoo.modalities import modality_of
from zoo.modalities.tokenizer import Tokenizer


def refuse_other_kind(
    data: Dataset, shape: tuple[int, ...], tokenizer: str | None, table: TableSchema | None
) -> None:
    """Raise DataError for another modality than a model of that shape reads, or in another form.

    The form of text is the ``tokenizer``, that of a table its columns.
    """
    reads = modality_of(shape, tokenizer or table).name
    if data.modality != reads:
        raise DataError(
            f"{data.name} holds {data.modality}, the model reads {reads}; choose another dataset"
        )
    if tokenizer is not None and data.tokenizer != Tokenizer(tokenizer).json:
        raise DataError(
            f"{data.name} was cut by another tokenizer than the model's; give the file or name it "
            "was read from"
        )
    if table is not None and data.table != table:
        raise DataError(
            f"{data.name} was read with other columns than the model's; give the file or name it "
            "was read from, or load it with columns=model.config.table"
        )
