"""The contract of variants, as checks that whoever writes a component can run.

A component of your own is tested by being used: register it, then

>>> import zoo.testing
>>> checks = zoo.testing.checks_of("gaussian-vae", {"latent_dim": 2})
>>> print(checks[0])
images-bernoulli-shapes_and_types
>>> checks[0]()

With pytest, ``@pytest.mark.parametrize("check", zoo.testing.checks_of("mine"), ids=str)`` makes a
test of each. Nothing here needs pytest. ``zoo.testing.check_task("mine")`` tries a task of your own
out on every variant.
"""

from zoo.testing.checks import Check, check_variant, checks_of
from zoo.testing.metrics import check_metric
from zoo.testing.tasks import TaskCheck, check_task, task_checks_of

__all__ = [
    "Check",
    "TaskCheck",
    "check_metric",
    "check_task",
    "check_variant",
    "checks_of",
    "task_checks_of",
]
