"""What a model is told beside x."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from zoo.core.classes import ClassDraws
from zoo.errors import DataError, UnsupportedError
from zoo.testing.cases import CLASSES, Case
from zoo.testing.contract.rule import (
    Rules,
    infers_what_it_is_not_told,
    is_told,
    is_told_nothing,
    must_be_told,
)
from zoo.testing.expect import agree, close, differ, refused, same, seed, shaped

rules = Rules()
MANY = 500
"""Draws, for what is estimated of them."""


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
    """Classes that there are not, and another number of them."""
    model, batch = case.known, case.batch(3)
    for wrong in (CLASSES, -1, [0, 1]):
        refused(lambda c=wrong: model.sample(3, condition=c), DataError)  # type: ignore[misc]
    for told in (torch.zeros(3), torch.zeros(3, 7)):
        refused(lambda c=told: model.infer(batch._replace(condition=c)), DataError, "condition")  # type: ignore[misc]


@rules.add(must_be_told)
def no_condition_is_refused(case: Case) -> None:
    """Where the model does not infer it."""
    model, batch = case.known, case.batch(3)
    refused(lambda: model.sample(3), DataError, "condition")
    refused(lambda: model.infer(batch._replace(condition=None)), DataError, "condition")


@rules.add(infers_what_it_is_not_told)
def it_may_be_told_or_infer(case: Case) -> None:
    """Told none it draws classes from q(y|x), and its bound is that of its terms."""
    model, x = case.known, case.examples(3)
    probabilities = model.classify(x)  # type: ignore[operator]
    shaped(probabilities, (3, CLASSES), "q(y|x)")
    close(probabilities.sum(-1), torch.ones(3), "the sum of q(y|x)")
    torch.manual_seed(0)
    with torch.no_grad():
        draws = model.infer(x, MANY)
        assert isinstance(draws, ClassDraws)
        close(draws.elbo, draws.expected_log_likelihood - draws.kl.sum(-1), "the bound")
    found = one_hot(draws.drawn, CLASSES)  # (S, B, K)
    agree(found, probabilities.expand_as(found), "the classes drawn and q(y|x)")


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
