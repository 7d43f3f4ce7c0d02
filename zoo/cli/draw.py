"""``zoo draw``: pictures of what codes mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    ChannelsOption,
    DatasetOption,
    DecodingOption,
    DeviceOption,
    PixelsOption,
    RootOption,
    SeedOption,
    SourceArgument,
    SplitOption,
)
from zoo.cli.output import check_suffix, say, write_arrays, write_lines, write_picture
from zoo.cli.settings import parse_decoding
from zoo.cli.sources import numbers_in
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from zoo.pictures.code_map import CodeMap
    from zoo.pictures.sheet import Sheet

NONE = "none"


@app.command(epilog="Example: zoo draw traverse gaussian-vae-mnist --out traverse.png")
def draw(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="manifold, traverse, interpolate, latent-map, groups, classes or temperatures.",
        ),
    ],
    source: SourceArgument,
    out: Annotated[
        Path,
        typer.Option(help="A .png picture; a .npy or .npz array; of sentences a .txt file."),
    ],
    n: Annotated[
        int | None,
        typer.Option("--n", help="Codes a side, dimensions, pairs, examples or samples in a row."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Codes in a row of traverse and interpolate.")
    ] = None,
    principal: Annotated[
        bool, typer.Option("--principal", help="manifold: of the codes' first principal axes.")
    ] = False,
    around: Annotated[
        str | None, typer.Option(metavar="example|prior", help="traverse: what is moved.")
    ] = None,
    example: Annotated[
        int | None, typer.Option(help="traverse: which example is moved, from 0.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUPS",
            help="groups: those kept in a block of draws, 0,1 or none. Repeatable.",
        ),
    ] = None,
    draws: Annotated[int | None, typer.Option(help="groups: draws in a block.")] = None,
    temperature: Annotated[
        list[float] | None, typer.Option(help="temperatures: of a row. Repeatable.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="What codes are told, where a model is: 3, or 0.5,1.5.")
    ] = None,
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    decoding: DecodingOption = None,
    pixels: PixelsOption = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_channels: ChannelsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Show what the codes of a model mean: a manifold, a map, ways between examples, ..."""
    check_suffix(out, (".png", ".npy", ".npz", ".txt"))
    options: dict[str, Any] = {
        "n": n,
        "steps": steps,
        "principal": principal or None,
        "around": around,
        "example": example,
        "keep": keep and [_groups(text) for text in keep],
        "draws": draws,
        "temperatures": temperature or None,
        "condition": None if condition is None else _told(condition),
    }
    drawn = zoo.draw(
        kind,
        source,
        dataset=dataset,
        split=split,
        decoding=None if decoding is None else parse_decoding(decoding),
        pixels=pixels,
        seed=seed,
        data_root=data_root,
        image_channels=image_channels,
        device=device,
        **{name: value for name, value in options.items() if value is not None},
    )
    _write(out, drawn)
    say(kind, out)


def _told(text: str) -> int | float | list[int | float]:
    numbers = numbers_in(text)
    return numbers[0] if len(numbers) == 1 and isinstance(numbers[0], int) else numbers


def _groups(text: str) -> list[int]:
    """The groups of ``--keep``."""
    if text == NONE:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--keep {text}: write groups as in 0,1, or {NONE}") from None


def _write(path: Path, drawn: Sheet | CodeMap) -> None:
    if path.suffix == ".png":
        write_picture(path, drawn.picture)
    elif path.suffix == ".txt":
        write_lines(path, [drawn.lines])
    else:
        write_arrays(path, {"examples": drawn.array})
