"""What commands print and write, and their progress."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import typer
import yaml

from zoo.cli.app import INTERRUPTED
from zoo.errors import ConfigError
from zoo.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from zoo.modalities import Modality
    from zoo.modalities.tables import Tables

Progress: TypeAlias = Callable[[int, int], None]


def check_suffix(path: Path, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError, before any work is done, when ``path`` does not say what to write."""
    if path.suffix not in allowed:
        raise ConfigError(f"--out {path}: the name must end in {' or '.join(allowed)}")


def write_lines(path: Path, *columns: Sequence[Tensor | list[str]]) -> None:
    """Write sentences one a line, those of several columns in turn; whole or not at all.

    A line break within a sentence becomes a space.
    """
    flat = [[str(line) for part in column for line in part] for column in columns]
    lines = [" ".join(line.splitlines()) for row in zip(*flat, strict=True) for line in row]
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def write_rows(path: Path, modality: Modality, rows: Tensor) -> None:
    """Write rows of a table under the names of its columns; whole or not at all."""
    lines = [cast("Tables", modality).header, *modality.write(rows)]
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def say(what: str, path: Path) -> None:
    """Tell, beside the output, what was written where."""
    typer.echo(f"wrote {what} to {path}", err=True)


def joined(parts: Sequence[Tensor | list[str]]) -> Tensor:
    """Batches of images or vectors in one tensor."""
    import torch

    return torch.cat([part for part in parts if isinstance(part, torch.Tensor)])


def write_picture(path: Path, picture: Image) -> None:
    """Write a PNG file, whole or not at all."""
    from zoo.pictures.grids import png_bytes

    _write(path, png_bytes(picture))


def write_arrays(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write the arrays by name to a .npz file, or the only one to a .npy file."""
    import numpy as np

    buffer = io.BytesIO()
    values: dict[str, Any] = {name: tensor.numpy() for name, tensor in arrays.items()}
    if path.suffix == ".npy":
        (value,) = values.values()
        np.save(buffer, value)
    else:
        np.savez(buffer, **values)
    _write(path, buffer.getvalue())


def write_table(path: Path, columns: Mapping[str, Tensor]) -> None:
    """Write columns (N,) by name to a .csv file, every digit of them."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    _write(path, content)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot write it: {error.strerror}") from error


def readable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings as a reader wants them: of a tokeniser, pages long, only its size.

    Of a table's columns their names and kinds.
    """
    if (table := config.get("table")) is not None:
        from zoo.columns import TableSchema

        return {**config, "table": TableSchema.parse(table, "table").described}
    if (tokenizer := config.get("tokenizer")) is None:
        return dict(config)
    from zoo.modalities.tokenizer import Tokenizer

    return {**config, "tokenizer": f"{len(Tokenizer(tokenizer)):,} tokens"}


@contextmanager
def hint(message: str) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(message, err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """A bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def echo_mapping(values: Mapping[str, Any], as_json: bool) -> None:
    """Print values by name, as YAML or as JSON."""
    if as_json:
        echo_json(values)
    else:
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
        typer.echo(text.rstrip())


def echo_json(value: Any) -> None:
    """Print one JSON document; in ASCII where the output is not in Unicode."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not unicode))


def folded(text: str, width: int) -> str:
    """A table whose rule of dashes shows its columns, in blocks of at most ``width`` characters.

    The first column begins each block. What is no line of the table stays as it is.

    >>> print(folded("title\\na    b    c\\n--  ---  ---\\nx     1    2\\nend", 8))
    title
    a    b
    --  ---
    x     1
    <BLANKLINE>
    a    c
    --  ---
    x     2
    end
    """
    lines = text.split("\n")
    rule = next(number for number, line in enumerate(lines) if line.startswith("--"))
    ends = list(accumulate(len(dashes) + 2 for dashes in lines[rule].split("  ")))
    if ends[-1] - 2 <= width:
        return text
    head, table, tail = lines[: rule - 1], lines[rule - 1 : -1], lines[-1:]
    blocks = [
        "\n".join((line[: ends[0]] + line[start:end]).rstrip() for line in table)
        for start, end in _spans(ends, width)
    ]
    return "\n".join([*head, "\n\n".join(blocks), *tail])


def _spans(ends: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """Where the columns after the first begin and end that stand beside it in each block."""
    first, *rest = ends
    start = end = first
    for candidate in rest:
        if end > start and first + candidate - start - 2 > width:
            yield start, end
            start = end
        end = candidate
    yield start, end
