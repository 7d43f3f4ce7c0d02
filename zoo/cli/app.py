"""The application that the commands join, and what it makes of errors."""

from __future__ import annotations

import gc
import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import zoo
from zoo.errors import ZooError
from zoo.registry import use_registry

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended, by the shells' convention (128 + SIGINT)."""


class _Commands(TyperGroup):
    """Turns a user's mistake into a message and an exit code, wherever it is made."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ZooError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    help="A zoo of variational autoencoders: find, load, train, evaluate and compare them.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: brackets stay brackets, and rich need not be imported
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script ``zoo``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a legacy code page lacks is escaped: no result is worth less for its "±".
            stream.reconfigure(errors="backslashreplace")
    gc.freeze()  # what is imported stays: the garbage collector need not go over it
    app(prog_name="zoo")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zoo {zoo.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print it.", callback=_print_version, is_eager=True)
    ] = False,
    registry_file: Annotated[
        str | None, typer.Option("--registry", metavar="FILE", help="One more registry file.")
    ] = None,
) -> None:
    if registry_file is not None:
        use_registry(registry_file)
