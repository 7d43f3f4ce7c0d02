"""``zoo list``, ``zoo info``, ``zoo load``: what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

import zoo
from zoo.api.catalogue import KINDS, kinds_of
from zoo.cli.app import app
from zoo.cli.options import JsonOption, SourceArgument, dataset_names, kind_names, variant_names
from zoo.cli.output import echo_json, echo_mapping, readable
from zoo.cli.sources import open_source
from zoo.errors import ConfigError
from zoo.registry import entries


@app.command("list", epilog="Example: zoo list checkpoints --dataset mnist")
def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="variants, posteriors, datasets, ...; all when left out.",
            autocompletion=kind_names,
        ),
    ] = None,
    pattern: Annotated[str, typer.Argument(help="A shell pattern for the names.")] = "*",
    dataset: Annotated[
        str | None,
        typer.Option(help="Checkpoints trained on it alone.", autocompletion=dataset_names),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Checkpoints of it alone.", autocompletion=variant_names)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what the zoo knows by name; of checkpoints also the NLL in nats and the size."""
    chosen = {"dataset": dataset, "variant": variant}
    if (dataset or variant) and kind not in (None, "checkpoints"):
        raise ConfigError(f"--dataset and --variant choose checkpoints, not {kind}; leave them out")
    kinds: Sequence[str] = ("checkpoints",) if dataset or variant else (kind,) if kind else KINDS
    found = {each: _entries(each, pattern, chosen) for each in kinds}
    if as_json:
        echo_json(
            {each: {n: e["summary"] for n, e in named.items()} for each, named in found.items()}
        )
        return
    for each, named in found.items():
        typer.echo(f"{each}:" if named else f"{each}: none")
        for line in _lines(named):
            typer.echo(line)


def _entries(kind: str, pattern: str, chosen: Mapping[str, str | None]) -> dict[str, Any]:
    if kind == "checkpoints":
        names = zoo.list_checkpoints(pattern, **chosen)
    else:
        names = zoo.list_names(kind, pattern)
    known = entries()[kind]
    return {name: known[name] for name in names}


def _lines(named: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names, figures and summaries in columns."""
    rows = [(name, *_figures(entry), entry["summary"]) for name, entry in named.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()
        for row in rows
    ]


def _figures(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The NLL and the size of what is released."""
    if "bytes" not in entry:
        return ()
    nll = entry["metrics"].get("nll")
    figure = "-" if nll is None else f"{nll['value']:.2f}"
    return f"{figure:>7}", f"{entry['bytes'] / 1e6:5.1f} MB"


@app.command(epilog="Example: zoo info gaussian-vae")
def info(
    name: Annotated[str, typer.Argument(help="Of a variant, posterior, dataset, checkpoint, ...")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="Which is meant, where several share the name.", autocompletion=kind_names
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is registered under a name."""
    echo_mapping(zoo.info(name, kind).model_dump(mode="json", exclude_none=True), as_json)
    shown, *others = kinds_of(name)
    if kind is None and others:
        choices = " or ".join(f"--kind {other}" for other in others)
        typer.echo(f"this is of the {shown}; the name is also found with {choices}", err=True)


@app.command(epilog="Example: zoo load gaussian-vae-digits")
def load(source: SourceArgument, as_json: JsonOption = False) -> None:
    """Fetch and check a checkpoint, and show what it is and where it lies."""
    entry = open_source(source)
    assert entry.metadata is not None  # it is a file's
    parameters = sum(parameter.numel() for parameter in entry.model.parameters())
    metadata = entry.metadata.model_dump(mode="json")
    if not as_json:
        metadata["config"] = readable(metadata["config"])
        metadata["variant"] = entry.described
    echo_mapping({"path": str(entry.path), "parameters": parameters, **metadata}, as_json)
