"""What a model is told beside x."""

from __future__ import annotations

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
    """By samples of a model that is told nothing."""
    refused(lambda: case.known.sample(2, condition=1), UnsupportedError, "told nothing")
