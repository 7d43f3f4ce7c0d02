"""``zoo.impute``: what is missing of examples, by what is observed of them."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.api.arguments import seed_number, whole_number
from zoo.api.source import Source, opened
from zoo.core.batch import Batch
from zoo.core.condition import as_condition
from zoo.errors import DataError
from zoo.tasks.impute import Impute


def impute(
    source: Source,
    x: object,
    observed: object = None,
    *,
    draws: int | None = None,
    condition: object = None,
    chains: int = 16,
    proposals: int = 4,
    starts: int = 2048,
    sweeps: int = 16,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Fill in what is missing of ``x`` (B, ...): the best guess, (B, ...), or (draws, B, ...).

    ``observed``, boolean like x, is False where a value is missing; left out, NaN says so. The best
    guess is the mean of p(x_m|x_o), of tokens and classes the commonest; draws are of p(x_m|x_o),
    each by a chain of its own. What is observed comes back bit by bit. See
    :class:`zoo.tasks.impute.Impute` for the method, and for what the numbers are.

    ``source`` is what :func:`zoo.evaluate` takes, ``condition`` what a conditional model is told:
    one for all examples, or one for each. Raises UnsupportedError for a model with which it cannot
    be done, and DataError for values that it cannot read.

    >>> import zoo
    >>> model = zoo.load("gaussian-vae-digits")
    >>> x = model.sample(4).round()
    >>> x[..., 4:, :] = torch.nan  # the lower half
    >>> impute(model, x).shape, impute(model, x, draws=5).shape
    (torch.Size([4, 1, 8, 8]), torch.Size([5, 4, 1, 8, 8]))
    """
    settings = {"chains": chains, "proposals": proposals, "starts": starts, "sweeps": sweeps}
    whole = {name: whole_number(name, value) for name, value in settings.items()}
    task = Impute(Impute.Config.parse(whole, "impute"))
    model = opened(source, device).model
    task.check_model(model)
    place = next(model.parameters()).device
    values = _tensor(x, place, "x")
    mask = None if observed is None else _tensor(observed, place, "observed")
    batch = Batch(values, as_condition(model, condition, len(values)), mask)
    generator = torch.Generator().manual_seed(seed_number(seed))
    if draws is None:
        return task.best_guess(model, batch, generator)
    return task.draw(model, batch, whole_number("draws", draws), generator)


def _tensor(given: object, device: torch.device, what: str) -> Tensor:
    """An array as a tensor. Raises DataError for what is none."""
    try:
        found = torch.as_tensor(given, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_examples(given, what) from error
    if not found.ndim:
        raise _no_examples(given, what)
    return found


def _no_examples(given: object, what: str) -> DataError:
    return DataError(f"{what} must be an array or a tensor of examples, got {given!r:.100}")
