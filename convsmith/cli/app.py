"""What all commands share: turning a typer function into a command, options with units, and what is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import typer

from convsmith.errors import ConvsmithError, QuantityError
from convsmith.quantities import parse_bytes, parse_count, parse_minutes, parse_seconds, parse_shape

_T = TypeVar("_T")
_CLICK_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


class UsageError(ConvsmithError):
    """Options that do not fit a command."""


def reader(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """A parser whose complaint names the option, which only typer knows."""

    def read(text: str) -> _T:
        try:
            return parse(text)
        except QuantityError as error:
            raise typer.BadParameter(str(error)) from error

    return read


Count = partial(typer.Option, parser=reader(parse_count), metavar="COUNT")
Bytes = partial(typer.Option, parser=reader(parse_bytes), metavar="BYTES")
Shape = partial(typer.Option, parser=reader(partial(parse_shape, rank=3)), metavar="CxHxW")
Seconds = partial(typer.Option, parser=reader(parse_seconds), metavar="TIME")
Minutes = partial(typer.Option, parser=reader(parse_minutes), metavar="MINUTES")
Images = partial(
    typer.Argument,
    help="A folder of class folders, a CSV manifest, tar archives with labels in them, or a named set: digits.",
)
RecipeFile = partial(typer.Option, help="A TOML file with what is to differ from the default recipe: docs/recipe.md.")
Json = partial(typer.Option, "--json", help="Print the result as JSON on standard output, and nothing else there.")


def make_command(function: Callable[..., None], name: str) -> Callable[[Sequence[str]], int]:
    """A function that parses arguments, calls ``function`` and returns the exit code."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name=name)(function)

    def command(arguments: Sequence[str]) -> int:
        parser: Any = typer.main.get_command(app)
        try:
            # typer's own main would turn Ctrl-C and a closed pipe into exit codes without a word.
            with parser.make_context(f"convsmith {name}", list(arguments)) as context:
                parser.invoke(context)
        except typer.Exit as leaving:
            return leaving.exit_code
        except _CLICK_ERROR as error:
            message = " ".join(getattr(error, "format_message")().split())  # noqa: B009
            remedy = f"`convsmith {name} --help` lists the options"
            raise UsageError(message.rstrip("."), where=name, remedy=remedy) from error
        return 0

    return command


def one_line(text: str) -> str:
    """Text with line breaks and other invisible characters escaped, as file names may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_text(value: dict[str, Any]) -> str:
    """A JSON document in ASCII, which every terminal and pipe can take."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def print_json(value: dict[str, Any]) -> None:
    """Write a JSON document on standard output."""
    sys.stdout.write(json_text(value))


def print_text(text: str) -> None:
    """Write text and a line end on standard output."""
    sys.stdout.write(f"{text}\n")


def tell(line: str) -> None:
    """Write a line of progress on standard error."""
    sys.stderr.write(f"{one_line(line)}\n")
    sys.stderr.flush()
