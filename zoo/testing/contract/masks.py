"""Values that are missing."""

from __future__ import annotations

import torch

from zoo.core.batch import Batch
from zoo.errors import UnsupportedError
from zoo.testing.cases import Case
from zoo.testing.contract.rule import Rules, is_numbers
from zoo.testing.expect import close, expect, same

rules = Rules()


def may_miss_values(case: Case) -> bool:
    """The likelihood of a part of x is known."""
    batch = case.batch(2)
    masked = batch._replace(observed=torch.ones_like(batch.x, dtype=torch.bool))
    try:
        with torch.no_grad():
            case.known.infer(masked).log_likelihood  # noqa: B018 -- computed when asked for
    except UnsupportedError:
        return False
    return True


@rules.add(is_numbers, may_miss_values)
def what_is_wholly_observed_is_as_without_a_mask(case: Case) -> None:
    """All True is none."""
    batch = case.batch(3)
    z = _codes(case, batch)
    whole = batch._replace(observed=torch.ones_like(batch.x, dtype=torch.bool))
    close(_figure(case, whole, z), _figure(case, batch, z), "log p(x|z)", atol=1e-3)


@rules.add(is_numbers, may_miss_values)
def what_is_missing_does_not_count(case: Case) -> None:
    """Whatever stands there; and nothing at all is certain."""
    batch = case.batch(3)
    z = _codes(case, batch)
    observed = torch.ones_like(batch.x, dtype=torch.bool)
    observed[:, ..., :2] = False
    masked = batch._replace(observed=observed)
    other = masked._replace(x=torch.where(observed, batch.x, 0))
    same(_figure(case, masked, z), _figure(case, other, z), "log p of what is observed")
    nothing = _figure(case, batch._replace(observed=torch.zeros_like(observed)), z)
    expect((nothing == 0).all(), f"log p of nothing is {nothing}")


def _codes(case: Case, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return case.known.infer(batch, 2).z


def _figure(case: Case, batch: Batch, z: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return case.known.infer(batch, given=z).log_likelihood
