"""What all commands share: turning a typer function into a command, options with units, and JSON output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import typer

from convsmith.errors import ConvsmithError
from convsmith.quantities import parse_count, parse_seconds, parse_shape

_CLICK_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

Count = partial(typer.Option, parser=parse_count, metavar="COUNT")
Shape = partial(typer.Option, parser=partial(parse_shape, rank=3), metavar="CxHxW")
Seconds = partial(typer.Option, parser=parse_seconds, metavar="TIME")
Minutes = partial(typer.Option, parser=partial(parse_seconds, default_unit="min"), metavar="MINUTES")
Json = partial(typer.Option, "--json", help="Print the result as JSON on standard output, and nothing else there.")


class UsageError(ConvsmithError):
    """Options that do not fit a command."""


def make_command(function: Callable[..., None], name: str) -> Callable[[Sequence[str]], int]:
    """A function that parses arguments, calls ``function`` and returns the exit code."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name=name)(function)

    def command(arguments: Sequence[str]) -> int:
        try:
            code = typer.main.get_command(app).main(list(arguments), f"convsmith {name}", standalone_mode=False)
        except _CLICK_ERROR as error:
            message = getattr(error, "format_message")()  # noqa: B009
            remedy = f"`convsmith {name} --help` lists the options"
            raise UsageError(message.rstrip("."), where=name, remedy=remedy) from error
        return code if isinstance(code, int) else 0

    return command


def print_json(value: dict[str, Any]) -> None:
    """Write a JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Write text and a line end on standard output."""
    sys.stdout.write(f"{text}\n")


def tell(line: str) -> None:
    """Write a line of progress on standard error, file names with line breaks on one line."""
    shown = line.replace("\n", "\\n")
    sys.stderr.write(f"{shown}\n")
    sys.stderr.flush()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Write a table with aligned columns; the first ``left`` columns are text, the others numbers."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = (
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print_text("  ".join(cells).rstrip())
