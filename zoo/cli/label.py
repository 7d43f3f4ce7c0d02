"""``zoo label``: classes from few labels."""

from __future__ import annotations

from typing import Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    ChannelsOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    RootOption,
    SeedOption,
    SourceArgument,
)
from zoo.cli.output import echo_json


@app.command(epilog="Example: zoo label gaussian-vae-digits --labels 50 --labels 100")
def label(
    source: SourceArgument,
    labels: Annotated[
        list[int] | None,
        typer.Option(help="Known training labels, 100 unless said; repeatable.", min=1),
    ] = None,
    draws: Annotated[int, typer.Option(min=2, help="How often they are drawn anew.")] = 20,
    neighbours: Annotated[int, typer.Option(min=1, help="That vote on a class.")] = 5,
    dataset: DatasetOption = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_channels: ChannelsOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Classify a test split by the codes of a few labelled training examples."""
    found = zoo.label(
        source,
        labels=labels or 100,
        draws=draws,
        neighbours=neighbours,
        dataset=dataset,
        seed=seed,
        data_root=data_root,
        image_channels=image_channels,
        device=device,
    )
    if as_json:
        accuracies = {
            str(count): {name: each._asdict() for name, each in of.items()}
            for count, of in found.accuracies.items()
        }
        echo_json({"examples": found.examples, "draws": found.draws, "accuracies": accuracies})
    else:
        typer.echo(found)
