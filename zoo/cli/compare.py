"""``zoo compare``: several models under several metrics."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    BenchmarkOption,
    ChannelsOption,
    DeviceOption,
    ExamplesOption,
    JsonOption,
    OwnSamplesOption,
    OwnSeedOption,
    OwnSplitOption,
    RootOption,
    SourcesArgument,
    dataset_names,
    metric_names,
)
from zoo.cli.output import folded, say
from zoo.cli.settings import parse_parts
from zoo.errors import ConfigError
from zoo.files import write_atomically

if TYPE_CHECKING:
    from zoo.metrics import Scores


@app.command(epilog="Example: zoo compare gaussian-vae-digits beta-vae-digits --benchmark digits")
def compare(
    sources: SourcesArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="One of 'zoo list metrics', with settings as '{name: knn, labels: 100}'; may be "
            "repeated. By default those of the benchmark.",
            autocompletion=metric_names,
        ),
    ] = None,
    benchmark: BenchmarkOption = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A name or path; by default the one that all were trained on.",
            autocompletion=dataset_names,
        ),
    ] = None,
    split: OwnSplitOption = None,
    samples: OwnSamplesOption = None,
    examples: ExamplesOption = None,
    seed: OwnSeedOption = None,
    data_root: RootOption = None,
    image_channels: ChannelsOption = None,
    average_seeds: Annotated[
        bool,
        typer.Option(
            "--average-seeds", help="Make one column of runs that differ in their seed alone."
        ),
    ] = False,
    records: Annotated[
        bool, typer.Option(help="Use what was measured before, and keep what is measured.")
    ] = True,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a line for each figure to this file.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page of 'zoo report' to this file.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure models by the metrics of a benchmark, with paired differences to the best.

    What was measured before is taken from records in the cache, and only what is missing is
    computed. The best of a row is marked by a star, and with it all that are within two standard
    errors of the difference. On a narrow terminal the tables are folded between columns.
    """
    if as_json and as_markdown:
        raise ConfigError("give either --json or --markdown: one document is printed")
    if csv is not None:
        _check_writable(csv)
    if html is not None:
        _check_page(html, sources, benchmark, dataset, average_seeds)
    scores = zoo.compare(
        sources,
        parse_parts("--metric", metric),
        benchmark=benchmark,
        dataset=dataset,
        split=split,
        samples=samples,
        examples=examples,
        seed=seed,
        data_root=data_root,
        image_channels=image_channels,
        average_seeds=average_seeds,
        records=records,
        device=device,
        progress=_told if sys.stderr.isatty() else None,
    )
    _show(scores, as_json, as_markdown)
    for line in filter(None, (as_json and scores.unrecorded, scores.effort)):
        typer.echo(line, err=True)
    if csv is not None:
        _write(csv, scores.to_csv())
    if html is not None:
        page = zoo.report(
            sources,
            out=html,
            benchmark=benchmark,
            dataset=dataset,
            split=split,
            seed=seed,
            data_root=data_root,
            image_channels=image_channels,
            device=device,
            scores=scores,
        )
        say("the page", page)


def _check_page(
    html: Path,
    sources: list[str],
    benchmark: str | None,
    dataset: str | None,
    average_seeds: bool,
) -> None:
    """Before anything is computed."""
    from zoo.api.report import check_page  # as only this needs it, and it imports torch

    if average_seeds:
        raise ConfigError(
            f"--html {html}: the page shows each run; leave out --average-seeds, or --html"
        )
    check_page(sources, html, benchmark, dataset, "--html")


def _check_writable(csv: Path) -> None:
    """Before anything is computed."""
    if not csv.parent.is_dir():
        raise ConfigError(f"--csv {csv}: there is no folder {csv.parent}")
    if csv.exists() and not csv.is_file():
        raise ConfigError(f"--csv {csv}: exists and is no regular file")


def _write(csv: Path, text: str) -> None:
    try:
        write_atomically(csv, text.encode())
    except OSError as error:
        raise ConfigError(f"--csv {csv}: cannot write it: {error.strerror}") from error
    say("the figures", csv)


def _show(scores: Scores, as_json: bool, as_markdown: bool) -> None:
    if as_json or as_markdown:
        typer.echo(scores.to_json() if as_json else scores.to_markdown())
    elif sys.stdout.isatty():
        typer.echo(_folded(str(scores), shutil.get_terminal_size().columns))
    else:
        typer.echo(scores)


def _folded(text: str, width: int) -> str:
    """Each of several tables folded by itself."""
    parts = text.split("\n\n")
    return "\n\n".join(
        folded(f"{part}\n", width).rstrip() if "\n--" in part else part for part in parts
    )


def _told(model: str, done: int, total: int) -> None:
    """A line that is written over and over."""
    typer.echo(f"\r{model}: {100 * done // max(total, 1):3d} %", nl=done == total, err=True)
