"""YAML as settings are written in it: read within bounds, with errors that name the line.

Registry files, the ``config.yaml`` of a run and the values of ``--set`` are read here and nowhere
else. Files may come from strangers, so a text is measured before anything is built from it. Of
YAML 1.1 a few surprises are left out: a date and 1:30 are text, 1e-3 is a number, tags such as
``!!int`` and directives are refused.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import ConfigError

LARGEST_FILE = 8 * 2**20
"""Bytes: a run's configuration holds the vocabulary of its model."""
MOST_NODES = 50_000
"""Values, keys, lists and mappings, every alias counted as what it stands for."""
MOST_LEVELS = 50
LONGEST_NUMBER = 400
"""Characters: any float64 can be written out in fewer, and Python refuses 4,301 digits."""

_YAML = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if built
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """YAML whose mappings may not give a key twice (the last would silently win)."""


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Puts in quotes what :class:`_Loader` would not read as text."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(
                f"{_line(key.start_mark)}: a key must be a word, not a list or a mapping"
            )
        if key.value in seen:
            raise ConfigError(f"{_line(key.start_mark)}: {key.value!r} is given twice")
        seen.add(key.value)
    mapping: dict[Hashable, Any] = loader.construct_mapping(node, deep=True)
    return mapping


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float | str:
    if ":" in node.value:  # base 60 in YAML 1.1, a time or a ratio to everybody
        return str(node.value)
    if len(node.value) > LONGEST_NUMBER:
        raise ConfigError(f"{_line(node.start_mark)}: a number of {len(node.value):,} characters")
    build = _SafeLoader.yaml_constructors[node.tag]
    try:
        number: int | float = build(loader, node)
    except ValueError as error:  # 0x_
        raise ConfigError(f"{_line(node.start_mark)}: {node.value!r} is no number") from error
    return number


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor(f"{_YAML}int", _number)
_Loader.add_constructor(f"{_YAML}float", _number)
_Loader.add_constructor(f"{_YAML}timestamp", _SafeLoader.construct_yaml_str)
for _side in (_Loader, _Dumper):  # YAML 1.2 has it so; PyYAML wants 1.0e-3
    _side.add_implicit_resolver(f"{_YAML}float", _EXPONENT, list("-+.0123456789"))


def read_mapping(path: Path, *, from_strangers: bool = True) -> dict[str, Any]:
    """The mapping in a registry file; one not ``from_strangers`` is not measured beforehand.

    Raises ConfigError naming the file, and the line where it can, for a file that cannot be read,
    is not YAML, gives a key twice, exceeds the bounds above or holds something else.
    """
    content = parse_text(read_text(path, "the registry"), str(path), from_strangers=from_strangers)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    return content


def read_text(path: Path, what: str) -> str:
    """The text of a regular file of at most ``LARGEST_FILE`` bytes in UTF-8.

    Raises ConfigError, naming the file and ``what`` it should be, for anything else.
    """
    try:
        with open(path.expanduser(), "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: cannot read {what}: it is not a regular file")
            content = file.read(LARGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: "~name" of a user there is not; ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot read {what}: {reason}") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: cannot read {what}: it has more than {LARGEST_FILE:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a text file in UTF-8: {error}") from error


def parse_text(text: str, where: str, *, from_strangers: bool = True) -> Any:
    """The content of a file called ``where``.

    Raises ConfigError, naming it and the line.

    >>> parse_text("lr: 1e-3", "here")
    {'lr': 0.001}
    >>> parse_text("a: b: c", "here")
    Traceback (most recent call last):
    zoo.errors.ConfigError: here: not valid YAML: line 1: ...
    """
    try:
        return _parse(text, from_strangers)
    except _MalformedError as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def parse_value(text: str) -> Any:
    """A value given on the command line.

    Raises ConfigError that says what is wrong with it.

    >>> parse_value("1e-3"), parse_value("[1, null]"), parse_value("2000-01-31")
    (0.001, [1, None], '2000-01-31')
    """
    try:
        return _parse(text)
    except _MalformedError as error:
        raise ConfigError(f"the value is not YAML: {error}") from error


def dump(value: Mapping[str, Any], width: int = 100) -> str:
    """The YAML that :func:`parse_text` reads as ``value``, its keys in their order.

    >>> dump({"lr": 0.001, "revision": "1e5"})
    "lr: 0.001\\nrevision: '1e5'\\n"
    """
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)


class _MalformedError(ConfigError):
    """What is not YAML, or not the part of it that is read here."""


def _parse(text: str, from_strangers: bool = True) -> Any:
    if directive := re.search(r"^%", text, re.MULTILINE):
        line = text.count("\n", 0, directive.start()) + 1
        raise _MalformedError(f"line {line}: a line that starts with % is a directive; remove it")
    try:
        if from_strangers:
            _check_bounds(text)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        problem = ": ".join(part for part in (error.context, error.problem) if part)
        raise _MalformedError(f"{_line(error.problem_mark)}: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise _MalformedError(f"line {line}: {error.reason}") from error
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _MalformedError(f"line {line}: {text[error.start]!r} is no character") from error


@dataclass
class _Open:
    """A list or mapping whose end is still to come."""

    anchor: str | None
    nodes_before: int
    levels: int = 0
    """Of the deepest list or mapping in it so far."""


class _Size:
    """Counts, event by event, what a text would build with every alias written out.

    Reading events takes neither stack nor, beside one event at a time, memory.
    """

    def __init__(self) -> None:
        self.nodes = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[int, int]] = {}  # nodes and levels of what each stands for

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append(_Open(event.anchor, self.nodes))
            self.nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            part = self.open.pop()
            self._finish(part.anchor, self.nodes - part.nodes_before, part.levels + 1)
        elif isinstance(event, yaml.AliasEvent):
            nodes, levels = self._stands_for(event)
            self.nodes += nodes
            self._finish(None, nodes, levels)
        elif isinstance(event, yaml.ScalarEvent):
            self.nodes += 1
            self._finish(event.anchor, 1, 0)

    def _stands_for(self, alias: yaml.AliasEvent) -> tuple[int, int]:
        if alias.anchor not in self.anchors:
            problem = f"*{alias.anchor} stands for nothing before it, or for what it is part of"
            raise _MalformedError(f"{_line(alias.start_mark)}: {problem}")
        return self.anchors[alias.anchor]

    def _finish(self, anchor: str | None, nodes: int, levels: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = nodes, levels
        if self.open:
            self.open[-1].levels = max(self.open[-1].levels, levels)

    @property
    def levels(self) -> int:
        """How deep the innermost open list or mapping and what is in it reach."""
        return len(self.open) + (self.open[-1].levels if self.open else 0)


def _check_bounds(text: str) -> None:
    size = _Size()
    for event in yaml.parse(text, _Loader):
        line = _line(event.start_mark)
        if tag := getattr(event, "tag", None):
            raise _MalformedError(f"{line}: the tag {tag} is not read here; remove it")
        size.add(event)
        if size.nodes > MOST_NODES:
            raise ConfigError(f"{line}: more than {MOST_NODES:,} values, aliases counted in full")
        if size.levels > MOST_LEVELS:
            raise ConfigError(f"{line}: nested more than {MOST_LEVELS} levels deep")


def _line(mark: Any) -> str:  # PyYAML's own or libyaml's, which have no common base
    return f"line {mark.line + 1}"


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to must not make the opening wait."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
