"""The checks of a task: what must hold of it, on every variant that it is done with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.registry import registry
from zoo.tasks import Task
from zoo.testing.cases import Case, cases_of
from zoo.testing.expect import expect

HELPFUL = ("use ", "choose ", "train ", "say ", " must be ")
"""One of which a refusal holds: it says what to do."""
EXAMPLES = 4
"""On which a task is tried out."""


@dataclass(frozen=True)
class TaskCheck:
    """A task on one case of a variant: call it, and it raises AssertionError unless all holds.

    It says whether the task can be done with it.
    """

    task: Selected[Task]
    case: Case

    def __str__(self) -> str:
        return f"{self.task.name}-{self.case.variant}-{self.case}"

    def __call__(self) -> bool:
        try:
            return try_out(self.task.build(), self.case.known, self.case.batch(EXAMPLES))
        except Exception as error:  # whatever it is, the check has failed
            raise AssertionError(f"{self}: {type(error).__name__}: {error}") from error


def try_out(task: Task, model: LatentVariableModel, batch: Batch) -> bool:
    """Whether a task can be done with a model; then its own contract holds, AssertionError if not.

    Where it cannot, the refusal says with what it can.
    """
    try:
        task.check_model(model)
    except UnsupportedError as error:
        helps = any(word in str(error) for word in HELPFUL)
        expect(helps, f"the refusal {str(error)!r} should say what to use instead")
        return False
    with torch.no_grad():
        task.try_out(model, batch)
    return True


def task_checks_of(name: str, settings: Mapping[str, Any] | None = None) -> list[TaskCheck]:
    """The checks of a registered task, with every registered variant, in all its small cases.

    ``settings`` of the task go on top of the registered ones. Raises UnknownNameError for a name
    that is not registered, ConfigError for wrong settings.
    """
    task = Selected.parse("tasks", {"name": name, **(settings or {})})
    variants = registry().names("variants")
    return [TaskCheck(task, case) for variant in variants for case in cases_of(variant, {})]


def check_task(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Run all checks of :func:`task_checks_of`; AssertionError, naming it, for one that fails.

    A task that can be done with no variant at all fails too.
    """
    done = [check() for check in task_checks_of(name, settings)]
    expect(any(done), f"{name} can be done with no variant, by {len(done)} refusals")
