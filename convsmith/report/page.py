"""A page with charts as one document that opens anywhere, without a network.

Its policy allows exactly the scripts written here, by their hashes, and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files

from plotly.offline import get_plotlyjs

from convsmith.report.charts import Figure
from convsmith.report.document import document_head
from convsmith.report.markup import Markup, element, join

Part = tuple[str, str, Markup]
"""Name, heading and content of a section."""


def render_page(title: str, header: Markup, content: Sequence[Part]) -> str:
    """The document: a header with links to the sections, then these, then the scripts that draw their charts."""
    scripts = (get_plotlyjs(), _read("page.js"))
    links = (element("a", heading, href=f"#{name}") for name, heading, _ in content)
    body = (
        element("header", header, element("nav", *links, aria_label="sections")),
        element("main", *(_section(*one) for one in content)),
        *(element("script", Markup(script)) for script in scripts),
    )
    head = document_head(title, _policy(scripts), _read("page.css"))
    return f'<!doctype html>\n<html lang="en">{head}\n{element("body", *body)}</html>\n'


def _section(name: str, heading: str, content: Markup) -> Markup:
    return element("section", element("h2", heading), content, id=name)


def chart(name: str, figure: Figure, label: str) -> Markup:
    """The place of a chart and its data; the script draws it."""
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    height = figure["layout"]["height"]
    drawn = element(
        "div", class_="chart", id=f"chart-{name}", role="img", aria_label=label, style=f"height: {height}px"
    )
    values = element("script", Markup(data), type="application/json", id=f"chart-{name}-data")
    return join((element("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=label), values))


def _policy(scripts: tuple[str, ...]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    # plotly writes style elements and hands pictures over as data.
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _read(name: str) -> str:
    return files("convsmith.report").joinpath(name).read_text(encoding="utf-8")
