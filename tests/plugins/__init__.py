"""Components as users write them: one file each, none of them known to zoo."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from zoo.registry.process import read_all, registered

FOLDER = Path(__file__).parent
MODULES = (
    "batch_norm_conv",
    "beta_tc",
    "continuous_bernoulli",
    "flow_posterior",
    "flow_prior",
    "rate",
    "sharpness",
    "vamp_prior",
)


@contextmanager
def known() -> Iterator[None]:
    """The plug-ins are registered, and forgotten afterwards: other tests count what there is."""
    before = list(registered)
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    entries.extend(each for each in registered if each not in before)
    registered[:] = [*before, *entries]
    read_all.cache_clear()
    try:
        with mock.patch.dict(os.environ, ZOO_REGISTRY=str(FOLDER / "class_conditional.yaml")):
            yield
    finally:
        registered[:] = before
        read_all.cache_clear()


entries: list[tuple[str, str, dict[str, object]]] = []
"""What the decorators have registered, which they do once."""
