"""The checks of a variant: every rule of the contract, on every case that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.testing.cases import Case, cases_of
from zoo.testing.contract import RULES, Rule


@dataclass(frozen=True)
class Check:
    """A rule of the contract on one case; call it, and it raises AssertionError unless it holds."""

    case: Case
    rule: Rule

    def __str__(self) -> str:
        return f"{self.case}-{self.rule.name}"

    def __call__(self) -> None:
        try:
            self.rule.check(self.case)
        except Exception as error:  # whatever it is, the check has failed
            raise AssertionError(
                f"{self.case.variant}: {self}: {type(error).__name__}: {error}"
            ) from error


def checks_of(name: str, settings: Mapping[str, Any] | None = None) -> list[Check]:
    """The checks of a registered variant, for each kind of examples and likelihood that it takes.

    ``settings`` of the model go on top of the registered ones, as in
    ``checks_of("gaussian-vae", {"posterior": "my-posterior"})``. Which rules there are for a model
    follows from what it can do, its space, groups, modality and so on, never from its name.

    Raises UnknownNameError for a name that is not registered, ConfigError for wrong settings.
    """
    cases = cases_of(name, settings or {})
    return [
        Check(case, rule)
        for number, case in enumerate(cases)
        for rule in RULES
        if not (rule.once and number) and rule.when(case)
    ]


def check_variant(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Run all checks of :func:`checks_of`; AssertionError, naming the check, for one that fails.

    >>> check_variant("gaussian-vae", {"likelihood": "bernoulli"})
    """
    for check in checks_of(name, settings):
        check()
