"""What the tests' own second processes are: interpreters just started, but for what is loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from processes import LIBRARIES, Process, forked, python

SCRIPT = """
import os, sys, warnings, zoo
print(sys.argv, os.getcwd(), __name__, sys.path[0], sorted(zoo.list_variants("mine")))
warnings.warn("seen")
"""
ENTRY = "variants: {mine: {extends: gaussian-vae, summary: My own.}}"


def look(file: str) -> None:
    tasks = Path("/proc", str(os.getppid()), "task")  # of the server
    threads = len(list(tasks.iterdir())) if tasks.exists() else 1
    missing = [name for name in LIBRARIES if name not in sys.modules]
    Path(file).write_text(f"{threads} {missing}")


def test_the_server_has_all_libraries_and_one_thread(tmp_path: Path) -> None:
    """A name that cannot be imported would be left out in silence."""
    forked(look, str(tmp_path / "seen")).join(120)
    assert (tmp_path / "seen").read_text() == "1 []"


def test_zoo_is_imported_anew() -> None:
    code = "import sys; print([m for m in sys.modules if m.partition('.')[0] in ('zoo', 'pytest')])"
    assert python("-c", code).stdout == "[]\n"


@pytest.mark.parametrize("strict", [False, True])
def test_it_has_its_arguments_folder_environment_and_warnings(strict: bool, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "mine.yaml").write_text(ENTRY)
    env = {**os.environ, "ZOO_REGISTRY": "mine.yaml"}
    done = python(tmp_path / "script.py", 3, cwd=tmp_path, env=env, warnings_are_errors=strict)
    argv = [str(tmp_path / "script.py"), "3"]
    assert done.stdout == f"{argv} {tmp_path} __main__ {tmp_path} ['mine']\n"
    assert "UserWarning: seen" in done.stderr
    assert done.returncode == int(strict)


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no')", 1, "no\n"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import atexit, sys; atexit.register(print, 'end', file=sys.stderr)", 0, "end\n"),
    ],
)
def test_it_ends_as_an_interpreter_does(code: str, exit_code: int, said: str) -> None:
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (exit_code, said)


def test_it_can_be_killed(tmp_path: Path) -> None:
    process = Process("-c", "import time; print('begun', flush=True); time.sleep(600)")
    while process.said() != "begun\n":
        assert process.is_alive()
    process.kill()
    assert process.finish().returncode == -9
