"""The rules of the contract, by subject."""

from zoo.testing.contract import (
    codes,
    conditions,
    densities,
    forms,
    masks,
    numerics,
    sampling,
    spaces,
)
from zoo.testing.contract.rule import Rule

RULES: tuple[Rule, ...] = (
    *forms.rules,
    *densities.rules,
    *codes.rules,
    *spaces.rules,
    *sampling.rules,
    *conditions.rules,
    *masks.rules,
    *numerics.rules,
)
"""All of them."""

__all__ = ["RULES", "Rule"]
