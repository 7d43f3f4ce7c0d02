"""``zoo compress``, ``zoo decompress``: examples in few bytes, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import SourceArgument, source_names
from zoo.cli.output import check_suffix, write_arrays, write_bytes
from zoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from zoo.data.numpy_files import Array


@app.command(epilog="Example: zoo compress gaussian-vae-mnist images.npy images.zoo")
def compress(
    source: SourceArgument,
    examples: Annotated[Path, typer.Argument(metavar="IN.npy", help="An array of examples.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
) -> None:
    """Compress examples without loss, in as many bits as a model finds them unlikely."""
    x = _array(examples)
    data = zoo.compress(source, x)
    write_bytes(out, data)
    _say(
        f"{len(x):,} examples in {len(data):,} bytes, {8 * len(data) / x.size:.4f} bits a value",
        out,
    )


@app.command(epilog="Example: zoo decompress images.zoo images.npy")
def decompress(
    data: Annotated[Path, typer.Argument(metavar="IN", help="A file of zoo compress.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npy", help="The array to write.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="A released name, a file, or a run's folder; by default what the file names.",
            autocompletion=source_names,
        ),
    ] = None,
) -> None:
    """Give back examples that zoo compress has compressed."""
    check_suffix(out, (".npy",))
    from zoo.tasks.compress.container import read_header

    content = _content(data)
    source = model or read_header(content).name
    if source is None:
        raise ConfigError(f"{data} names no released checkpoint; give the one it is of as --model")
    x = zoo.decompress(source, content)
    write_arrays(out, {"x": x})
    _say(f"{len(x):,} examples", out)


def _array(path: Path) -> Array:
    from zoo.data.numpy_files import read_arrays

    if path.suffix != ".npy":
        raise ConfigError(f"{path}: give an array of examples, a file .npy")
    try:
        (array,) = read_arrays(path, lambda names: None).values()
    except (DataError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    return array


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}") from error


def _say(what: str, path: Path) -> None:
    typer.echo(f"wrote {what} to {path}", err=True)
