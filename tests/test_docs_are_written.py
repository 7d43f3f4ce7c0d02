"""What pages say of records is what the records say: one script writes it, and has run."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        return importlib.import_module("write_docs")


def test_pages_are_as_the_script_writes_them(script: ModuleType) -> None:
    pages = dict(script.pages())
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "a record, the registry or a docstring changed: run scripts/write_docs.py"
    assert {"numbers.md", "tables.md", "reference.md", "compression.svg"} <= {p.name for p in pages}
    assert set((ROOT / "checkpoints").glob("*.md")) <= set(pages)


def test_every_table_of_a_record_is_in_a_page(script: ModuleType) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    marked = [found[1] for found in script.tables.MARKED.finditer(text)]
    assert sorted(marked) == sorted(script.tables.TABLES)


def test_a_figure_that_was_typed_is_written_over(script: ModuleType) -> None:
    page = (ROOT / "docs" / "label.md").read_text(encoding="utf-8")
    assert script.tables.filled_in(page.replace("| 89.4 ± 1.3 |", "| 99.4 ± 1.3 |")) == page
    assert page.count("| 89.4 ± 1.3 |") == 1


def test_what_a_card_shows_is_kept(script: ModuleType) -> None:
    card = (ROOT / "checkpoints" / "univae-tang.md").read_text(encoding="utf-8")
    assert "Random samples from the prior" in script.cards.shown_by(card)
    with pytest.raises(ValueError, match="no part between"):
        script.cards.shown_by("# a card")
