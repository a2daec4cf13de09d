"""The head that every page of ours has: its policy, its title and its style, all inside the one file."""

from __future__ import annotations

from typing import Final

from convsmith.report.markup import Markup, element

WITHOUT_SCRIPTS: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The policy of a page that draws nothing by itself."""


def document_head(title: str, policy: str, style: str) -> Markup:
    """The ``head`` element.

    Args:
        title: Of the page.
        policy: What the page may load and run.
        style: Its style sheet.
    """
    return element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(style)),
    )
