"""What every test needs: no threads beside pytest-xdist's workers, and none of the user's files."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest
import torch
import typer.main
import typer.testing
from hypothesis import settings
from processes import forked

ROOT = Path(__file__).parents[1]
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
collect_ignore = ["plugins"]
"""Importing a plug-in registers it, which is the business of the tests that use it."""


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings errors that are given by, or point at, the package, a test or a script."""
    names = [file.stem for folder in ("tests", "scripts") for file in (ROOT / folder).glob("*.py")]
    ours = "|".join([r"(zoo|benchmarks)(\..*)?", *names])
    config.addinivalue_line("filterwarnings", f"error:::({ours})$")


def pytest_collection_finish() -> None:
    """Spare the garbage collector the million objects that live as long as the tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Plugins, mirrors and caches of whoever runs the tests must not decide what they say."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_HOME", str(tmp_path_factory.mktemp("zoo-home")))
        for name in ("ZOO_REGISTRY", "ZOO_MIRRORS", "ZOO_OFFLINE"):
            patch.delenv(name, raising=False)
        forked(os.getpid).join()  # the server has the environment of whoever starts it first
        yield


@pytest.fixture
def traced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What zoo compiles is traced but made into no code: for what does not ask how code is made."""
    traced = partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", lambda function, options: traced(function))


@pytest.fixture(scope="session", autouse=True)
def guards_are_not_timed() -> Iterator[None]:
    """Whatever torch compiles, it flushes the cache to log how long its guards take: 23 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch._dynamo.guards.profile_guard_manager", lambda *_: 0.0, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def commands_built_once() -> Iterator[None]:
    """The runner would build the tree of all commands anew for each call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield
