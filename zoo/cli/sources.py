"""The models that commands are asked about, and the examples they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.settings import decoded_by
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from zoo.api.source import Opened
    from zoo.core.model import LatentVariableModel
    from zoo.data import Dataset, Examples
    from zoo.metrics.features.compared import Pixels

# torch and all that needs it are imported where they are used: `zoo list` does without.

BATCH = 500
"""Examples that are encoded, decoded or drawn at a time, at most."""


def open_source(source: str) -> Opened:
    """What ``source`` means, its model on the CPU."""
    from zoo.storage.hub import locate

    path = locate(source)  # before torch is imported: a wrong name is answered at once
    from zoo.api.source import opened

    return opened(path)


def batch_size(model: LatentVariableModel) -> int:
    """How many examples the model encodes, decodes or draws at a time."""
    return min(BATCH, model.decode_batch)


def examples_for(data: Dataset, model: LatentVariableModel, split: str, seed: int) -> Examples:
    """Those of a split, as the model reads them."""
    examples: Examples = getattr(data, split)
    return examples.fixed(model.input_kind, seed)


def told_by(model: LatentVariableModel, texts: list[str] | None, n: int) -> Tensor | None:
    """What ``n`` samples are told by ``--condition``, a row for each.

    Raises ConfigError where there is none but must be one, and for what is no number; what
    :meth:`sample` raises for all else.
    """
    from zoo.core.condition import as_condition, needed_condition

    if not texts:
        if (needed := needed_condition(model)) is not None:
            raise ConfigError(f"the model is told {needed.wanted}; give --condition")
        return None
    rows = [numbers_in(text) for text in texts]
    if model.conditioning is not None and model.conditioning.classes is not None:
        flat = [number for row in rows for number in row]
        return as_condition(model, flat[0] if len(flat) == 1 else flat, n)
    return as_condition(model, rows[0] if len(rows) == 1 else rows, n)


def numbers_in(text: str) -> list[int | float]:
    """The numbers of ``--condition``. Raises ConfigError for what is none."""
    return [_number(part, text) for part in text.split(",")]


def _number(part: str, text: str) -> int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(part)
    raise ConfigError(f"--condition {text}: write a class as in 3, or numbers as in 0.5,1.5")


def check_writable(model: LatentVariableModel, path: Path) -> None:
    """Raise ConfigError where what the model makes cannot be written to a file of that name."""
    modality = model.modality
    if path.suffix not in modality.suffixes:
        allowed = " or ".join(modality.suffixes)
        raise ConfigError(f"--out {path}: the model makes {modality.name}, for a file {allowed}")


def groups_by(model: LatentVariableModel, asked: list[int] | None) -> Sequence[int]:
    """The latent groups of ``--group``, all where none is asked for. Raises ConfigError."""
    count = len(model.group_widths)
    if not asked:
        return range(count)
    if not set(asked) <= set(range(count)) or len(set(asked)) < len(asked):
        words = f"groups 0 to {count - 1}" if count > 1 else "one group, 0"
        given = " ".join(f"--group {group}" for group in asked)
        raise ConfigError(f"{given}: the model has {words}, and each is written once")
    return asked


def sampled_by(
    model: LatentVariableModel, decoding: str | None, pixels: Pixels | None
) -> Callable[..., Tensor | list[str]]:
    """What makes samples as :meth:`sample` does, by the decoding or of the pixels asked for."""
    if pixels is None:
        return decoded_by(model.sample, decoding)
    if decoding is not None:
        raise ConfigError("give either --decoding or --pixels: a decoding says how they are made")
    from zoo.randomness import noise_of
    from zoo.tasks.drawing import show_of

    show = show_of(model, pixels)

    def sample(
        n: int, temperature: float, generator: Generator, condition: Tensor | None
    ) -> Tensor | list[str]:
        codes = model.sample_codes(n, temperature, generator, condition)
        with noise_of(generator, codes.device):
            return show(codes, condition)

    return sample
