"""What a model is told beside x."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import DataError, UnsupportedError
from zoo.testing.cases import CLASSES, Case
from zoo.testing.contract.rule import Rules, is_told, is_told_nothing
from zoo.testing.expect import differ, refused, same, seed

rules = Rules()


@rules.add(is_told)
def what_is_told_changes_what_is_said(case: Case) -> None:
    """Of examples and of codes."""
    model, x = case.known, case.examples(2)
    batch = case.batch(2)._replace(condition=torch.zeros(2, dtype=torch.int64))
    other = batch._replace(condition=torch.ones(2, dtype=torch.int64))
    with torch.no_grad():
        codes = model.encode(batch)
        differ(codes, model.encode(other), "codes told another class")
        said = [model.decode(codes, each.condition).log_prob(x) for each in (batch, other)]
    differ(said[0], said[1], "p(x|z, c) told another class")


@rules.add(is_told)
def samples_are_told_one_class_or_one_each(case: Case) -> None:
    """And the two ways agree."""
    model = case.known
    all_of_one = model.sample(3, generator=seed(0), condition=1)
    each = model.sample(3, generator=seed(0), condition=torch.tensor([1, 1, 1]))
    assert isinstance(all_of_one, Tensor) and isinstance(each, Tensor)
    same(all_of_one, each, "samples of one class")


@rules.add(is_told)
def wrong_conditions_are_refused(case: Case) -> None:
    """Classes that there are not, another number of them, and none."""
    model, batch = case.known, case.batch(3)
    for wrong in (CLASSES, -1, [0, 1]):
        refused(lambda c=wrong: model.sample(3, condition=c), DataError)  # type: ignore[misc]
    refused(lambda: model.sample(3), DataError, "condition")
    for told in (None, torch.zeros(3), torch.zeros(3, 7)):
        refused(lambda c=told: model.infer(batch._replace(condition=c)), DataError, "condition")  # type: ignore[misc]


@rules.add(is_told_nothing, once=True)
def a_condition_of_nothing_is_refused(case: Case) -> None:
    """By whatever a model that is told nothing is asked."""
    model, told = case.known, torch.zeros(2, dtype=torch.int64)
    batch = case.batch(2)
    with torch.no_grad():
        codes, asked = model.encode(batch), batch._replace(condition=told)
    asks: list[Callable[[], object]] = [
        lambda: model.sample(2, condition=1),
        lambda: model.sample_codes(2, condition=told),
        lambda: model.infer(asked),
        lambda: model.encode(asked),
        lambda: model.reconstruct(asked),
        lambda: model.edit(asked, [0]),
        lambda: model.resample_groups(codes, [0], condition=told),
        lambda: model.decode(codes, told),
        lambda: model.show(codes, told),
        lambda: model.estimate(codes, told),
    ]
    if model.has_evidence:
        asks += [lambda: model.log_prob(asked, 2), lambda: model.log_posteriors(asked)]
    for ask in asks:
        refused(ask, UnsupportedError, "told nothing")


@rules.add(is_told_nothing, once=True)
def labels_are_not_told(case: Case) -> None:
    """They may stand in a batch of a model that is told nothing, and change nothing."""
    batch = case.batch(2)
    with torch.no_grad():
        plain, labelled = (
            case.known.encode(each) for each in (batch, batch._replace(labels=torch.arange(2)))
        )
    same(plain, labelled, "codes of examples with labels")
