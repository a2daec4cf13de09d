"""The options of ``convsmith inspect``, and which of them go together."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from convsmith.cli.app import Bytes, Count, Json, Shape, UsageError, reader
from convsmith.cli.inspect_columns import COLUMNS, check_name
from convsmith.cli.inspect_which import Published, parse_published
from convsmith.interop.conventions import CONVENTIONS
from convsmith.jobs.references import READABLE


class Format(enum.StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


_SORT: Final = "Show every layer, sorted by macs, params, activations, memory, field, name or another column."
_COLUMNS: Final = f"Columns, divided by commas. In the order of csv: {', '.join(column.name for column in COLUMNS)}."
_FORMAT: Final = "csv and markdown have a row for each layer; html is a page that opens offline."
_WHICH: Final = "Say which way of counting gives this number, exact or rounded as 4.1G; exit with 1 if none does."
_UNPRODUCTIVE: Final = "Exit with 1 if more layers see more than the image already."

Model = Annotated[str, typer.Argument(help=f"{READABLE}.")]
Other = Annotated[str | None, typer.Argument(help="A second model, to show what differs.")]
Input = Annotated[tuple | None, Shape(help="Size of the image, in place of the model's own.")]
Layers = Annotated[bool, typer.Option("--layers", help="Show every layer; of two models those that differ.")]
Sort = Annotated[str | None, typer.Option(metavar="COLUMN", help=_SORT)]
Columns = Annotated[str | None, typer.Option(metavar="NAMES", help=_COLUMNS)]
Written = Annotated[Format, typer.Option(help=_FORMAT)]
AsJson = Annotated[bool, Json()]
Out = Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")]
Counted = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"Give the total as it is counted by {', '.join(CONVENTIONS)}.")
]
Which = Annotated[Published | None, typer.Option(parser=reader(parse_published), metavar="NUMBER", help=_WHICH)]
Latency = Annotated[bool, typer.Option("--latency", help="Estimate the time here, as `convsmith probe` found it.")]
Nearest = Annotated[bool, typer.Option("--nearest", help="Show the nearest input sizes that lose nothing.")]
AllowUnknown = Annotated[bool, typer.Option("--allow-unknown", help="Count unknown operations as nothing.")]
Run = Annotated[bool, typer.Option("--run", help="Compute on zeros where a torch module decides by numbers.")]
MaxMacs = Annotated[int | None, Count(help="Exit with 1 if a network costs more.")]
MaxParams = Annotated[int | None, Count(help="Exit with 1 if a network has more.")]
MaxMemory = Annotated[int | None, Bytes(help="Exit with 1 if weights and live values take more.")]
MaxUnproductive = Annotated[int | None, typer.Option(min=0, metavar="COUNT", help=_UNPRODUCTIVE)]


@dataclass(frozen=True)
class Wish:
    """How the result is to be shown.

    Raises:
        UsageError: If two options do not go together, or a name is not known.
    """

    format: Format
    two: bool
    layers: bool
    sort: str | None
    columns: str | None
    convention: str | None
    which: Published | None
    latency: bool
    nearest: bool

    def __post_init__(self) -> None:
        rows = {"--sort": self.sort, "--columns": self.columns}
        totals = {"--which": self.which, "--convention": self.convention, "--nearest": self.nearest}
        page = {"--format html": self.format is Format.HTML}
        if self.two:
            _refuse({**rows, **totals, **page, "--latency": self.latency}, "is about one model, not two")
        if self.format in (Format.JSON, Format.HTML):
            _refuse(rows, f"changes nothing in {self.format.value}, which has all columns")
        if self.format is Format.CSV:
            _refuse(totals, "changes nothing in csv, which has layers and no totals")
        if self.which is not None:
            _refuse({**rows, **page, "--latency": self.latency}, "changes nothing in the answer to --which")
        if self.convention is not None:
            check_name(self.convention, CONVENTIONS, "--convention")


def _refuse(options: Mapping[str, Any], rule: str) -> None:
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} {rule}", where="inspect", remedy="leave it out")
