"""Measure a model on a fixed set of examples: exact protocol, bounded memory, recomputable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from torch.distributions import Independent

from zoo.data.text import TextSplit
from zoo.errors import ConfigError, DataError
from zoo.evaluation.representation import ACTIVE_THRESHOLD, Moments, active_units
from zoo.evaluation.results import Estimate, Evaluation, Measure, mean_of
from zoo.evaluation.text import TEXT_PASSES, text_figures
from zoo.memory import keep_freed_memory
from zoo.model import VariationalAutoencoder
from zoo.randomness import seeded
from zoo.registry import registry

if TYPE_CHECKING:
    from zoo.data import Examples

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of decoded examples so far and in all."""

_SMALLEST_BATCH = 4
"""Images weighted together at the least: encoding fewer at a time is mostly overhead."""


def evaluate_model(
    model: VariationalAutoencoder,
    split: Examples,
    *,
    name: str,
    dataset: str,
    variant: str | None = None,
    split_name: str = "test",
    samples: int = 1000,
    seed: int = 0,
    batch_size: int = 2048,
    progress: Progress | None = None,
) -> Evaluation:
    """Every figure of :class:`Evaluation` for all examples of ``split``, in nats per example.

    The examples are binarised once with ``seed`` when the model reads binary pixels. Two passes
    are made, each with noise from ``seed``: one draw of z for the ELBO, and exactly ``samples``
    draws for the importance-weighted NLL. At most ``batch_size`` examples are decoded at a time,
    so memory does not grow with ``samples``. The same arguments on the same machine give the same
    figures bit for bit; the caller's random state and the model's mode are left as they were.

    Raises ConfigError for ``samples`` or ``batch_size`` below 1 and a ``seed`` below 0, DataError
    when the examples do not fit the model or are fewer than two (no standard error), ZooError when
    a figure is not finite.
    """
    _check(model, split, dataset, split_name, samples, seed, batch_size)
    batch_size = min(batch_size, model.rows)
    fixed = split.fixed(model.input_kind, seed).by_length()
    protocol = {
        "model": name,
        "variant": variant,
        "dataset": dataset,
        "split": split_name,
        "test_set": _describe(model, split, dataset, split_name, seed),
        "test_set_sha256": fixed.digest()[:16],
        "samples": samples,
        "seed": seed,
    }
    figures = _measure_model(model, fixed, samples, seed, batch_size, progress)
    return Evaluation.model_validate(protocol | figures)


def _check(
    model: VariationalAutoencoder,
    split: Examples,
    dataset: str,
    split_name: str,
    samples: int,
    seed: int,
    batch_size: int,
) -> None:
    for option, value in (("samples", samples), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"{option} must be at least 1, got {value}")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed must be 0 to 2^63 - 1, got {seed}")
    if len(split) < 2:
        raise DataError(
            f"a standard error needs at least 2 examples, got {len(split)} of "
            f"{dataset}/{split_name}; take more of them, another split, or more data"
        )
    expected = tuple(model.config.input_shape)
    if len(split.shape) != len(expected):
        kinds = {1: "text", 3: "images"}
        raise DataError(
            f"the model reads {kinds[len(expected)]}, the examples are {kinds[len(split.shape)]}; "
            "choose another dataset"
        )
    if tuple(split.shape) != expected and len(expected) == 1:
        raise DataError(
            f"the model reads sentences of at most {expected[0]} tokens, padded to so many, the "
            f"examples are padded to {split.shape[0]}; zoo.evaluate(model, dataset=...) cuts them "
            "as the model's were"
        )
    if tuple(split.shape) != expected:
        raise DataError(
            f"the model reads images of shape (C, H, W) = {expected}, the examples are "
            f"{tuple(split.shape)}; choose the dataset it was trained on, or load the examples "
            f"with image_size={expected[-1]}"
        )


def _describe(
    model: VariationalAutoencoder, split: Examples, dataset: str, split_name: str, seed: int
) -> str:
    if model.input_kind == "tokens":
        return f"{dataset}/{split_name}, {len(split)} sentences"
    pixels = f"binarised with seed {seed}" if model.input_kind == "binary" else "in [0, 1]"
    known = registry().datasets.get(dataset)
    if known is not None and known.shape != split.shape:
        pixels = f"resized to {split.shape[1]}x{split.shape[2]}, {pixels}"
    return f"{dataset}/{split_name}, {len(split)} examples, {pixels}"


def _measure_model(
    model: VariationalAutoencoder,
    split: Examples,
    samples: int,
    seed: int,
    batch_size: int,
    progress: Progress | None,
) -> dict[str, Any]:
    keep_freed_memory()
    device = _device_of(model)
    split = split.to(device)
    passes = 1 + samples * model.has_evidence
    passes += TEXT_PASSES * isinstance(split, TextSplit)
    steps = _Steps(progress, len(split) * passes)
    with torch.no_grad(), _eval_mode(model):
        with seeded(seed, device):
            first = _first_pass(model, split, batch_size, steps)
        nll = None
        if model.has_evidence:
            with seeded(seed, device):
                nll = _nll(model, split, samples, batch_size, steps)
        measure, text = _measure_of(model, split), None
        if isinstance(split, TextSplit):
            with seeded(seed, device):
                text = text_figures(model, split, nll, batch_size, seed, steps.advance)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "input_kind": model.input_kind,
        "measure": measure,
        "code_dim": model.code_dim,
        **_figures(first, nll, math.prod(split.shape), model.code_variance),
        "text": text,
    }


@dataclass(frozen=True)
class _FirstPass:
    """One draw for each example: what the ELBO is made of, and the statistics of the codes."""

    log_likelihood: Tensor  # (N,)
    kl: Tensor  # (N, G)
    squared_error: Tensor | None  # (N,), mean over pixels
    codes: Moments  # of (N, D)
    kl_per_dimension: Moments | None  # of (N, D)


def _figures(
    first: _FirstPass, nll: Tensor | None, dims: int, code_variance: float | None
) -> dict[str, Any]:
    has_evidence = nll is not None
    kl = first.kl.sum(-1)
    is_image = first.squared_error is not None
    bits = nll / (dims * math.log(2)) if nll is not None and is_image else None
    per_dimension = first.kl_per_dimension
    return {
        "dims": dims,
        "examples": len(kl),
        "nll": _estimate("-log p(x)", nll),
        "bits_per_dim": _estimate("-log p(x)", bits),
        "elbo": _estimate("ELBO", first.log_likelihood - kl) if has_evidence else None,
        "log_likelihood": _estimate("log p(x|z)", first.log_likelihood),
        "kl": _estimate("KL", kl) if has_evidence else None,
        "kl_per_group": tuple(first.kl.mean(0).tolist()),
        "kl_per_dimension": per_dimension and tuple(per_dimension.mean.tolist()),
        "mse_per_pixel": _estimate("squared error", first.squared_error),
        "active_units": None
        if code_variance is None
        else active_units(first.codes.variance / code_variance),
        "active_threshold": ACTIVE_THRESHOLD,
    }


def _first_pass(
    model: VariationalAutoencoder, split: Examples, batch_size: int, steps: _Steps
) -> _FirstPass:
    log_likelihood, kl, squared_error = [], [], []
    codes, by_dimension = Moments(), Moments()
    for x, *_ in split.batches(batch_size, model.input_kind):
        terms = model.elbo_terms(x)
        log_likelihood.append(terms.log_likelihood)
        kl.append(terms.kl)
        code = model.encode(x)
        shown = model.show(code) if x.is_floating_point() else None
        if isinstance(shown, Tensor):
            squared_error.append((x - shown).square().flatten(1).mean(1))
        codes.update(code.flatten(1))
        kl_of_dimensions = model.kl_by_dimension(x)
        if kl_of_dimensions is not None:
            by_dimension.update(kl_of_dimensions)
        steps.advance(len(x))
    return _FirstPass(
        log_likelihood=torch.cat(log_likelihood).cpu().double(),
        kl=torch.cat(kl).cpu().double(),
        squared_error=torch.cat(squared_error).cpu().double() if squared_error else None,
        codes=codes,
        kl_per_dimension=by_dimension if by_dimension.count else None,
    )


def _nll(
    model: VariationalAutoencoder, split: Examples, samples: int, batch_size: int, steps: _Steps
) -> Tensor:
    """Minus the importance-weighted estimate of log p(x) for each example, (N,).

    Few images with many draws each share one encoding and still fill a batch of the decoder; with
    few draws, more images fill it.
    """
    images = min(batch_size, max(_SMALLEST_BATCH, batch_size // samples))
    parts = []
    for x, *_ in split.batches(images, model.input_kind):
        parts.append(-model.log_prob(x, samples, batch_size))
        steps.advance(len(x) * samples)
    return torch.cat(parts).cpu().double()


def _estimate(quantity: str, values: Tensor | None) -> Estimate | None:
    return None if values is None else mean_of(quantity, values)


def _measure_of(model: VariationalAutoencoder, split: Examples) -> Measure:
    likelihood = model.decode(model.encode(next(split.batches(1, "real")).x))
    while isinstance(likelihood, Independent):
        likelihood = likelihood.base_dist
    # Asked of the class: an instance binned over an interval says only "interval".
    declared: Any = type(likelihood).support
    try:
        return "mass" if declared.is_discrete else "density"
    except (AttributeError, NotImplementedError):
        return "density"  # undeclared, as in torch's transformed distributions


def _device_of(model: VariationalAutoencoder) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def _eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Every module in evaluation mode; afterwards each as it was (some may have been frozen)."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Steps:
    """Counts decoded examples for ``progress``."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, decoded: int) -> None:
        self._done += decoded
        if self._progress is not None:
            self._progress(self._done, self._total)
