"""Measure a model on a fixed set of examples: exact protocol, bounded memory, recomputable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from zoo.core.bounds import Evidence
from zoo.core.condition import needed_condition
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of, evaluation_mode
from zoo.data.conversion import refuse_other_images, said
from zoo.data.text import TextSplit
from zoo.errors import ConfigError, DataError
from zoo.evaluation.partial import Partial
from zoo.evaluation.passes import (
    FirstPass,
    Progress,
    Steps,
    Terms,
    evidence_pass,
    first_pass,
    terms_again,
)
from zoo.evaluation.representation import ACTIVE_THRESHOLD, active_units
from zoo.evaluation.results import Estimate, Evaluation, mean_of
from zoo.evaluation.text import TEXT_PASSES, text_figures
from zoo.memory import keep_freed_memory
from zoo.randomness import seeded
from zoo.registry import registry

if TYPE_CHECKING:
    from zoo.data import Examples


LARGEST_BATCH = 2048


def largest_batch(model: LatentVariableModel, batch_size: int = LARGEST_BATCH) -> int:
    """How many examples are decoded at a time."""
    return min(batch_size, model.decode_batch)


def evaluate_model(
    model: LatentVariableModel,
    split: Examples,
    *,
    name: str,
    dataset: str,
    variant: str | None = None,
    split_name: str = "test",
    samples: int = 1000,
    seed: int = 0,
    batch_size: int = LARGEST_BATCH,
    compile: bool = False,
    identity: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Every figure of :class:`Evaluation` for all examples of ``split``, in nats per example.

    The examples are binarised once with ``seed`` when the model reads binary pixels. Passes are
    made with noise from ``seed``: one draw of z for the ELBO, one more for its Monte Carlo error,
    and exactly ``samples`` draws for the importance-weighted NLL. At most ``batch_size`` examples
    are decoded at a time, so memory does not grow with ``samples``. Where it is to ``compile``, the
    draws are weighted by code made for the model, which rounds otherwise. A call that was killed
    there is gone on with by the next like it, where ``identity`` is the SHA-256 of the model's
    file. The same arguments on the same machine give the same figures bit for bit; the caller's
    random state and the model's mode are left as they were.

    Raises ConfigError for ``samples`` or ``batch_size`` below 1 and a ``seed`` below 0, DataError
    when the examples do not fit the model or are fewer than two (no standard error), ZooError when
    a figure is not finite.
    """
    _check(model, split, dataset, split_name, samples, seed, batch_size)
    batch_size = largest_batch(model, batch_size)
    fixed = split.fixed(model.input_kind, seed).by_length()
    protocol = {
        "model": name,
        "variant": variant,
        "dataset": dataset,
        "split": split_name,
        "test_set": _describe(model, split, dataset, split_name, seed),
        "test_set_sha256": fixed.digest()[:16],
        "parts": model.modality.parts,
        "in_bits": model.modality.in_bits,
        "protocol": model.modality.protocol(model.input_kind, split_name, seed),
        "samples": samples,
        "seed": seed,
    }
    drawn = {"samples": samples, "seed": seed, "batch_size": batch_size, "compile": compile}
    partial = Partial.of(identity, fixed, drawn, device_of(model))
    figures = _measure_model(model, fixed, samples, seed, batch_size, compile, partial, progress)
    found = Evaluation.model_validate(protocol | figures)
    if partial is not None:
        partial.forget()
    return found


def refuse_too_few(examples: int, split: str) -> None:
    """Raise DataError for so few examples that a mean of them has no standard error."""
    if examples < 2:
        raise DataError(
            f"a standard error needs at least 2 examples, got {examples} of {split}; take more of "
            "them, another split, or more data"
        )


def _check(
    model: LatentVariableModel,
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
    refuse_too_few(len(split), f"{dataset}/{split_name}")
    expected = model.modality.shape
    if split.modality != model.modality.name:
        raise DataError(
            f"the model reads {model.modality.name}, the examples are {split.modality}; choose "
            "another dataset"
        )
    if split.shape == expected:
        return
    if split.modality == "text":
        raise DataError(
            f"the model reads sentences of at most {expected[0]} tokens, padded to so many, the "
            f"examples are padded to {split.shape[0]}; zoo.evaluate(model, dataset=...) cuts them "
            "as the model's were"
        )
    if split.modality == "images":
        refuse_other_images(expected, split.shape, dataset)
    raise DataError(
        f"the model reads vectors of shape (D,) = {expected}, {dataset} has {split.shape}; choose "
        "the dataset it was trained on"
    )


def _describe(
    model: LatentVariableModel, split: Examples, dataset: str, split_name: str, seed: int
) -> str:
    known = registry().datasets.get(dataset)
    stored = None if known is None or split.modality != "images" else known.shape
    converted = "" if stored is None else said(split.shape, stored)
    words = model.modality.describe(len(split), model.input_kind, seed, converted)
    condition = needed_condition(model)
    told = "" if condition is None else f", told {condition.on}"
    share = "" if split.observed is None else f", {100 * split.observed_share:.1f} % observed"
    return f"{dataset}/{split_name}, {words}{share}{told}"


def _measure_model(
    model: LatentVariableModel,
    split: Examples,
    samples: int,
    seed: int,
    batch_size: int,
    compile: bool,
    partial: Partial | None,
    progress: Progress | None,
) -> dict[str, Any]:
    keep_freed_memory()
    device, dims = device_of(model), math.prod(split.shape)
    split = split.to(device)
    passes = 1 + (1 + samples) * model.has_evidence
    passes += TEXT_PASSES * isinstance(split, TextSplit)
    steps = Steps(progress, len(split) * passes)
    evidence = text = variance = None
    with torch.no_grad(), evaluation_mode(model):
        with seeded(seed, device):
            first = first_pass(model, split, batch_size, steps)
            if model.has_evidence:
                variance = first.terms.variance(terms_again(model, split, batch_size, steps))
        if model.has_evidence:
            with seeded(seed, device):
                evidence = evidence_pass(model, split, samples, batch_size, steps, compile, partial)
        if isinstance(split, TextSplit):
            with seeded(seed, device):
                text = text_figures(model, split, evidence, batch_size, seed, steps.advance)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "input_kind": model.input_kind,
        "measure": model.measure,
        "code_dim": model.code_dim,
        "dims": dims,
        **_figures(
            first,
            variance,
            evidence,
            dims if model.modality.in_bits and split.observed is None else None,
            model.code_variance,
        ),
        "text": text,
    }


def _figures(
    first: FirstPass,
    variance: Terms | None,
    evidence: Evidence | None,
    dims: int | None,
    code_variance: float | None,
) -> dict[str, Any]:
    terms, per_dimension = first.terms, first.kl_per_dimension
    found: dict[str, Any] = {"nll": None, "bits_per_dim": None, "elbo": None, "kl": None}
    drawn = torch.zeros_like(terms.log_likelihood)
    if evidence is not None and variance is not None:
        found = _bounds(terms, variance, evidence, dims)
        drawn = variance.log_likelihood
    log_likelihood = mean_of("log p(x|z)", terms.log_likelihood, drawn)
    error, exact = first.squared_error, torch.zeros_like(drawn)
    if error is not None and not error.isfinite().all():
        error = None  # of finite likelihoods: their mean does not exist, as that of a Cauchy
    return {
        **found,
        "examples": len(terms.kl),
        "log_likelihood": log_likelihood,
        "kl_per_group": tuple(terms.kl.mean(0).tolist()),
        "kl_per_dimension": per_dimension and tuple(per_dimension.mean.tolist()),
        "mse_per_pixel": None if error is None else mean_of("squared error", error, exact),
        "active_units": None
        if code_variance is None
        else active_units(first.codes.variance / code_variance),
        "active_threshold": ACTIVE_THRESHOLD,
    }


def _bounds(
    terms: Terms, variance: Terms, evidence: Evidence, dims: int | None
) -> dict[str, Estimate | None]:
    """What only a model with log p(x) has; bits per dimension where there are ``dims``."""
    kl, nll = terms.kl.sum(-1), -evidence.log_p  # (N,) each
    of_kl, bit = variance.kl.sum(-1), (dims or 1) * math.log(2)
    in_bits = mean_of("-log p(x)", nll / bit, evidence.variance / bit**2)
    return {
        "nll": mean_of("-log p(x)", nll, evidence.variance),
        "bits_per_dim": None if dims is None else in_bits,
        "elbo": mean_of("ELBO", terms.log_likelihood - kl, variance.log_likelihood + of_kl),
        "kl": mean_of("KL", kl, of_kl),
    }
