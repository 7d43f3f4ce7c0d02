"""Every registered task on every registered variant, and on what is released of digits."""

from __future__ import annotations

from typing import Any

import pytest

import zoo
import zoo.testing
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.condition import needed_condition
from zoo.core.model import LatentVariableModel
from zoo.errors import UnknownNameError, UnsupportedError
from zoo.registry import packaged_root, read_registry
from zoo.settings import Settings
from zoo.tasks import Task
from zoo.testing.cases import Case, cases_of, first_case
from zoo.testing.tasks import EXAMPLES, try_out

PACKAGED = read_registry([packaged_root() / "registry.yaml"])
RELEASED = [name for name, spec in PACKAGED.checkpoints.items() if spec.dataset == "digits"]


def cases() -> list[Case]:
    """Of each class of models one variant in all its cases, of others one for each modality."""
    first: dict[type, str] = {}
    kept: dict[tuple[str, str], Case] = {}
    for case in (case for name in PACKAGED.variants for case in cases_of(name, {})):
        name = case.variant.name
        whole = first.setdefault(case.variant.model, name) == name
        kept.setdefault((name, str(case) if whole else case.known.modality.name), case)
    return list(kept.values())


CASES = cases()
CHECKS = [
    zoo.testing.TaskCheck(Selected.parse("tasks", task), case)
    for task in PACKAGED.tasks
    for case in CASES
]


def test_a_task_is_checked_on_all_cases_of_all_variants() -> None:
    checks = zoo.testing.task_checks_of("label")
    assert {check.case.variant.name for check in checks} >= {case.variant.name for case in CASES}
    assert len(checks) > len(CASES)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_on_small_variants(check: zoo.testing.TaskCheck) -> None:
    check()


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("task", PACKAGED.tasks)
def test_on_released_digits(task: str, name: str) -> None:
    model = zoo.load(name)
    test = zoo.load_dataset("digits").test
    if (told := needed_condition(model)) is not None:
        test = test.conditioned(told.on)
    batch = next(iter(test.fixed(model.input_kind, 0).batches(EXAMPLES, "real")))
    try_out(Selected.parse("tasks", task).build(), model, batch)


class Refusing(Task):
    """Can be done with no model, and says so in ``words``."""

    def __init__(self, config: Settings, words: str) -> None:
        super().__init__(config)
        self.words = words

    def check_model(self, model: LatentVariableModel) -> None:
        raise UnsupportedError(self.words)

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        raise AssertionError("tried out though it was refused")


class Failing(Refusing):
    """Can be done, and what must hold does not."""

    def check_model(self, model: LatentVariableModel) -> None:
        return None


class TestTheChecks:
    """A check that cannot fail is none."""

    def test_what_does_not_hold_fails(self) -> None:
        case = first_case("gaussian-vae")
        with pytest.raises(AssertionError, match="though it was refused"):
            try_out(Failing(Settings(), ""), case.known, case.batch(2))

    def test_a_refusal_says_what_to_use(self) -> None:
        case = first_case("gaussian-vae")
        assert not try_out(Refusing(Settings(), "no; use another"), case.known, case.batch(2))
        with pytest.raises(AssertionError, match="should say what to use"):
            try_out(Refusing(Settings(), "no"), case.known, case.batch(2))

    def test_a_task_for_no_variant_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(section: str, given: Any) -> Any:
            return Selected("refusing", Refusing, Settings())

        monkeypatch.setattr(Selected, "parse", refused)
        monkeypatch.setattr(Selected, "build", lambda self: Refusing(Settings(), "use another"))
        monkeypatch.setattr("zoo.testing.tasks.registry", lambda: PACKAGED)
        monkeypatch.setattr("zoo.testing.tasks.cases_of", lambda name, settings: [])
        with pytest.raises(AssertionError, match="can be done with no variant"):
            zoo.testing.check_task("refusing")

    def test_a_name_that_is_not_there(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown task 'imputes'"):
            zoo.testing.check_task("imputes")
