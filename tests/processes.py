"""Second processes that need not import torch: they are forked from a clean server that has it.

What is tested of a cold start, of what is imported when or of more threads is run by subprocess
instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

ROOT = Path(__file__).parents[1]
LIBRARIES = ["torch", "torch._dynamo", "torch.utils.tensorboard", "sklearn.datasets",
             "sklearn.linear_model", "sklearn.neighbors", "pydantic.main", "safetensors.torch",
             "tokenizers", "typer", "rich.progress", "requests", "PIL.ImageOps", "jinja2",
             "filelock", "yaml", "zoo.training.launch"]  # fmt: skip
"""What takes long to import. None of it starts a thread, which a fork would lose."""

STREAMS = ("stdout", "stderr")


def forked(target: Callable[..., None], *arguments: object) -> Any:
    """A ``multiprocessing.Process`` that runs a function of a test's module, begun."""
    child = _context().Process(target=target, args=arguments)
    child.start()
    return child


class Process:
    """A run of ``python *arguments``: a script, -c CODE or -m MODULE, and what is its own.

    It imports zoo anew, and finds all else where a fresh interpreter does.
    """

    def __init__(
        self,
        *arguments: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        warnings_are_errors: bool = False,
    ) -> None:
        self.args = [str(argument) for argument in arguments]
        self._folder = tempfile.TemporaryDirectory()
        environment = dict(env or os.environ)
        self._encoding = environment.get("PYTHONIOENCODING", "utf-8")
        given = (self.args, str(cwd or Path.cwd()), environment, warnings_are_errors)
        self._child = forked(_become, *given, self._folder.name, self._encoding)

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    def is_alive(self) -> bool:
        return bool(self._child.is_alive())

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._child.kill()
        self._child.join()

    def finish(self, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Wait for its end, at most so many seconds; what it printed and its exit code."""
        self._child.join(timeout)
        if self.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        said = [self.said(stream) for stream in STREAMS]
        self._folder.cleanup()
        return subprocess.CompletedProcess(self.args, self._child.exitcode, *said)

    def said(self, stream: str = "stdout") -> str:
        """What it has printed up to now."""
        file = Path(self._folder.name, stream)
        return file.read_text(self._encoding, "replace") if file.exists() else ""


def python(
    *arguments: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    warnings_are_errors: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a :class:`Process` to its end."""
    return Process(*arguments, cwd=cwd, env=env, warnings_are_errors=warnings_are_errors).finish()


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def _become(
    arguments: list[str],
    cwd: str,
    env: dict[str, str],
    warnings_are_errors: bool,
    folder: str,
    encoding: str,
) -> None:
    """Be, in the child, the interpreter that was just started with these arguments."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo"]:
        del sys.modules[name]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.stdout, sys.stderr = (
        _redirected(descriptor, Path(folder, stream), encoding)
        for descriptor, stream in enumerate(STREAMS, start=1)
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if warnings_are_errors:
        warnings.simplefilter("error")
    code = _code_of(arguments)
    threading._shutdown()  # type: ignore[attr-defined]  # as at an interpreter's end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _redirected(descriptor: int, file: Path, encoding: str) -> TextIO:
    with file.open("ab") as opened:
        os.dup2(opened.fileno(), descriptor)
    errors = "backslashreplace" if descriptor == 2 else "strict"
    return open(descriptor, "w", encoding=encoding, errors=errors, closefd=False)


def _code_of(arguments: list[str]) -> int:
    """Run it; the code that it exits with."""
    try:
        _execute(*arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _execute(first: str, *rest: str) -> None:
    if first == "-m":
        _begin("", list(rest))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        _begin("", ["-c", *rest[1:]])
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        _begin(str(Path(first).parent), [first, *rest])
        runpy.run_path(first, run_name="__main__")


def _begin(folder: str, argv: list[str]) -> None:
    """What the interpreter finds: the script's folder, PYTHONPATH, this zoo, and the libraries."""
    own = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    sys.argv[:], sys.path[:] = argv, [folder, *own, str(ROOT), *installed]
