"""``zoo average``: the length of a run's average of weights, chosen when it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.app import app
from zoo.cli.options import JsonOption
from zoo.cli.output import echo_json


@app.command(epilog="Example: zoo average runs/vmf-vae-mnist-s0 --length 0.05 --length 0.1")
def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    length: Annotated[
        list[float] | None,
        typer.Option(help="A fraction of the training to try; several times. By default nine."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Its data, where they are not where they were.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Average a run's weights over the length that validates best.

    For runs trained with --ema-snapshot-epochs N. The model goes to averaged.safetensors in the
    run's folder.
    """
    from zoo.training.post_hoc import LENGTHS
    from zoo.training.post_hoc import average as averaged

    found = averaged(run, length or LENGTHS, dataset=dataset)
    if as_json:
        measured = {f"{each:g}": value for each, value in found.measured.items()}
        content = {"length": found.length, "figure": found.figure, "measured": measured}
        echo_json({**content, "run": found.own, "path": str(found.path)})
    else:
        typer.echo(f"{found}\nwritten to {found.path}")
