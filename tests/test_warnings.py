"""Which warnings are errors: those that point at us."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest


def warn_from(module: str, stacklevel: int = 1) -> Callable[[], None]:
    """A function of a module of that name, which warns."""
    namespace = {"__name__": module, "warnings": warnings}
    exec(f"def warn(): warnings.warn('old', DeprecationWarning, {stacklevel})", namespace)
    warn: Callable[[], None] = namespace["warn"]  # type: ignore[assignment]
    return warn


@pytest.mark.parametrize(
    "module", ["zoo", "zoo.nn.mlp", "test_cli", "benchmarks.univae", "_records"]
)
def test_our_own_are_errors(module: str) -> None:
    with pytest.raises(DeprecationWarning):
        warn_from(module)()


def test_a_librarys_are_errors_where_they_point_at_the_caller() -> None:
    with pytest.raises(DeprecationWarning):
        warn_from("library", stacklevel=2)()


@pytest.mark.parametrize("module", ["shutil", "torch._dynamo.guards", "zookeeper", "my.zoo"])
def test_a_librarys_word_to_itself_is_none(module: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warn_from(module)()
    assert [str(warning.message) for warning in caught] == ["old"]
