"""Precision and compilation."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.draws import Draws
from zoo.testing.cases import Case
from zoo.testing.contract.forms import said
from zoo.testing.contract.rule import Rules
from zoo.testing.expect import close, expect

rules = Rules()


@rules.add()
def works_in_double_precision(case: Case) -> None:
    """With the same codes and log-likelihoods but for rounding."""
    model, batch = case.model(), case.batch(3)
    with torch.no_grad():
        codes = model.encode(batch)
        log_likelihood = model.decode(codes, batch.condition).log_prob(batch.x)
        model.double()
        x = batch.x.double() if batch.x.is_floating_point() else batch.x
        exact = model.encode(batch._replace(x=x))
        again = model.decode(exact, batch.condition).log_prob(x)
        for value in said(model, case):
            expect(value.dtype == torch.float64, f"something is {value.dtype}, not double")
    close(exact.float(), codes, "codes in double precision")
    close(again.float(), log_likelihood, "log p(x|z) in double precision", atol=1e-3)


@rules.add()
def densities_are_single_precision_under_autocast(case: Case) -> None:
    """Networks may be rough; what is summed is not."""
    model = case.model()
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = said(model, case)
        for about, exact in zip(rough, said(model, case), strict=True):
            expect(about.dtype == torch.float32, f"something is {about.dtype} under autocast")
            close(about, exact, "under autocast", rtol=0.1, atol=0.2)


@rules.add(once=True)
def compiled_it_says_the_same(case: Case) -> None:
    """The bound of a training step, with the same noise, whatever torch.compile sees of it."""
    _compiled_agrees(case, fullgraph=False)


def is_one_graph(case: Case) -> None:
    """torch.compile sees all of the bound: no rule, since other libraries' parts may break it."""
    _compiled_agrees(case, fullgraph=True)


def _compiled_agrees(case: Case, fullgraph: bool) -> None:
    model, batch = case.model().train(), case.batch(4)

    def bound() -> Tensor:
        draws: Draws = model(batch)
        return draws.elbo.mean()

    torch.compiler.reset()
    torch.manual_seed(0)
    eager = bound()
    model = case.model().train()
    torch.manual_seed(0)
    compiled = torch.compile(bound, fullgraph=fullgraph, backend="eager")()
    close(compiled, eager, "the compiled bound")
