"""What few labels are worth on the codes of the released models of MNIST, in one table.

    python scripts/measure_labels.py --data-root DIR

Nearest neighbours and a linear probe, fitted to the codes of 100, 600 and 1,000 labelled training
images, over 20 draws of the labels that are the same for all models (see zoo.label). A model that
is recorded is not measured again while its file is the same one. With --table what is recorded is
printed as docs/label.md shows it, beside the figures of Davidson et al. 2018 (arXiv:1804.00891),
table 2.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _records import environment, positive, read_json, write_json

import zoo
from zoo.files import sha256
from zoo.storage.hub import locate
from zoo.studies import find_paper

LABELS = (100, 600, 1000)
OUTPUT = Path(__file__).with_name("results") / "labels.json"
CLASSIFIERS = ("neighbours", "linear probe")


def main(arguments: list[str] | None = None) -> int:
    """Measure the models that are missing, then print the table."""
    options = parse_arguments(arguments)
    for name in options.models if not options.table else ():
        wanted = {
            "sha256": sha256(locate(name)),
            "labels": list(options.labels),
            "draws": options.draws,
            "neighbours": options.neighbours,
            "seed": options.seed,
        }
        found = read_json(options.output).get(name, {})
        if any(found.get(key) != value for key, value in wanted.items()):
            record = wanted | measured(name, options)
            write_json(options.output, {**read_json(options.output), name: record})
    print(table(read_json(options.output)))
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    released = zoo.list_checkpoints(dataset="mnist")
    parser.add_argument("--models", nargs="+", default=released, metavar="NAME")
    parser.add_argument("--labels", type=positive, nargs="+", default=LABELS)
    parser.add_argument("--draws", type=positive, default=20)
    parser.add_argument("--neighbours", type=positive, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="print what is recorded")
    return parser.parse_args(arguments)


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The accuracies of one model and how they were made."""
    started = time.monotonic()
    found = zoo.label(
        name,
        labels=options.labels,
        draws=options.draws,
        neighbours=options.neighbours,
        seed=options.seed,
        data_root=options.data_root,
    )
    print(found, flush=True)
    command = ["python", "scripts/measure_labels.py", "--models", name]
    return {
        "examples": found.examples,
        "accuracies": {
            str(count): {each: value._asdict() for each, value in of.items()}
            for count, of in found.accuracies.items()
        },
        "minutes": round((time.monotonic() - started) / 60, 1),
        "command": shlex.join(command),
        **environment(),
    }


def table(records: Mapping[str, Any]) -> str:
    """The best by neighbours at the fewest labels first; the paper's models below."""
    counts = [str(count) for count in LABELS]
    titles = [f"{each}, {count}" for each in CLASSIFIERS for count in counts]
    lines = [f"| model | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]

    def first(item: tuple[str, Any]) -> float:
        return -item[1]["accuracies"].get(counts[0], {}).get(CLASSIFIERS[0], {}).get("mean", 0)

    for name, record in sorted(records.items(), key=first):
        cells = [
            shown(record["accuracies"].get(count, {}).get(each))
            for each in CLASSIFIERS
            for count in counts
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    for point, said in find_paper("davidson2018")[0].points.items():
        values = [said.claims.get(f"{count} labels, %") for count in LABELS]
        if any(values):
            cells = [*map(str, values), *["-"] * len(counts)]
            lines.append(f"| {point} (paper) | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(value: Mapping[str, float] | None) -> str:
    """Per cent, with the deviation over draws."""
    if value is None:
        return "-"
    return f"{100 * value['mean']:.1f} ± {100 * value['deviation']:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
