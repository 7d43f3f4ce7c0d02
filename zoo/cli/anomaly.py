"""``zoo anomaly``: what does not belong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    ChannelsOption,
    DeviceOption,
    RootOption,
    SeedOption,
    SizeOption,
    SourceArgument,
    SplitOption,
    dataset_names,
    score_names,
)
from zoo.cli.output import check_suffix, progress_bar, write_arrays, write_table
from zoo.cli.settings import parse_part

ALPHA = 0.05
"""What is said of the result: how many p-values are at most this."""


@app.command(epilog="Example: zoo anomaly gaussian-vae-digits mine.npy --out scores.csv")
def anomaly(
    source: SourceArgument,
    examples: Annotated[
        str,
        typer.Argument(
            metavar="EXAMPLES",
            help="A .npy or .npz file, a folder of images, or a dataset's name.",
            autocompletion=dataset_names,
        ),
    ],
    out: Annotated[Path, typer.Option(help="A .csv or .npz file: scores and p-values.")],
    score: Annotated[
        str,
        typer.Option(
            help="One of 'zoo list scores', or with settings {name: likelihood, samples: 100}.",
            autocompletion=score_names,
        ),
    ] = "likelihood",
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Normal examples, by name or path; by default the validation split of what it "
            "was trained on.",
            autocompletion=dataset_names,
        ),
    ] = None,
    calibration_examples: Annotated[
        int, typer.Option(min=1, help="At most so many of these, at even distances.")
    ] = 1000,
    split: SplitOption = "test",
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_size: SizeOption = None,
    image_channels: ChannelsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score examples, the higher the more anomalous, with p-values that hold for normal ones."""
    check_suffix(out, (".csv", ".npz"))
    with progress_bar(source) as progress:
        found = zoo.anomaly(
            source,
            examples,
            score=parse_part("--score", score),
            calibration=calibration,
            calibration_examples=calibration_examples,
            split=split,
            seed=seed,
            data_root=data_root,
            image_size=image_size,
            image_channels=image_channels,
            device=device,
            progress=progress,
        )
    columns = {"score": found.scores, "p_value": found.p_values}
    (write_table if out.suffix == ".csv" else write_arrays)(out, columns)
    flagged = int(found.flagged(ALPHA).sum())
    typer.echo(f"wrote {len(found)} scores to {out}; {flagged} have p <= {ALPHA}", err=True)
