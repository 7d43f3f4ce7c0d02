"""``zoo report``: several models on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    BenchmarkOption,
    ChannelsOption,
    DatasetOption,
    DeviceOption,
    ExamplesOption,
    OwnSamplesOption,
    OwnSeedOption,
    OwnSplitOption,
    RootOption,
    SourcesArgument,
    metric_names,
)
from zoo.cli.output import progress_bar, say
from zoo.cli.settings import parse_parts


@app.command(epilog="Example: zoo report gaussian-vae-digits vmf-vae-digits --out page.html")
def report(
    sources: SourcesArgument,
    out: Annotated[Path, typer.Option(help="The page, a file .html.")],
    benchmark: BenchmarkOption = None,
    dataset: DatasetOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="One of 'zoo list metrics', with settings as '{name: knn, labels: 100}'; may be "
            "repeated; 'all' are those of the benchmark. By default elbo, rate and distortion.",
            autocompletion=metric_names,
        ),
    ] = None,
    split: OwnSplitOption = None,
    samples: OwnSamplesOption = None,
    examples: ExamplesOption = None,
    seed: OwnSeedOption = None,
    data_root: RootOption = None,
    image_channels: ChannelsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Show models of one dataset side by side on a page: figures, pictures, living decoders.

    The page is one file that needs no network. What was measured before is taken from records.
    """
    with progress_bar("measuring") as bar:
        page = zoo.report(
            sources,
            out=out,
            benchmark=benchmark,
            dataset=dataset,
            metrics="all" if metric == ["all"] else parse_parts("--metric", metric),
            split=split,
            samples=samples,
            examples=examples,
            seed=seed,
            data_root=data_root,
            image_channels=image_channels,
            device=device,
            progress=None if bar is None else lambda model, done, total: bar(done, total),
        )
    say("the page", page)
