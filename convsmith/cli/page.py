"""Notes and tables, laid out once and written as plain text, for a terminal, or as Markdown.

Plain text is as wide as it must be, for it may be read by a program. A terminal gets colour, bars and lines that fit.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from convsmith.cli.app import one_line

_GAP = 2
_INDENT = "  "
_NARROWEST = 14
_BAR = 12
_EIGHTHS = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Row:
    """Cells of a table.

    Attributes:
        style: ``section``, ``part``, ``total`` or nothing.
        bar: A share between 0 and 1 that a terminal draws behind the cells.
    """

    cells: tuple[str, ...]
    style: str = ""
    bar: float | None = None


@dataclass(frozen=True)
class Table:
    """A table with aligned columns.

    Attributes:
        numbers: For each column, whether it is one of numbers.
        spare: Titles of columns that a narrow terminal goes without, the first to go first.
    """

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: tuple[bool, ...]
    spare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """Lines of text.

    Attributes:
        heading: What they are about, if that needs saying.
        style: ``title``, ``warning``, ``soft`` or nothing.
    """

    lines: tuple[str, ...]
    heading: str = ""
    style: str = ""


def make_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Table:
    """A table whose first ``left`` columns are text and whose others are numbers."""
    numbers = tuple(number >= left for number in range(len(header)))
    return Table(tuple(header), tuple(Row(tuple(row)) for row in rows), numbers)


Block = Table | Note
Span = tuple[str, str]
"""Text, and the style that a terminal gives it."""


def write_plain(blocks: Sequence[Block]) -> str:
    """Plain text, a blank line between blocks."""
    return _joined([["".join(text for text, _ in line).rstrip() for line in _lines(block)] for block in blocks])


def write_markdown(blocks: Sequence[Block]) -> str:
    """GitHub's Markdown: a heading, tables, and lists for the notes."""
    return _joined([list(_markdown(block)) for block in blocks])


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma separated values, for programs."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Write a plain table on standard output; see ``make_table``."""
    sys.stdout.write(write_plain([make_table(header, rows, left=left)]))


def print_blocks(blocks: Sequence[Block]) -> None:
    """Write blocks on standard output, for a person where that is a terminal."""
    if not sys.stdout.isatty():
        sys.stdout.write(write_plain(blocks))
        return
    from rich.console import Console  # noqa: PLC0415  # costs a tenth of a second, and only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    for number, block in enumerate(blocks):
        fitted = fit(block, console.width)
        roomy = isinstance(fitted, Table) and sum(_widths(fitted)) + _GAP * len(fitted.header) + _BAR <= console.width
        for line in [*([[]] if number else []), *_lines(fitted, bars=roomy and _draws_blocks())]:
            console.print(Text.assemble(*((text, STYLES.get(style, "")) for text, style in line)))


STYLES = {
    "title": "bold",
    "header": "dim",
    "section": "bold",
    "part": "dim",
    "total": "bold",
    "heading": "bold",
    "bar": "cyan",
    "warning": "yellow",
    "soft": "dim",
}
"""What rich calls the styles. Colour never says anything that the text does not."""


def fit(block: Block, width: int) -> Block:
    """A block in lines of at most ``width`` characters, where that can be: names are cut first, then columns go."""
    if isinstance(block, Note):
        indent = _INDENT if block.heading else ""
        wrapped = (textwrap.wrap(line, width - len(indent), subsequent_indent=indent) for line in block.lines)
        return replace(block, lines=tuple(line for lines in wrapped for line in lines))
    for title in ("", *block.spare):
        block = _without(block, title) if title else block
        others = sum(_widths(block)[1:]) + _GAP * (len(block.header) - 1)
        if others + _NARROWEST <= width:
            break
    return replace(block, rows=tuple(_cut(row, max(width - others, _NARROWEST)) for row in block.rows))


def _without(table: Table, title: str) -> Table:
    at = table.header.index(title)
    rows = tuple(replace(row, cells=row.cells[:at] + row.cells[at + 1 :]) for row in table.rows)
    header, numbers = (kept[:at] + kept[at + 1 :] for kept in (table.header, table.numbers))
    return replace(table, header=header, rows=rows, numbers=numbers)


def _cut(row: Row, width: int) -> Row:
    """The first cell in at most ``width`` characters, its middle left out."""
    name = one_line(row.cells[0])
    if len(name) <= width:
        return row
    tail = (width - 1) * 2 // 3
    return replace(row, cells=(f"{name[: width - 1 - tail]}…{name[-tail:]}", *row.cells[1:]))


def _widths(table: Table) -> list[int]:
    rows = [table.header, *(row.cells for row in table.rows)]
    return [max(len(one_line(cell)) for cell in column) for column in zip(*rows, strict=True)]


def _lines(block: Block, *, bars: bool = False) -> Iterator[list[Span]]:
    if isinstance(block, Note):
        if block.heading:
            yield [(block.heading, "heading")]
        indent = _INDENT if block.heading else ""
        yield from ([(f"{indent}{one_line(line)}", block.style)] for line in block.lines)
        return
    widths = _widths(block)
    yield [(_aligned(block, block.header, widths), "header")]
    for row in block.rows:
        line = [(_aligned(block, row.cells, widths), row.style)]
        yield [*line, (f"  {_bar(row.bar)}", "bar")] if bars and row.bar is not None else line


def _aligned(table: Table, cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        one_line(cell).rjust(width) if number else one_line(cell).ljust(width)
        for cell, width, number in zip(cells, widths, table.numbers, strict=True)
    )
    return (" " * _GAP).join(padded)


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _draws_blocks() -> bool:
    """Whether the terminal can show bars."""
    return "utf" in (sys.stdout.encoding or "").lower() and os.environ.get("TERM") != "dumb"


def _markdown(block: Block) -> Iterator[str]:
    if isinstance(block, Note):
        if block.heading:
            yield from (f"### {block.heading.capitalize()}", "")
        start = "## " if block.style == "title" else "- "
        yield from (f"{start}{_escaped(' '.join(line.split()))}" for line in block.lines)
        return
    yield _piped(block.header)
    yield _piped(["--:" if number else ":--" for number in block.numbers])
    yield from (_piped([_escaped(cell) for cell in row.cells]) for row in block.rows)


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table."""
    return "".join(f"\\{c}" if c in "\\|`*_<[" else c for c in one_line(text))


def _joined(blocks: Sequence[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"
