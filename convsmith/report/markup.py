"""HTML that cannot be broken by what it shows: plain text is escaped wherever it goes in, and only ``Markup`` is not.

Names of files and classes come from the user's disk, so they may hold tags, line ends, control characters, or bytes
that are no UTF-8; all of these are made visible instead of obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def visible(text: object) -> str:
    """One line that can be printed: whatever has no shape of its own, as a line end, is written as its escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )


def shorten(text: object, length: int) -> str:
    """``visible`` text of at most ``length`` characters."""
    line = visible(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"


def html(content: object) -> Markup:
    """``content`` as HTML; escaped unless it is ``Markup``."""
    return content if isinstance(content, Markup) else Markup(escape(visible(content)))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """An element with escaped content and attributes; ``class_`` becomes ``class``, ``aria_label`` ``aria-label``."""
    written = "".join(
        f' {name.strip("_").replace("_", "-")}="{escape(visible(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>{join(content)}</{tag}>")


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Parts as HTML, one after the other."""
    return Markup(separator.join(html(part) for part in parts))


def lines(text: str) -> Markup:
    """Text of several lines for a ``<pre>``."""
    return join(text.splitlines(), "\n")


def table(caption: str, header: Sequence[object], rows: Iterable[Sequence[object]], *, words: int = 1) -> Markup:
    """A table that scrolls on its own; the first ``words`` columns are text, the others numbers."""
    kinds = ["word" if column < words else "number" for column in range(len(header))]
    head = (element("th", cell, scope="col", class_=kind) for cell, kind in zip(header, kinds, strict=True))
    body = (
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    )
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def details(summary: str, *content: object) -> Markup:
    """Content that opens on demand."""
    return element("details", element("summary", summary), *content)
