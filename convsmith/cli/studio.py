"""``convsmith studio``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from convsmith.cli.app import UsageError, make_command, print_text, tell

_NEEDED = ("starlette", "uvicorn")


def _command(
    designs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN or design...]", help="Run folders, design files, zoo:NAME. [default: zoo:resnet18]"
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen on this machine; the next free one if it is in use.")
    ] = 8910,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address and open no browser.")] = False,
) -> None:
    """Open a local page: designs and their cost, the convolution lab, fields, scaling, runs, your picture."""
    try:
        from convsmith.studio.serve import serve  # noqa: PLC0415  # an extra, which only this command needs
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        rule = f"the studio needs {' and '.join(_NEEDED)}"
        raise UsageError(rule, where="studio", remedy='install them with pip install "convsmith[studio]"') from error
    serve(designs or [], port=port, open_browser=not no_open, tell=tell, show=_print_now)


def _print_now(line: str) -> None:
    """The address, at once, also where standard output is a pipe that somebody waits at."""
    print_text(line)
    sys.stdout.flush()


command = make_command(_command, "studio")
