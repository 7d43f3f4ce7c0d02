"""``zoo reproduce`` and ``zoo sweep``: models trained and measured side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import JsonOption, RootOption, paper_names

if TYPE_CHECKING:
    from zoo.studies import StudyReport

TrainOption = Annotated[
    bool, typer.Option("--train", help="Train and measure what is not there; goes on when killed.")
]
PointOption = Annotated[
    list[str] | None, typer.Option("--point", help="One of its models; may be repeated.")
]
SeedsOption = Annotated[
    list[int] | None, typer.Option("--seed", help="One of its seeds; may be repeated.")
]
DirectoryOption = Annotated[Path | None, typer.Option(help="Where its runs lie.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")]


@app.command(epilog="Example: zoo reproduce davidson2018")
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", autocompletion=paper_names)],
    train: TrainOption = False,
    point: PointOption = None,
    seed: SeedsOption = None,
    data_root: RootOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
    markdown: MarkdownOption = False,
) -> None:
    """A paper's table beside our own runs of it; 'zoo list papers' has the names."""
    report = zoo.reproduce(
        paper,
        train=train,
        points=point,
        seeds=seed,
        data_root=data_root,
        directory=directory,
    )
    _show(report, as_json, markdown)


@app.command(epilog="Example: zoo sweep betas.yaml --train")
def sweep(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A study, in YAML.")],
    train: TrainOption = False,
    point: PointOption = None,
    seed: SeedsOption = None,
    data_root: RootOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
    markdown: MarkdownOption = False,
) -> None:
    """Models of one's own trained and measured alike, in one table."""
    report = zoo.sweep(
        file,
        train=train,
        points=point,
        seeds=seed,
        data_root=data_root,
        directory=directory,
    )
    _show(report, as_json, markdown)


def _show(report: StudyReport, as_json: bool, markdown: bool) -> None:
    said = report.to_json() if as_json else report.to_markdown() if markdown else str(report)
    typer.echo(said)
