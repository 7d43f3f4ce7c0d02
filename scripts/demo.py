"""Show every released checkpoint on one page: figures, samples, reconstructions, living decoders.

    scripts/demo [FOLDER] [--metric NAME ...] [--samples K] [--examples N] [--data-root FOLDER]

Nothing is downloaded. Checkpoints whose test examples are not on this machine are shown by their
samples and recorded figures alone.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import zoo
from zoo.api.report import MAIN, compared, exhibit
from zoo.api.source import Opened, opened
from zoo.errors import DataError
from zoo.registry import CheckpointSpec
from zoo.reporting.chapter import Chapter, chapter
from zoo.reporting.page import write_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page and say where it is."""
    options = _parse(arguments)
    os.environ.setdefault("ZOO_OFFLINE", "1")
    entries, troubles = _load_all()
    chapters = [
        _chapter(dataset, of_one, troubles.get(dataset, []), options)
        for dataset, of_one in sorted(entries.items(), key=lambda item: -len(item[1]))
    ]
    page = write_page(options.folder / "index.html", chapters, title="The models of zoo")
    count = sum(map(len, entries.values()))
    print(f"\n{count} checkpoints; the page is {page.resolve()}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show every released checkpoint on one page.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo-report"))
    parser.add_argument("--metric", action="append", help=f"of a figure ({', '.join(MAIN)})")
    parser.add_argument("--samples", type=int, default=50, help="importance samples (50)")
    parser.add_argument("--examples", type=int, default=200, help="test examples of each set (200)")
    parser.add_argument("--data-root", help="where datasets lie, looked at first")
    return parser.parse_args(arguments)


def _load_all() -> tuple[dict[str, list[Opened]], dict[str, list[str]]]:
    """The models that load, and what the page has to say of the others; each by its dataset."""
    entries: dict[str, list[Opened]] = defaultdict(list)
    troubles: dict[str, list[str]] = defaultdict(list)
    for name in zoo.list_checkpoints():
        dataset = _card(name).dataset
        try:
            entry = opened(name)
            entry.model.eval()  # what is wrong with its file is said here
            entries[dataset].append(entry)
        except zoo.ZooError as error:
            troubles[dataset].append(f"{name} is not loaded: {error}")
            print(troubles[dataset][-1])
    return {dataset: found for dataset, found in entries.items() if found}, troubles


def _chapter(
    dataset: str, entries: list[Opened], troubles: list[str], options: argparse.Namespace
) -> Chapter:
    """The models of a dataset, measured where its test examples are here."""
    print(f"{dataset}: {', '.join(entry.name for entry in entries)}", flush=True)
    given = {"samples": options.samples, "examples": options.examples, "seed": None,
             "data_root": options.data_root}  # fmt: skip
    try:
        named = {entry.name: entry.name for entry in entries}
        found, scores = compared(named, entries, None, dataset, options.metric, given, troubles)
    except DataError as error:
        print(f"{dataset}: not measured here: {error}")
        shown = [exhibit(entry.name, entry, None) for entry in entries]
        return chapter(dataset, shown, notes=[*troubles, f"not measured here: {error}"])
    print(f"\n{scores}")
    return found


def _card(name: str) -> CheckpointSpec:
    spec = zoo.info(name)
    assert isinstance(spec, CheckpointSpec)  # the names of checkpoints are looked up first
    return spec


if __name__ == "__main__":
    main()
