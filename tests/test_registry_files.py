"""YAML of every kind that must not end, stall or fill the process that reads it."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.errors import ConfigError
from zoo.training.config import read_experiment
from zoo.yaml_files import (
    LARGEST_FILE,
    LONGEST_NUMBER,
    MOST_LEVELS,
    MOST_NODES,
    dump,
    parse_text,
    parse_value,
    read_mapping,
)

ROOT = Path(zoo.__file__).parents[1]
MEMORY = 300 * 2**20
SECONDS = 10
"""Of a processor; two are meant to be enough, on a machine that does nothing else."""

READ = """
import sys
from pathlib import Path
from zoo.errors import ConfigError
from zoo.yaml_files import read_mapping
try:
    read_mapping(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


def read_within_limits(path: Path) -> str:
    """The error that a process of little memory and time gives for a registry file."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=ROOT,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip("\n")


def laughs(first: str, more: str) -> str:
    """Aliases of aliases, thirty times three of them."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} {more}".replace("*", f"*a{i - 1}") for i in range(1, 30)]
    return "\n".join(lines)


TOO_DEEP = f"nested more than {MOST_LEVELS} levels deep"
TOO_MANY = f"more than {MOST_NODES:,} values"

HOSTILE = {
    "brackets": ("[" * 100_000, TOO_DEEP),
    "braces": ("{a: " * 100_000, TOO_DEEP),
    "dashes": ("- " * 100_000, TOO_DEEP),
    "keys that are keys": ("? " * 100_000, TOO_DEEP),
    "lines, each deeper": ("\n".join(" " * i + "a:" for i in range(2000)), "line 51: nested"),
    "brackets within aliases": (laughs("[x]", "[[[[*]]]]"), TOO_DEEP),
    "aliases of lists": (laughs("[x, x]", "[*, *, *]"), TOO_MANY),
    "aliases of mappings": (laughs("{x: 1}", "{p: *, q: *, r: *}"), TOO_MANY),
    "aliases that are merged": (laughs("{x: 1}", "{<<: [*, *, *]}"), TOO_MANY),
    "an alias of itself": ("variants: &v {a: *v}", "line 1: *v stands for nothing before it"),
    "many values": ("a: [" + "0," * 2**21 + "0]", TOO_MANY),
    "many keys": ("".join(map("k{}: 1\n".format, range(2**18))), TOO_MANY),
    "many documents": ("---\n" * 2**20, TOO_MANY),
    "many directives": (
        "".join(map("%TAG !a{}! x\n".format, range(2**18))),
        "line 1: a line that starts with %",
    ),
    "many digits": ("9" * 2**22, "a number of 4,194,304 characters"),
    "a large file": ("# \n" * (LARGEST_FILE // 3 + 1), f"more than {LARGEST_FILE:,} bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_an_error_in_bounded_time_and_memory(case: str, tmp_path: Path) -> None:
    text, said = HOSTILE[case]
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    message = read_within_limits(path)
    assert message.startswith(f"{path}: ")
    assert said in message


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "link to nothing"])
def test_what_is_no_regular_file_is_an_error_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nothing")
    said = read_within_limits(path)
    assert said.startswith(f"{path}: cannot read the registry: ")


READABLE: dict[str, Any] = {
    "1e-3": 0.001,
    "-.5E+1": -5.0,
    "1_000": 1000,
    "0x10": 16,
    "yes": True,
    "~": None,
    "2000-01-31": "2000-01-31",
    "2000-99-99": "2000-99-99",
    "2000-01-31T25:61:00Z": "2000-01-31T25:61:00Z",
    "1:30": "1:30",
    "1:30.5": "1:30.5",
    "[1, {a: 2.5}]": [1, {"a": 2.5}],
    "{a: &a {x: 1}, b: {<<: *a, y: 2}}": {"a": {"x": 1}, "b": {"x": 1, "y": 2}},
    "{a: &a [x], b: [*a, *a]}": {"a": ["x"], "b": [["x"], ["x"]]},
    "'%'": "%",
}


@pytest.mark.parametrize("text", READABLE)
def test_a_value_is_read_as_people_mean_it(text: str) -> None:
    for value in (parse_value(text), parse_text(f"key: {text}\n", "here")["key"]):
        assert value == READABLE[text]
        assert type(value) is type(READABLE[text])


MALFORMED = {
    "0x_": "'0x_' is no number",
    "-0b_": "'-0b_' is no number",
    "9" * 5000: "a number of 5,000 characters",
    "1." + "0" * LONGEST_NUMBER: "a number of 402 characters",
    "!!int x": "the tag tag:yaml.org,2002:int is not read here",
    '!!int ""': "the tag",
    "!!bool maybe": "the tag",
    "!!timestamp x": "the tag",
    "!!binary ä": "the tag",
    "!!set {a}": "the tag",
    "!!python/object/apply:os.system [true]": "the tag",
    "! x": "the tag",
    "=": "could not determine",
    "[1": "did not find expected",
    "'": "unexpected end",
    "@x": "cannot start any token",
    "*x": "*x stands for nothing before it",
    "[&a 1, &a 2]": "found duplicate anchor",
    "{<<: 1}": "expected a mapping",
    "{a: 1, a: 2}": "'a' is given twice",
    "{[a]: 1}": "a key must be a word",
    "\x00": "control characters",
    "\udcff": "'\\udcff' is no character",
}


@pytest.mark.parametrize("text", MALFORMED)
def test_a_value_that_is_none_is_an_error_that_says_why(text: str) -> None:
    with pytest.raises(ConfigError) as of_a_value:
        parse_value(text)
    assert MALFORMED[text] in str(of_a_value.value)
    with pytest.raises(ConfigError) as of_a_file:
        parse_text(f"first: 1\nkey: {text}\n", "here")
    assert re.match("here: (not valid YAML: )?line [23]: ", str(of_a_file.value))


@given(st.text())
def test_any_text_is_a_value_or_a_known_error(text: str) -> None:
    try:
        parse_value(text)
    except ConfigError:
        return


@given(
    st.dictionaries(
        st.text(), st.text() | st.floats(allow_nan=False) | st.integers() | st.dates().map(str)
    )
)
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    again = parse_text(dump(value), "here")
    assert again == value
    assert [type(v) for v in again.values()] == [type(v) for v in value.values()]


@pytest.mark.parametrize(
    "text", ["1e5", "12e34", "-1E-3", ".5e1", "2000-01-31", "1:30", "yes", "0x_"]
)
def test_text_that_looks_like_a_number_is_written_as_text(text: str) -> None:
    assert parse_text(dump({"revision": text}), "here") == {"revision": text}


@pytest.mark.parametrize("text", ["[" * 100_000, "lr: 0x_", "a: &a [*a]", laughs("[x]", "[*, *]")])
def test_a_hostile_configuration_of_a_run_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^runs/x/config\.yaml: not a run's configuration: "):
        read_experiment(text, "runs/x/config.yaml")


def test_a_run_whose_configuration_is_a_pipe_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="it is not a regular file"):
        zoo.resume(tmp_path)


def test_the_packaged_registry_is_far_from_every_bound() -> None:
    path = ROOT / "registry.yaml"
    content = read_mapping(path)
    assert path.stat().st_size < LARGEST_FILE / 10
    assert parse_text(dump(content), "here") == content
