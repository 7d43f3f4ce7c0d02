"""Where examples and codes enter a model: checked, and in the floats that it computes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.core.batch import Batch, Checked
from zoo.core.checks import (
    check_codes,
    check_groups,
    check_inference,
    check_observed,
    check_place,
)
from zoo.core.condition import check_told, check_told_values
from zoo.distributions.precision import is_half
from zoo.errors import UnsupportedError

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel


def floats_of(model: nn.Module) -> torch.dtype:
    """The type of a model's weights, in which it computes; float32 of one without weights.

    Raises UnsupportedError for one of 16 bits: no density is computed in half precision.

    >>> floats_of(nn.Linear(2, 1).half())
    Traceback (most recent call last):
    zoo.errors.UnsupportedError: the model's weights are torch.float16, ...
    """
    first = next(model.parameters(), None)
    if first is None:
        return torch.float32
    if is_half(first):
        raise UnsupportedError(
            f"the model's weights are {first.dtype}, and densities are not computed in half "
            "precision; call model.float(), and let torch.autocast make the products of matrices "
            "in 16 bits"
        )
    return first.dtype


def read_batch(model: LatentVariableModel, given: Tensor | Batch) -> Batch:
    """See :meth:`zoo.core.model.LatentVariableModel.prepared`."""
    batch = Batch.of(given)
    model.modality.check_form(batch.x)
    check_told(model, batch.condition, batch.x.shape[0])
    if batch.observed is not None:
        check_observed(batch.observed, batch.x)
    batch = model.modality.filled(batch)  # what is missing is never read, by no network either
    if not (model.training or torch.compiler.is_compiling() or isinstance(batch, Checked)):
        check_place(batch.x, next(model.parameters(), None))
        model.modality.check_values(batch.x, model.input_kind)
        check_told_values(model, batch.condition)
    return batch._replace(x=model.modality.in_floats(batch.x, model.input_kind, floats_of(model)))


def as_codes(model: LatentVariableModel, given: Tensor, dim: int | None = None) -> Tensor:
    """Codes (..., D) in the model's floats, of any D where none is said.

    Raises UnsupportedError for what are no codes.
    """
    check_codes(given, dim)
    return model.space.in_floats(given, floats_of(model))


def latents_of(model: LatentVariableModel, codes: Tensor, groups: Sequence[int]) -> Tensor:
    """The latents of ``groups``, from 0, of codes (..., D). Raises UnsupportedError for others.

    >>> import zoo
    >>> model = zoo.load("nvae-lite-digits")
    >>> model.group_widths, latents_of(model, torch.zeros(2, model.code_dim), [0, 4]).shape
    ((16, 16, 32, 32, 32), torch.Size([2, 48]))
    """
    check_groups(groups, len(model.group_widths))
    parts = torch.split(codes, list(model.group_widths), dim=-1)
    return torch.cat([parts[group] for group in groups], dim=-1)


def given_codes(
    model: LatentVariableModel, samples: int, given: Tensor | None, examples: int
) -> Tensor | None:
    """Codes (S, B, D) that stand for draws, in the model's floats; None where draws are asked for.

    Raises UnsupportedError for no number of draws, and for other codes.
    """
    check_inference(samples, given, examples, model.code_dim)
    return None if given is None else as_codes(model, given, model.code_dim)
