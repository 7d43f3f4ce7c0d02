"""Train and measure models of text side by side: what their latents hold, at what cost.

    python scripts/compare_text.py tang-couplets --data-root DIR [--points "kappa 32*"]
    python scripts/compare_text.py tang-couplets --table        # trains nothing

The experiments are those of scripts/text_experiments.yaml. Every point has a directory of its own:
a call that was killed goes on where it was, and a recorded point is left as it is. Records go to
scripts/results/text-EXPERIMENT.json; several processes may add to it at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from _records import environment, read_json, training_seconds, write_json
from filelock import FileLock

import zoo
from zoo.evaluation import Evaluation
from zoo.evaluation.results import shown

EXPERIMENTS = Path(__file__).with_name("text_experiments.yaml")
RESULTS = Path(__file__).with_name("results")
COLUMNS = (
    "", "NLL", "perplexity", "KL", "groups in use", "active units", "log p(x|z)", "z from p(z)",
    "MI", "at places", "whole", "BLEU", "self-BLEU",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train and measure what is missing, then print the table."""
    experiments = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))
    options = parse_arguments(arguments, sorted(experiments))
    experiment = experiments[options.experiment]
    output = options.output or RESULTS / f"text-{options.experiment}.json"
    points = [point for point in experiment["points"] if fnmatchcase(point, options.points)]
    if not points:
        raise SystemExit(
            f"error: no point is like {options.points!r}; there are {list(experiment['points'])}"
        )
    for point in [] if options.table else points:
        add_missing(output, experiment, point, options)
    records = read_json(output)
    if not records:
        raise SystemExit(f"error: {output} holds no records; run without --table first")
    print(table(experiment, records))
    return 0


def parse_arguments(arguments: list[str] | None, names: list[str]) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=names)
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--points", default="*", metavar="PATTERN", help="only those of such names")
    parser.add_argument("--runs", type=Path, default=Path("runs/text"), metavar="DIRECTORY")
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="only print the recorded figures")
    return parser.parse_args(arguments)


def add_missing(
    output: Path, experiment: dict[str, Any], point: str, options: argparse.Namespace
) -> None:
    """Train, measure and record a point, unless a record of such a training is there."""
    settings = settings_of(experiment, point)
    recorded = read_json(output).get(point)
    if recorded is not None and recorded["settings"] == settings:
        print(f"{point}: recorded in {output}", file=sys.stderr)
        return
    print(point, file=sys.stderr, flush=True)
    record = {"settings": settings, **measure(experiment, point, settings, options)}
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_suffix(".lock")):
        write_json(output, {**read_json(output), point: record})


def settings_of(experiment: dict[str, Any], point: str) -> dict[str, Any]:
    """All that a point's figures depend on."""
    shared = {key: experiment[key] for key in ("dataset", "split", "samples")}
    own = experiment["points"][point]
    merged = {part: {**experiment[part], **own.get(part, {})} for part in ("train", "model")}
    return {**shared, "examples": experiment.get("examples"), **merged}


def measure(
    experiment: dict[str, Any], point: str, settings: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """A point's run, and its figures."""
    built = zoo.Experiment.build(
        "univae",
        settings["dataset"],
        model=settings["model"],
        train=settings["train"],
        data_root=options.data_root,
    )
    # Of other settings another run: the old one would refuse to go on.
    trained = json.dumps([settings["model"], settings["train"]], sort_keys=True).encode()
    name = f"{point.replace(', ', '-').replace(' ', '')}-{hashlib.sha256(trained).hexdigest()[:8]}"
    run = zoo.train_experiment(built, options.runs / options.experiment / name)
    found = zoo.evaluate(
        run.directory,
        dataset=settings["dataset"],
        split=settings["split"],
        samples=settings["samples"],
        examples=settings["examples"],
        data_root=options.data_root,
    )
    epochs = len(run.history)
    command = ["python", "scripts/compare_text.py", options.experiment, "--points", point]
    return {
        "evaluation": {**found.model_dump(mode="json"), "model": point},
        "epochs": epochs,
        "minutes": round(training_seconds(run) / 60, 1),
        "command": shlex.join(command),
        **environment(),
    }


def table(experiment: dict[str, Any], records: dict[str, Any]) -> str:
    """The recorded points in the experiment's order, in Markdown."""
    names = [
        point
        for point in experiment["points"]
        if point in records and records[point]["settings"] == settings_of(experiment, point)
    ]
    left = [point for point in records if point not in names]
    found = {point: Evaluation.model_validate(records[point]["evaluation"]) for point in names}
    rows = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    rows += [cells(point, evaluation) for point, evaluation in found.items()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    convention = f"*{found[names[0]].convention}*" if names else ""
    stale = [f"Left out, of other settings: {', '.join(left)}."] if left else []
    return "\n".join([f"**{experiment['title']}**", "", *lines, "", convention, *stale])


def cells(point: str, found: Evaluation) -> list[str]:
    """One row of the table."""
    text = found.text
    assert text is not None and found.nll is not None and found.kl is not None
    return [
        point,
        str(found.nll),
        f"{text.perplexity:.1f}",
        f"{found.kl.value:.2f}",
        f"{text.groups_in_use}/{len(text.group_use)}",
        "-" if found.active_units is None else f"{found.active_units}/{found.code_dim}",
        f"{found.log_likelihood.value:.2f}",
        f"{text.prior_log_likelihood.value:.2f}",
        f"{shown(text.mutual_information, '.2f')} of {text.most_mutual_information:.2f}",
        f"{100 * text.accuracy.value:.1f} %",
        f"{100 * text.exact_match.value:.1f} %",
        f"{text.bleu:.1f}",
        f"{text.self_bleu:.1f}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
