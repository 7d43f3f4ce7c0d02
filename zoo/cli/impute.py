"""``zoo impute``: a file with gaps in, a file without out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import zoo
from zoo.cli.app import app
from zoo.cli.options import ConditionOption, SeedOption, SourceArgument
from zoo.cli.output import check_suffix, write_arrays, write_lines, write_picture
from zoo.cli.sources import check_writable, open_source, told_by
from zoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.core.model import LatentVariableModel

SUFFIXES = (".npy", ".npz", ".png", ".csv", ".txt")


@app.command(
    epilog="Example: zoo impute gaussian-vae-digits gaps.npy whole.npy --mask mask.npy --draws 20"
)
def impute(
    source: SourceArgument,
    gaps: Annotated[
        Path,
        typer.Argument(
            help="A .npy, .npz, .png, .csv or .txt file; NaN, an empty field or the word _ is "
            "missing."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="A .npy, .npz, .csv or .txt file, or a .png picture of images.")
    ],
    mask: Annotated[
        Path | None,
        typer.Option(help="A file like the first: 0, or black, where a value is missing."),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="So many draws instead of the best guess.")
    ] = None,
    sweeps: Annotated[
        int, typer.Option(min=1, help="How long the chains are: more come nearer to the limit.")
    ] = 16,
    condition: ConditionOption = None,
    seed: SeedOption = 0,
) -> None:
    """Fill in what is missing of images, vectors, rows or sentences, by what is observed.

    Draws stand one after the other: all examples, then all of them again.
    """
    check_suffix(out, SUFFIXES)
    model = open_source(source).model
    check_writable(model, out)
    x, observed = _read(gaps, model)
    if mask is not None:
        observed = _read_mask(mask, x)
    told = told_by(model, condition, len(x))
    filled = zoo.impute(model, x, observed, draws=draws, condition=told, sweeps=sweeps, seed=seed)
    _write(out, model, filled)
    said = "the best guess" if draws is None else f"{draws} draws"
    typer.echo(f"wrote {said} of {len(x)} examples to {out}", err=True)


def _read(path: Path, model: LatentVariableModel) -> tuple[Tensor, Tensor | None]:
    """Examples (N, ...) and where they are observed: where they are no NaN, if nothing says so.

    Raises DataError, naming the file.
    """
    import torch

    try:
        if path.suffix == ".csv":
            return _rows(path, model), None
        if path.suffix == ".txt":
            return _sentences(path, model)
        x = _array(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if x.dtype == torch.uint8:
        x = x / 255
    return x.float() if x.ndim > 1 else x.float()[None], None


def _sentences(path: Path, model: LatentVariableModel) -> tuple[Tensor, Tensor | None]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as text: {error}") from error
    found = model.modality.read_gapped([line for line in lines if line.strip()])
    if found.observed is not None and found.observed.all():
        raise DataError("no sentence has a gap; write _ for each token that is missing")
    return found.x, found.observed


def _rows(path: Path, model: LatentVariableModel) -> Tensor:
    import torch

    from zoo.data.tables.csv_file import read_csv
    from zoo.data.tables.raw import RawTable
    from zoo.data.tables.typed import read_known

    table = getattr(model.config, "table", None)
    if table is None:
        raise DataError(f"the model reads {model.modality.name}, no tables; give a .npy file")
    raw = read_csv(path)
    own = [column for column in raw.columns if column.name != table.labels]
    return torch.from_numpy(read_known(RawTable(own), table, unknown_is_missing=False))


def _array(path: Path) -> Tensor:
    """The only array of a .npy or .npz file, or a picture (1, C, H, W)."""
    import numpy as np
    import torch

    if path.suffix == ".png":
        from zoo.data.images import decode

        return decode(_content(path), "the file")[None]
    from zoo.data.numpy_files import read_arrays

    arrays = read_arrays(path, lambda names: None)
    if len(arrays) != 1:
        raise DataError(f"holds {', '.join(arrays)}; give a file of one array")
    return torch.from_numpy(np.ascontiguousarray(*arrays.values()))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error


def _read_mask(path: Path, x: Tensor) -> Tensor:
    """Which values of x are observed."""
    try:
        mask = _array(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    try:
        return ((mask != 0) & ~x.isnan()).expand_as(x)
    except RuntimeError as error:
        raise ConfigError(
            f"--mask {path} is of shape {tuple(mask.shape)}, the examples are {tuple(x.shape)}; "
            "give one mask for all of them, or one for each"
        ) from error


def _write(path: Path, model: LatentVariableModel, filled: Tensor) -> None:
    examples = filled.flatten(0, filled.ndim - 1 - len(model.modality.shape))  # (N, ...)
    if path.suffix == ".csv":
        write_lines(path, [[model.modality.header, *model.modality.write(examples)]])  # type: ignore[attr-defined]
    elif path.suffix == ".txt":
        write_lines(path, [model.modality.write(examples)])
    elif path.suffix == ".png":
        from zoo.pictures.grids import enlargement, grid

        columns = filled.shape[1] if filled.ndim > examples.ndim else round(len(examples) ** 0.5)
        write_picture(path, grid(examples, max(1, columns), scale=enlargement(examples)))
    else:
        write_arrays(path, {model.modality.name: filled})
