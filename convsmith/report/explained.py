"""The page and the pictures of what a network sees: sections of text, pictures and tables, in one file without scripts.

Every picture is also a PNG file beside the page. Its policy allows nothing from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from convsmith.files import make_folder, write_atomically, write_text
from convsmith.report.document import WITHOUT_SCRIPTS, document_head
from convsmith.report.embedded import data_uri, png_bytes
from convsmith.report.markup import Markup, element, table
from convsmith.report.tiles import Pixels

_STYLES: Final = ("page.css", "explained.css")


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture.

    Attributes:
        name: Of its file, without the ending.
        caption: What it shows, in a sentence.
        pixels: (H, W, 3).
    """

    name: str
    caption: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Listed:
    """A table; the first ``words`` columns are text, the others numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True, eq=False)
class Part:
    """A section of the page.

    Attributes:
        name: Its place, for links.
        heading: Its title.
        lines: Paragraphs.
        shots: Pictures.
        tables: Tables.
    """

    name: str
    heading: str
    lines: Sequence[str] = ()
    shots: Sequence[Shot] = ()
    tables: Sequence[Listed] = ()


@dataclass(frozen=True, eq=False)
class Explained:
    """What a page shows.

    Attributes:
        command: The command that made it.
        title: Its title.
        about: A line below the title.
        tiles: Figures that matter: name, value, remark.
        notes: What a reader should know.
        parts: Its sections.
    """

    command: str
    title: str
    about: str
    tiles: Sequence[tuple[str, str, str]]
    notes: Sequence[str]
    parts: Sequence[Part]

    @property
    def shots(self) -> Iterator[Shot]:
        """All pictures, in order."""
        return (shot for part in self.parts for shot in part.shots)


def write_explained(page: Explained, folder: Path) -> tuple[str, ...]:
    """Write ``COMMAND.html`` and every picture into ``folder``, which is made; returns the names of the files.

    Raises:
        RunError: If they cannot be written.
    """
    make_folder(folder)
    names = [f"{page.command}.html"]
    write_text(folder / names[0], render_explained(page))
    for shot in page.shots:
        content, name = png_bytes(shot.pixels), f"{shot.name}.png"
        write_atomically(folder / name, lambda target, content=content: target.write_bytes(content))
        names.append(name)
    return tuple(names)


def render_explained(page: Explained) -> str:
    """The page as one self-contained document."""
    style = "".join(files("convsmith.report").joinpath(name).read_text(encoding="utf-8") for name in _STYLES)
    head = document_head(f"{page.title}: convsmith {page.command}", WITHOUT_SCRIPTS, style)
    links = (element("a", part.heading, href=f"#{part.name}") for part in page.parts)
    tiles = (
        element("div", element("dt", name), element("dd", value), element("dd", remark))
        for name, value, remark in page.tiles
    )
    header = element(
        "header",
        element("p", f"convsmith {page.command}", class_="kicker"),
        element("h1", page.title),
        element("p", page.about, class_="soft"),
        element("dl", *tiles, class_="tiles"),
        *(element("p", note, class_="note") for note in page.notes),
        element("nav", *links, aria_label="sections"),
    )
    body = element("body", header, element("main", *map(_part, page.parts)))
    return f'<!doctype html>\n<html lang="en">{head}\n{body}</html>\n'


def _part(part: Part) -> Markup:
    return element(
        "section",
        element("h2", part.heading),
        *(element("p", line) for line in part.lines),
        element("div", *_figures(part.shots), class_="shots") if part.shots else "",
        *(table(one.caption, one.header, one.rows, words=one.words) for one in part.tables),
        id=part.name,
    )


def _figures(shots: Iterable[Shot]) -> Iterator[Markup]:
    for shot in shots:
        height, width = shot.pixels.shape[:2]
        drawn = element("img", src=data_uri(shot.pixels), alt=shot.caption, width=width, height=height)
        yield element("figure", drawn, element("figcaption", shot.caption))
