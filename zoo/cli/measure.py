"""``zoo evaluate``, ``zoo verify``: figures of one model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    ChannelsOption,
    DatasetOption,
    DeviceOption,
    ExamplesOption,
    JsonOption,
    RootOption,
    SeedOption,
    SizeOption,
    SourceArgument,
    SplitOption,
    UnknownOption,
    source_names,
)
from zoo.cli.output import echo_json, progress_bar
from zoo.errors import ConfigError, ZooError


@app.command(epilog="Example: zoo evaluate gaussian-vae-digits --samples 100")
def evaluate(
    source: SourceArgument,
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of the NLL.")] = 1000,
    examples: ExamplesOption = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_size: SizeOption = None,
    image_channels: ChannelsOption = None,
    unknown_is_missing: UnknownOption = False,
    device: DeviceOption = "cpu",
    compile: Annotated[
        bool,
        typer.Option(help="Weigh the samples by code made for the model: faster, where many are."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a model: likelihoods in nats per example, with standard errors."""
    with progress_bar(source) as progress:
        result = zoo.evaluate(
            source,
            dataset=dataset,
            split=split,
            samples=samples,
            examples=examples,
            seed=seed,
            data_root=data_root,
            image_size=image_size,
            image_channels=image_channels,
            unknown_is_missing=unknown_is_missing,
            device=device,
            compile=compile,
            progress=progress,
        )
    if as_json:
        echo_json(result.model_dump(mode="json"))
    else:
        typer.echo(result)


@app.command(epilog="Example: zoo verify --all")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", autocompletion=source_names)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every released checkpoint.")] = False,
    data_root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute released figures; exit with 1 when one is outside its error.

    What cannot be recomputed here is an error, reported while the others go on; exit with 2 then.
    """
    if bool(names) == everything:
        raise ConfigError("name the checkpoints to verify, or use --all")
    results = [_verify(name, data_root, as_json) for name in names or zoo.list_checkpoints()]
    if as_json:
        echo_json(results)
    if not all(result["passed"] for result in results):
        raise typer.Exit(2 if any("error" in result for result in results) else 1)


def _verify(name: str, data_root: str | None, as_json: bool) -> dict[str, Any]:
    """The result of one checkpoint, or its error, as JSON; printed unless that is wanted."""
    try:
        with progress_bar(name) as progress:
            result = zoo.verify(name, data_root=data_root, progress=progress)
    except ZooError as error:
        typer.echo(f"error: {name}: {error}", err=True)
        return {"passed": False, "name": name, "error": str(error)}
    if not as_json:
        typer.echo(result)
    return {"passed": result.passed, **result.model_dump(mode="json")}
