"""``inspect --format html``: the facts of a network as one page that opens anywhere, without a network.

The page is made of the ``inspect --json`` data and of the formulas behind it. Its policy allows exactly the script
written here, by its hash, and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Final

from convsmith.analysis import InputSize, Waste
from convsmith.interop.conventions import CONVENTIONS
from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds
from convsmith.report.document import document_head
from convsmith.report.inspection_figures import fields_figure, strip_figure
from convsmith.report.inspection_rows import Data, layer_lines, layer_table, sees_text, shape_text, size_text
from convsmith.report.markup import Markup, details, element, join, table
from convsmith.report.words import FIELD, MACS, size_lines, waste_lines

_STRIP: Final = (
    "Width is work: the share of the multiply-adds. Height is weights: the parameters. "
    "Choose a section to see its layers below, and in the table of all layers."
)
_FIELDS: Final = (
    "Squares are what one unit at the end of a section sees of the image along the longest path, in the middle of the "
    "image. The shortest path, through all shortcuts, sees less."
)
_LAYERS: Final = (
    "A click on a heading sorts. Arrow keys move from row to row, and the formulas of the layer stand at the foot of "
    "the page."
)
_CONVENTIONS: Final = (
    "One network, several numbers: each of these is quoted as its cost somewhere. The ledger of every layer keeps the "
    "kinds of work apart, and each total below is a weighted sum of it."
)


def render_inspection(
    data: Data,
    formulas: Mapping[str, Mapping[str, str]],
    waste: Waste,
    sizes: Sequence[InputSize | None] | None = None,
) -> str:
    """The page of an inspection, as one self-contained document.

    Args:
        data: ``Inspection.to_dict()``; ``latency`` and ``convention`` are shown if they are there.
        formulas: What ``convsmith.report.formulas`` says of each layer.
        waste: What the network wastes.
        sizes: Input sizes that lose nothing, to be shown.
    """
    script, content = _read("inspection.js"), list(_content(data, waste, sizes))
    head = document_head(
        f"{data['model']}: convsmith inspect", _policy(script), _read("page.css") + _read("inspection.css")
    )
    links = (element("a", heading, href=f"#{name}") for name, heading, _ in content)
    lines = json.dumps(layer_lines(data, formulas)).replace("<", "\\u003c")
    body = element(
        "body",
        element("header", _answer(data), element("nav", *links, aria_label="sections")),
        element("main", *(_section(*one) for one in content)),
        element("aside", id="formula", role="status", aria_label="formulas of the layer"),
        element("script", Markup(lines), type="application/json", id="lines"),
        element("script", Markup(script)),
    )
    return f'<!doctype html>\n<html lang="en">{head}\n{body}</html>\n'


def _section(name: str, heading: str, content: Markup) -> Markup:
    return element("section", element("h2", heading), content, id=name)


def _content(data: Data, waste: Waste, sizes: Sequence[InputSize | None] | None) -> Iterator[tuple[str, str, Markup]]:
    """Name, heading and content of each section."""
    yield "work", "Where the work is", join((element("p", _STRIP), strip_figure(data), _sections(data)))
    yield "fields", "What a unit sees", join((element("p", _FIELDS), fields_figure(data)))
    yield "waste", "What is wasted", _waste(data, waste, sizes)
    yield "conventions", "How others count it", join((element("p", _CONVENTIONS), _conventions(data)))
    if data["lints"]:
        yield "hints", "Hints", _hints(data["lints"])
    yield "layers", "Every layer", join((element("p", _LAYERS), layer_table(data)))
    yield "reading", "How to read it", join((element("p", MACS), element("p", FIELD)))


def _answer(data: Data) -> Markup:
    """The name, the figures that matter, and what is wrong."""
    totals, memory, layers = data["totals"], data["memory"], data["layers"]
    tiles = [
        _tile("multiply-adds", format_count(totals["macs"]), f"{totals['macs']:,} macs"),
        _tile("parameters", format_count(totals["params"]), f"{totals['params']:,}",
              f"{format_bytes(totals['weight_bytes'])} as float32"),
        _tile("peak memory", format_bytes(totals["peak_activation_bytes"]), "values alive at once",
              f"{format_count(totals['activations'])} activations in all"),
        _tile("memory traffic", format_bytes(totals["bytes_moved"]), f"{memory['intensity']:.1f} FLOP per byte",
              "norms and activations fused"),
    ]  # fmt: skip
    if "convention" in data:
        name = data["convention"]
        counted = data["conventions"][name]
        tiles.insert(0, _tile(f"counted as {name}", format_count(counted), f"{counted:,}"))
    if "latency" in data:
        time = data["latency"]
        low, high = (format_seconds(time[end]) for end in ("low", "high"))
        tiles.append(_tile("time for one image", format_seconds(time["seconds"]), f"likely {low} to {high}",
                           f"error {format_percent(time['error'])} on networks held out"))  # fmt: skip
    sees = f" · a unit sees {sees_text(data['receptive_field'])} px" if data["receptive_field"] else ""
    about = f"input {shape_text(data['input'])} · {len(layers):,} layers in {len(data['sections'])} sections{sees}"
    return join(
        (
            element("p", "convsmith inspect", class_="kicker"),
            element("h1", data["model"]),
            element("p", about, class_="soft"),
            element("dl", *tiles, class_="tiles"),
            *(element("p", warning, class_="note") for warning in data["warnings"]),
        )
    )


def _sections(data: Data) -> Markup:
    macs = data["totals"]["macs"] or 1
    rows = []
    for section in data["sections"]:
        layers = [layer for layer in data["layers"] if layer["section"] == section["name"]]
        share = format_percent(section["macs"] / macs)
        output = shape_text(layers[-1]["output"])
        rows.append((section["name"], len(layers), output, f"{section['params']:,}", f"{section['macs']:,}", share))
    header = ("section", "layers", "output", "params", "macs", "share of macs")
    return table("Sections of the network", header, rows)


def _waste(data: Data, waste: Waste, sizes: Sequence[InputSize | None] | None) -> Markup:
    macs, layers = data["totals"]["macs"], {layer["name"]: layer for layer in data["layers"]}
    parts = [element("ul", *(element("li", line) for line in waste_lines(waste, macs)))]
    if sizes is not None:
        parts.append(element("ul", *(element("li", line) for line in size_lines(sizes, macs))))
    if waste.lossy:
        rows = [
            (name, shape_text(layers[name]["inputs"][0]), format_percent(waste.layers[name].lost_share))
            for name in waste.lossy
        ]
        parts.append(table("Layers that leave pixels of their input unread", ("layer", "input", "unread"), rows))
    if waste.unproductive:
        found = [(name, waste.layers[name]) for name in waste.unproductive]
        rows = [
            (name, *(size_text(size) if size else "–" for size in (layer.wakes, layer.min_wakes)))
            for name, layer in found
        ]
        summary = f"Layers that see more than the image already: {len(rows):,}"
        caption = "Input sizes from which on they have something new to see, along the longest path and on every path"
        parts.append(details(summary, table(caption, ("layer", "wakes at", "wakes on every path at"), rows)))
    return join(parts)


def _conventions(data: Data) -> Markup:
    macs = data["conventions"]["macs"]
    rows = (
        (
            join((element("b", name), element("small", CONVENTIONS[name].description))),
            f"{total:,}",
            "" if total == macs else f"{total - macs:+,}",
        )
        for name, total in data["conventions"].items()
    )
    return table("Totals of the network", ("convention", "total", "against macs"), rows)


def _hints(lints: Sequence[Data]) -> Markup:
    """The hints of each rule; many of a kind open on demand."""
    parts = list[Markup]()
    for rule, found in groupby(lints, lambda lint: lint["rule"]):
        first, *others = (element("li", element("code", one["node"]), ": ", one["reason"]) for one in found)
        more = details(f"{len(others):,} more like it", element("ul", *others)) if others else ""
        parts.append(join((element("h3", rule.capitalize()), element("ul", first), more)))
    return join(parts)


def _tile(name: str, value: str, *remarks: str) -> Markup:
    return element("div", element("dt", name), element("dd", value), *(element("dd", remark) for remark in remarks))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'"


def _read(name: str) -> str:
    return files("convsmith.report").joinpath(name).read_text(encoding="utf-8")
