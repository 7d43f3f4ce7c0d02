"""Shapes, types, configurations and files."""

from __future__ import annotations

import inspect
import json
import tempfile
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.component import component_class
from zoo.core.condition import needed_condition
from zoo.core.model import LatentVariableModel
from zoo.errors import DataError
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.testing.cases import Case
from zoo.testing.contract.rule import Rules, has_evidence, is_numbers, is_text
from zoo.testing.expect import expect, refused, same, seed, shaped

rules = Rules()


@rules.add()
def shapes_and_types(case: Case) -> None:
    """Of all that a model answers with, for one example and for several."""
    model = case.model()
    for count, samples in ((1, 1), (3, 2)):
        batch = case.batch(count)
        draws = model.infer(batch, samples)
        shaped(draws.z, (samples, count, model.code_dim), "z")
        shaped(draws.log_likelihood, (samples, count), "log_likelihood")
        groups = len(model.group_widths) if model.has_evidence else 0
        shaped(draws.kl, (count, groups), "kl")
        shaped(draws.elbo, (count,), "elbo")
        code = model.encode(batch)
        shaped(code, (count, model.code_dim), "code")
        shaped(model.decode(code, batch.condition).log_prob(batch.x), (count,), "log p(x|code)")
        for each in (draws.z, draws.log_likelihood, draws.kl, code):
            expect(each.dtype == torch.float32, f"{each.dtype} is not single precision")
            expect(each.isfinite().all(), "something is not finite")


@rules.add(has_evidence)
def shapes_of_densities(case: Case) -> None:
    """One for each draw, example and group."""
    model, batch = case.model(), case.batch(3)
    draws, groups = model.infer(batch, 2), len(model.group_widths)
    for name in ("log_p", "log_q"):
        shaped(getattr(draws, name), (2, 3, groups), name)
    shaped(draws.log_weights, (2, 3), "log_weights")
    shaped(draws.log_evidence, (3,), "log_evidence")
    shaped(model.log_prob(batch, 4), (3,), "log_prob")


@rules.add(is_numbers)
def pictures_are_finite_and_in_range(case: Case) -> None:
    """Reconstructions and samples look like examples and carry no graph."""
    model, batch = case.model(), case.batch(3)
    for shown in (model.reconstruct(batch), model.sample(3, condition=batch.condition)):
        assert isinstance(shown, Tensor)
        shaped(shown, batch.x.shape, "what is shown")
        expect(shown.isfinite().all() and not shown.requires_grad, "it is infinite or has a graph")
        if model.modality.name == "images":
            expect(((shown >= 0) & (shown <= 1)).all(), "pixels lie beyond [0, 1]")


@rules.add(is_text)
def sentences_are_written(case: Case) -> None:
    """Reconstructions and samples are sentences."""
    model, batch = case.model(), case.batch(3)
    for shown in (model.reconstruct(batch), model.sample(3)):
        expect(len(shown) == 3 and all(isinstance(each, str) for each in shown), f"{shown}")


@rules.add()
def an_empty_batch_gives_empty_figures(case: Case) -> None:
    """As evaluation of an empty split asks for."""
    model, batch = case.model(), case.batch(0)
    shaped(model.infer(batch).elbo, (0,), "elbo")
    shaped(model.encode(batch), (0, model.code_dim), "codes")
    expect(len(model.reconstruct(batch)) == 0, "something is shown of nothing")


@rules.add()
def wrong_examples_are_refused(case: Case) -> None:
    """Of another shape or type, wherever examples are given; the message says what they are."""
    model, batch = case.model(), case.batch(2)
    for x, ask in product(_wrong(batch.x), _questions(model)):
        refused(lambda x=x, ask=ask: ask(batch._replace(x=x)), DataError, "got")  # type: ignore[misc]


def _wrong(x: Tensor) -> list[Tensor]:
    other_type = x.long() if x.is_floating_point() else x.float()
    return [x[0], x.repeat(1, 1 + 100 // x.shape[1], *(1 for _ in x.shape[2:])), other_type, x > 0]


def _questions(model: LatentVariableModel) -> list:  # type: ignore[type-arg]
    asks = [model.infer, model.encode, model.reconstruct]
    return [*asks, lambda batch: model.log_prob(batch, 2)] if model.has_evidence else asks


@rules.add(is_numbers)
def values_that_are_none_are_refused(case: Case) -> None:
    """What is not a number is never scored; where that is a gap, what is infinite is not."""
    model, batch = case.model(), case.batch(2)
    batch.x.flatten()[0] = torch.inf if model.modality.nan_is_missing else torch.nan
    for ask in _questions(model):
        refused(lambda ask=ask: ask(batch), DataError)  # type: ignore[misc]


@rules.add()
def a_bare_tensor_stands_for_a_batch(case: Case) -> None:
    """Where nothing else is told."""
    model = case.model()
    if needed_condition(model) is not None:
        refused(lambda: model.encode(case.examples(2)), DataError, "condition")
        return
    same(model.encode(case.examples(2)), model.encode(Batch(case.examples(2))), "codes")


@rules.add()
def a_configuration_survives_json(case: Case) -> None:
    """What is written to a file is read again as what it was."""
    config = case.variant.parse(case.config)
    text = json.dumps(config.model_dump(mode="json"))
    expect(case.variant.parse(json.loads(text)) == config, f"{text} is read as another one")


@rules.add()
def is_built_without_memory_and_saves_all_its_state(case: Case) -> None:
    """Files are checked against a model without values; its buffers are all stored."""
    with torch.device("meta"):
        blueprint = case.variant.build(case.config).state_dict()
    model = case.model()
    state = model.state_dict()
    expect(
        {k: v.shape for k, v in blueprint.items()} == {k: v.shape for k, v in state.items()},
        "another state is built without memory",
    )
    there = [name for name, tensor in blueprint.items() if not tensor.is_meta]
    expect(not there, f"made with values although the device is meta: {there}")
    unsaved = {name for name, _ in model.named_buffers()} - set(state)
    expect(not unsaved, f"buffers that are not saved: {unsaved}")


@rules.add()
def a_checkpoint_gives_back_the_same_model(case: Case) -> None:
    """Class, settings, weights, what is frozen, and so all that it says."""
    model = case.model()
    model.fit_codes(torch.randn(50, model.code_dim, generator=seed(0)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.safetensors")
        checkpoint.save(path, model, variant=str(case.variant))
        loaded = zoo.load(path)
    expect(type(loaded) is type(model) and loaded.config == model.config, "it is another model")
    for before, after in zip(said(model, case), said(loaded, case), strict=True):
        same(before, after, "what is said of examples")
    frozen, still = ([p.requires_grad for p in m.parameters()] for m in (model, loaded))
    expect(frozen == still, "other parameters are frozen")


@rules.add(once=True)
def settings_are_told_apart_by_name(case: Case) -> None:
    """A call that trains sorts its options into model, training and objective by their names."""
    from zoo.training.config import TrainingConfig

    others = set(TrainingConfig.model_fields) | set(inspect.signature(zoo.train).parameters)
    for name in registry().objectives:
        others |= set(component_class("objectives", name).Config.model_fields)
    clash = set(case.variant.model.Config.model_fields) & others
    expect(not clash, f"settings of the model, and of training or objective too: {clash}")


@rules.add(once=True)
def a_seed_decides_the_weights(case: Case) -> None:
    """And nothing else does."""
    first, again, other = (case.model(number).state_dict() for number in (0, 0, 1))
    for name, tensor in first.items():
        same(tensor, again[name], name)
    expect(any(not torch.equal(first[name], other[name]) for name in first), "no weight differs")


def said(model: LatentVariableModel, case: Case) -> list[Tensor]:
    """Everything a model says of three examples, with the same noise at every call."""
    dtype = next(model.parameters()).dtype
    batch = case.batch(3)
    if batch.x.is_floating_point():
        batch = batch._replace(x=batch.x.to(dtype))
    torch.manual_seed(11)
    draws = model.infer(batch, 2)
    told = None if batch.condition is None else batch.condition[:2]
    codes = model.sample_codes(2, generator=seed(1), condition=told)
    found = [draws.z, draws.log_likelihood, draws.kl, model.encode(batch), codes]
    return [*found, draws.log_weights] if model.has_evidence else found
