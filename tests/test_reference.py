"""The reference says what the registry and the docstrings say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("_reference")


def test_it_says_what_the_registry_and_the_docstrings_say(script: Any) -> None:
    page = script.page()
    assert "Von Mises-Fisher of one concentration: its KL is a constant (arXiv:1808.10805)." in page
    assert "Settings: `concentration` 32.0." in page
    assert "hidden: [400]" in page
    assert "[`vmf-vae-mnist`](../checkpoints/vmf-vae-mnist.md)" in page
    assert ">>>" not in page and ":class:" not in page


def test_prose_is_a_docstring_without_its_examples(script: Any) -> None:
    class Some:
        """See :class:`~zoo.this` and ``x``.

        >>> 1 + 1
        2

        More.
        """

    assert script.prose(Some) == "See zoo.this and x.\n\nMore."
