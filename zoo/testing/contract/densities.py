"""Densities of prior and posterior, and what follows from them."""

from __future__ import annotations

import math

import torch

from zoo.errors import UnsupportedError
from zoo.testing.cases import Case
from zoo.testing.contract.rule import (
    Rules,
    factorises,
    has_evidence,
    has_exact_kl,
    lacks_evidence,
)
from zoo.testing.expect import agree, close, expect, refused, same, shaped

rules = Rules()


@rules.add(factorises)
def the_divergence_is_the_sum_over_dimensions(case: Case) -> None:
    """And each part of it is at least 0."""
    model = case.model()
    draws = model.infer(case.batch(5))
    by_dimension = draws.kl_by_dimension
    assert by_dimension is not None
    shaped(by_dimension, (5, model.code_dim), "KL by dimension")
    expect((by_dimension >= 0).all(), "a dimension's KL is negative")
    close(by_dimension.sum(-1), draws.kl.sum(-1), "sum of the dimensions' KL")


@rules.add(has_exact_kl)
def the_divergence_is_what_draws_say(case: Case) -> None:
    """KL(q || p) >= 0 is the mean of log q(z|x) - log p(z): ties the three to each other."""
    model = case.model()
    with torch.no_grad():
        draws = model.infer(case.batch(2), 2000)
        log_ratio = (draws.log_q - draws.log_p).sum(-1)  # (S, B)
        kl = draws.kl
    expect((kl >= -1e-6).all(), f"a KL is negative: {kl}")
    agree(log_ratio, kl.sum(-1).expand_as(log_ratio), "KL and log q - log p")


@rules.add(has_evidence)
def log_prob_is_the_log_mean_of_its_weights(case: Case) -> None:
    """The bound of one draw, and of several; none is refused."""
    model, batch = case.model(), case.batch(3)
    for samples in (1, 7):
        torch.manual_seed(5)
        found = model.log_prob(batch, samples)
        torch.manual_seed(5)
        weights = model.infer(batch, samples).log_weights.detach()
        close(found, weights.logsumexp(0) - math.log(samples), "log_prob", atol=1e-3)
        expect(not found.requires_grad, "log_prob has a graph")
    for samples in (0, -1):
        refused(lambda n=samples: model.log_prob(batch, n), UnsupportedError, "at least 1")  # type: ignore[misc]


@rules.add(has_evidence)
def codes_given_have_the_density_they_were_drawn_with(case: Case) -> None:
    """log q and log p of draws are found again where the draws are given."""
    model, batch = case.model(), case.batch(3)
    with torch.no_grad():
        drawn = model.infer(batch, 2)
        given = model.infer(batch, given=drawn.z)
    same(given.z, drawn.z, "the codes given")
    for name in ("log_q", "log_p", "log_likelihood"):
        close(getattr(given, name), getattr(drawn, name), name, rtol=1e-3, atol=1e-2)


@rules.add(has_evidence)
def posteriors_of_all_pairs_agree_with_each(case: Case) -> None:
    """log q(z_i|x_j) has on its diagonal what the draw z_i of x_i has."""
    model, batch = case.model(), case.batch(4)
    torch.manual_seed(3)
    pairs = model.log_posteriors(batch)
    torch.manual_seed(3)
    with torch.no_grad():
        own = model.infer(batch).log_q.sum(-1)[0]
    shaped(pairs, (4, 4), "log_posteriors")
    close(pairs.diagonal(), own, "the diagonal of log_posteriors", rtol=1e-3, atol=1e-2)


@rules.add(lacks_evidence)
def without_evidence_the_likelihood_is_refused(case: Case) -> None:
    """What is not defined is not answered."""
    model, batch = case.model(), case.batch(2)
    refused(lambda: model.log_prob(batch, 2), UnsupportedError, "not defined")
    refused(lambda: model.log_posteriors(batch), UnsupportedError, "no posterior density")
    expect(model.infer(batch).kl_by_dimension is None, "it has a KL")


@rules.add()
def the_bound_reaches_every_trainable_parameter(case: Case) -> None:
    """No weight is forgotten, none that is frozen is moved, no gradient is infinite."""
    model = case.model().train()
    (-model(case.batch(16)).elbo.mean()).backward()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    without = [n for n, p in trainable.items() if p.grad is None or not p.grad.any()]
    expect(not without, f"no gradient reaches {without}")
    wild = [n for n, p in trainable.items() if p.grad is None or not p.grad.isfinite().all()]
    expect(not wild, f"gradients that are not finite: {wild}")
    expect(all(p.grad is None for p in model.parameters() if not p.requires_grad), "frozen move")


@rules.add()
def codes_are_decoded_alike_in_any_batch(case: Case) -> None:
    """p(x|z) of codes (S, B, D) is that of each."""
    model, batch = case.model(), case.batch(2)
    with torch.no_grad():
        z = model.infer(batch, 3).z
        together = model.decode(z, batch.condition).log_prob(batch.x)
        each = [model.decode(part, batch.condition).log_prob(batch.x) for part in z]
    close(together, torch.stack(each), "log p(x|z)", rtol=1e-3, atol=1e-2)
