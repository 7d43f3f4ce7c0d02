"""What a model is given."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """B examples and what is known of them. Wherever one is asked for, a bare tensor will do.

    ``condition`` is what the model is told, ``labels`` what only objectives and metrics may see.

    >>> import torch
    >>> Batch.of(torch.zeros(2, 1, 8, 8)).condition is None
    True
    """

    x: Tensor  # (B, ...) as the modality prepares it
    condition: Tensor | None = None  # (B,) classes or (B, C) numbers
    observed: Tensor | None = None  # like x: False where a value is missing
    labels: Tensor | None = None  # (B,) or (B, L)

    @classmethod
    def of(cls, x: Tensor | Batch) -> Batch:
        """``x`` as a batch: itself where it is one."""
        return x if isinstance(x, Batch) else cls(x)


class Checked(Batch):
    """A batch whose values have been looked at, which makes the host wait: no model looks again."""
