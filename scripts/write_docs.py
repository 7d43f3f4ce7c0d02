"""Write what pages say of the registry, of papers and of records: cards, tables, charts, reference.

    python scripts/write_docs.py

A figure of these stands once, where it was recorded. tests/test_docs_are_written.py holds that the
pages are as this script writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import _cards as cards
import _charts as charts
import _curves as curves
import _reference as reference
import _tables as tables

from zoo.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Write what has changed, and say it."""
    for path, text in pages():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text.encode())
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


def pages() -> Iterator[tuple[Path, str]]:
    """Each file and its text."""
    yield reference.PAGE, reference.page()
    for path in sorted((ROOT / "docs").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if tables.MARKED.search(page):
            yield path, tables.filled_in(page)
    for name, groups in charts.charts().items():
        yield charts.PICTURES / f"{name}.svg", charts.chart(groups)
    yield charts.PICTURES / "rate-distortion.svg", curves.chart(curves.curves())
    for name, spec in tables.packaged().checkpoints.items():
        path = ROOT / "checkpoints" / spec.file
        card = path.with_suffix(".md")
        shown = cards.shown_by(card.read_text(encoding="utf-8"))
        yield card, cards.card_of(name, spec, path, shown)


if __name__ == "__main__":
    raise SystemExit(main())
