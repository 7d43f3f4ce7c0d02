"""What the commands share: settings given as text, models and their examples, files, progress."""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import typer
import yaml

from zoo.errors import ConfigError, did_you_mean
from zoo.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from zoo.data.split import Examples
    from zoo.model import VariationalAutoencoder
    from zoo.variants.univae.decoding import Decoding

# torch and all that needs it are imported where they are used: `zoo list` does without.

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended, by the shells' convention (128 + SIGINT)."""
BATCH = 500
"""Examples that are encoded, decoded or drawn at a time, at most."""
SECTIONS = ("train", "model", "objective")

SplitName = Literal["train", "validation", "test"]
Made = TypeVar("Made")
Progress: TypeAlias = Callable[[int, int], None]


class _Value(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as YAML 1.2 has it; PyYAML wants 1.0e-3."""


_Value.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_settings(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """``SECTION.KEY=VALUE`` -> the settings of each section; dots nest, values are YAML.

    Raises ConfigError, naming the nearest section, for what is not of that form.

    >>> parse_settings(["train.lr=1e-3", "model.backbone.hidden=[256, 128]"])
    {'train': {'lr': 0.001}, 'model': {'backbone': {'hidden': [256, 128]}}, 'objective': {}}
    """
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for text in assignments:
        place, equals, value = text.partition("=")
        section, *keys = place.strip().split(".")
        if not equals or not keys or not all(keys):
            raise ConfigError(f"--set {text}: write SECTION.KEY=VALUE, for example train.lr=1e-3")
        if section not in SECTIONS:
            raise ConfigError(
                f"--set {text}: unknown section {section!r}{did_you_mean(section, SECTIONS)} "
                "Settings are named train.KEY, model.KEY or objective.KEY."
            )
        _assign(sections[section], keys, _parse_value(value, text), text)
    return sections


def _parse_value(value: str, text: str) -> Any:
    try:
        return yaml.load(value, _Value)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2000-99-99
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"--set {text}: the value is not YAML: {reason}") from error


def _assign(settings: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    *parents, last = keys
    for key in parents:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise _whole_and_in_parts(text, key)
    if isinstance(settings.get(last), dict):
        raise _whole_and_in_parts(text, last)
    settings[last] = value


def _whole_and_in_parts(text: str, key: str) -> ConfigError:
    return ConfigError(
        f"--set {text}: {key} is set both as a whole and in parts; "
        f"choose its kind with {key}.name=KIND to set other parts of it too"
    )


def decoded_by(method: Callable[..., Made], decoding: str | None) -> Callable[..., Made]:
    """A model's method, by the decoding that is asked for, see :func:`parse_decoding`."""
    if decoding is None:
        return method
    if "decoding" not in inspect.signature(method).parameters:
        raise ConfigError(
            f"--decoding {decoding}: only models that make sentences or images token by token, as "
            "univae does, can be decoded in several ways; leave it out"
        )
    return partial(method, decoding=parse_decoding(decoding))


def parse_decoding(text: str) -> Decoding:
    """``greedy``, ``beam=WIDTH``, or ``temperature=T`` and ``top-p=P`` with a comma between.

    Raises ConfigError for anything else, UnsupportedError for numbers that will not do.

    >>> parse_decoding("temperature=0.8,top-p=0.9")
    Draw(temperature=0.8, top_p=0.9)
    """
    from zoo.variants.univae.decoding import Beam, Draw, Greedy

    if text.strip() == "greedy":
        return Greedy()
    pairs = [part.partition("=") for part in text.split(",")]
    values = {key.strip(): _parse_number(value) for key, _, value in pairs}
    once = len(values) == len(pairs)
    if once and values.keys() == {"beam"}:
        return Beam(values["beam"])
    if once and values.keys() <= {"temperature", "top-p"}:
        return Draw(values.get("temperature", 1.0), values.get("top-p", 1.0))
    raise ConfigError(
        f"--decoding {text}: write greedy, beam=WIDTH, or one or both of temperature=T and "
        "top-p=P with a comma between"
    )


def _parse_number(text: str) -> Any:
    """An int or a float where it is one; who gets it says what is wrong with anything else."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def batch_size(model: VariationalAutoencoder) -> int:
    """How many examples the model encodes, decodes or draws at a time."""
    return min(BATCH, model.rows)


def open_source(source: str) -> tuple[VariationalAutoencoder, Path]:
    """The model that ``source`` means, on the CPU, and the file it came from."""
    from zoo import hub

    path = hub.locate(source)  # before torch is imported: a wrong name is answered at once
    from zoo import checkpoint

    return checkpoint.load(path), path


def examples_for(
    model: VariationalAutoencoder,
    path: Path,
    dataset: str | None,
    split: SplitName,
    seed: int,
    data_root: str | None,
) -> Examples:
    """The examples a model is shown: its dataset's unless told, as it reads them."""
    from zoo import checkpoint
    from zoo.data import load_for_model

    metadata = checkpoint.read_metadata(path)
    trained_on = metadata.data if dataset is None else None
    dataset = dataset or metadata.dataset
    if dataset is None:
        raise ConfigError(f"{path} does not say what it was trained on; give a --dataset")
    data = load_for_model(model.config, dataset, root=data_root, trained_on=trained_on)
    examples: Examples = getattr(data, split)
    return examples.fixed(model.input_kind, seed)


def is_text(model: VariationalAutoencoder, path: Path) -> bool:
    """Whether the model makes sentences. ConfigError where ``path`` is for something else."""
    text = model.input_kind == "tokens"
    if text != (path.suffix == ".txt"):
        made = "sentences, for a .txt file" if text else "images, not for a .txt file"
        raise ConfigError(f"--out {path}: the model makes {made}")
    return text


def write_lines(path: Path, *columns: Sequence[Tensor | list[str]]) -> None:
    """Write sentences one a line, those of several columns in turn; whole or not at all.

    A line break within a sentence becomes a space.
    """
    flat = [[str(line) for part in column for line in part] for column in columns]
    lines = [" ".join(line.splitlines()) for row in zip(*flat, strict=True) for line in row]
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def joined_images(parts: Sequence[Tensor | list[str]]) -> Tensor:
    """Batches of images in one tensor."""
    import torch

    return torch.cat([part for part in parts if isinstance(part, torch.Tensor)])


def check_suffix(path: Path, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError, before any work is done, when ``path`` does not say what to write."""
    if path.suffix not in allowed:
        raise ConfigError(f"--out {path}: the name must end in {' or '.join(allowed)}")


def write_picture(path: Path, picture: Image) -> None:
    """Write a PNG file, whole or not at all."""
    from zoo.report.figures import png_bytes

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


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot write it: {error.strerror}") from error


def without_vocabulary(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings as a reader wants them: of a tokeniser, pages long, only its size."""
    if (tokenizer := config.get("tokenizer")) is None:
        return dict(config)
    from zoo.data.tokenizer import Tokenizer

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
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
