"""The passes over a split that an evaluation is made of, each example encoded once in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from zoo.compilation import compiled
from zoo.core.batch import Batch
from zoo.core.bounds import Evidence, log_evidence, weigher
from zoo.core.model import LatentVariableModel
from zoo.core.moments import Moments
from zoo.data import Examples
from zoo.distributions.observed import observed_log_prob
from zoo.errors import UnsupportedError
from zoo.evaluation.partial import Partial
from zoo.randomness import seeded

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of decoded examples so far and in all."""

SMALLEST_BATCH = 4
"""Examples weighted together at the least: encoding fewer at a time is mostly overhead."""


class Steps:
    """Counts decoded examples for ``progress``."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, decoded: int) -> None:
        """So many more are done."""
        self._done += decoded
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True)
class Terms:
    """Of one draw for each example: what the ELBO is made of."""

    log_likelihood: Tensor  # (N,)
    kl: Tensor  # (N, G)

    def variance(self, again: Terms) -> Terms:
        """What another draw makes of each: how much each varies from draw to draw."""
        pairs = ((self.log_likelihood, again.log_likelihood), (self.kl, again.kl))
        return Terms(*((one - other).square() / 2 for one, other in pairs))


@dataclass(frozen=True)
class FirstPass:
    """One draw for each example, and the statistics of the codes."""

    terms: Terms
    squared_error: Tensor | None  # (N,), mean over pixels, if it was asked for
    codes: Moments  # of (N, D)
    kl_per_dimension: Moments | None  # of (N, D)


def first_pass(
    model: LatentVariableModel,
    split: Examples,
    batch_size: int,
    steps: Steps,
    errors: bool = True,
) -> FirstPass:
    """The terms of the ELBO, the codes and, where ``errors`` are wanted, their reconstructions.

    To reconstruct may take far longer, pixel by pixel. Its noise is its own: without it all else is
    the same.
    """
    log_likelihood, kl = [], []
    squared_error: list[Tensor | None] = []
    codes, by_dimension = Moments(), Moments()
    for number, batch in enumerate(split.batches(batch_size, model.input_kind)):
        draws = model.infer(batch)
        log_likelihood.append(draws.expected_log_likelihood)
        kl.append(draws.kl)
        if errors:
            squared_error.append(_squared_error(model, batch, draws.code, number))
        codes.update(draws.code.flatten(1))
        if draws.kl_by_dimension is not None:
            by_dimension.update(draws.kl_by_dimension)
        steps.advance(len(batch.x))
    return FirstPass(
        terms=Terms(_joined(log_likelihood), _joined(kl)),
        squared_error=_joined_or_none(squared_error) if errors else None,
        codes=codes,
        kl_per_dimension=by_dimension if by_dimension.count else None,
    )


def terms_again(
    model: LatentVariableModel, split: Examples, batch_size: int, steps: Steps
) -> Terms:
    """The terms of the ELBO alone, of other draws."""
    log_likelihood, kl = [], []
    for batch in split.batches(batch_size, model.input_kind):
        draws = model.infer(batch)
        log_likelihood.append(draws.expected_log_likelihood)
        kl.append(draws.kl)
        steps.advance(len(batch.x))
    return Terms(_joined(log_likelihood), _joined(kl))


def evidence_pass(
    model: LatentVariableModel,
    split: Examples,
    samples: int,
    batch_size: int,
    steps: Steps,
    compile: bool = False,
    partial: Partial | None = None,
) -> Evidence:
    """The importance-weighted estimate of log p(x) for each example, (N,).

    Few examples with many draws each share one encoding and still fill a batch of the decoder; with
    few draws, more examples fill it. Where it is to ``compile``, code is made once for all of them.
    What an earlier call has left as ``partial`` is gone on with, bit for bit; who has done with the
    figures forgets it.
    """
    weigh = compiled(weigher(model)) if compile else None
    at_once = min(batch_size, max(SMALLEST_BATCH, batch_size // samples))
    parts = [] if partial is None else partial.restore()
    if done := sum(len(part.log_p) for part in parts):
        steps.advance(done * samples)
    left = split.select(torch.arange(done, len(split))) if done else split
    for batch in left.batches(at_once, model.input_kind):
        parts.append(log_evidence(model, batch, samples, batch_size, weigh))
        steps.advance(len(batch.x) * samples)
        if partial is not None:
            partial.keep(parts)
    return Evidence(*map(_joined, zip(*parts, strict=True)))


def prior_pass(
    model: LatentVariableModel, split: Examples, batch_size: int, advance: Callable[[int], None]
) -> Tensor:
    """log p(x|z) of each example for a code z ~ p(z) that knows nothing of it, (N,)."""
    parts = []
    for batch in split.batches(batch_size, model.input_kind):
        x, told, observed = batch.x, batch.condition, batch.observed
        p = model.decode(model.sample_codes(len(x), condition=told), told)
        parts.append(p.log_prob(x) if observed is None else observed_log_prob(p, x, observed))
        advance(len(x))
    return _joined(parts)


def errors_pass(
    model: LatentVariableModel, split: Examples, batch_size: int, steps: Steps
) -> Tensor | None:
    """The squared errors of :func:`first_pass` alone, (N,)."""
    found: list[Tensor | None] = []
    for number, batch in enumerate(split.batches(batch_size, model.input_kind)):
        found.append(_squared_error(model, batch, model.infer(batch).code, number))
        steps.advance(len(batch.x))
    return _joined_or_none(found)


def _squared_error(
    model: LatentVariableModel, batch: Batch, code: Tensor, number: int
) -> Tensor | None:
    """Of what the code looks like, mean over the pixels that are observed, (B,).

    None of sentences and of tables, and where p(x|z) has no mean. What noise it takes is of the
    batch's ``number``.
    """
    if not model.modality.has_squared_error:
        return None
    try:
        with seeded(number, batch.x.device):
            estimate = model.modality.write(model.estimate(code, batch.condition))
    except UnsupportedError:
        return None
    assert isinstance(estimate, Tensor)
    errors = (batch.x - estimate).square().flatten(1)
    if batch.observed is None:
        return errors.mean(1)
    observed = batch.observed.flatten(1)  # elsewhere nothing is known of the error
    return torch.where(observed, errors, 0).sum(1) / observed.sum(1).clamp(min=1)


def _joined_or_none(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return _joined(found) if len(found) == len(parts) else None


def _joined(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts)).cpu().double()
