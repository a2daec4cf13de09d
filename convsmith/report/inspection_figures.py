"""The two pictures of an inspection: the network as a strip of sections and layers, and fields over the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from convsmith.quantities import format_count, format_percent
from convsmith.report.inspection_rows import Data, sees_text, size_text
from convsmith.report.markup import Markup, element, html, join, table

_NARROWEST: Final = 0.006
"""Share of the strip that a section has at least, to be seen and hit."""
_LABELLED: Final = 0.07
_KINDS: Final = {
    "dense": "convolution",
    "pointwise": "1 × 1 convolution",
    "grouped": "depthwise or grouped convolution",
    "linear": "linear",
    "attention": "product of activations",
}
_SIDE: Final = 300


def strip_figure(data: Data) -> Markup:
    """Sections as boxes, as wide as their work and as high as their weights, over their layers."""
    sections, macs = data["sections"], data["totals"]["macs"] or 1
    widths = _scaled([max(section["macs"] / macs, _NARROWEST) for section in sections])
    starts = [0.0, *accumulate(widths)]
    highest = max(section["params"] for section in sections) or 1
    boxes, slices = list[Markup](), list[Markup]()
    for section, left, width in zip(sections, starts, widths, strict=False):
        boxes.append(_box(data, section, left, width, section["params"] / highest))
        slices += _slices(data, section, left, width)
    kinds = {kind for layer in data["layers"] if (kind := kind_of(layer))}
    legend = (element("span", element("i", class_=kind), name) for kind, name in _KINDS.items() if kind in kinds)
    lens = element("div", class_="lens", aria_hidden="true")
    return element(
        "figure",
        element("div", *boxes, class_="skyline"),
        lens,
        element("div", *slices, class_="ribbon", aria_hidden="true"),
        element("figcaption", *legend, class_="legend"),
        class_="strip-figure",
    )


def _box(data: Data, section: Data, left: float, width: float, height: float) -> Markup:
    totals = data["totals"]
    shares = [format_percent(section[key] / (totals[key] or 1)) for key in ("macs", "params")]
    told = f"{section['name']}: {shares[0]} of the macs, {shares[1]} of the parameters"
    label, count = (element("b", section["name"]), element("small", shares[0])), format_count(section["params"])
    if width < _LABELLED:  # the highest is told by name all the same, above it
        label, count = (), f"{section['name']} {count}" if height == 1 else ""
    side = " edge" if width < _LABELLED and left > 0.5 else ""
    tower = element("span", element("small", count), class_="tower", style=f"height: {100 * height:.2f}%")
    return element(
        "button",
        element("span", tower, class_="rise"),
        element("span", *label, class_="name"),
        type="button",
        class_=f"box {section['kind']}{side}",
        style=f"left: {100 * left:.3f}%; width: {100 * width:.3f}%",
        title=told,
        aria_label=told,
        aria_pressed="false",
        data_section=section["name"],
        data_from=f"{left:.5f}",
        data_span=f"{width:.5f}",
    )


def _slices(data: Data, section: Data, left: float, width: float) -> Iterator[Markup]:
    """The layers of a section that multiply, each as wide as its work."""
    at, scale = left, width / (section["macs"] or 1)
    for number, layer in enumerate(data["layers"]):
        if layer["section"] == section["name"] and layer["macs"]:
            wide = layer["macs"] * scale
            yield element("i", class_=kind_of(layer), style=f"--at: {at:.6f}; --wide: {wide:.6f}", data_layer=number)
            at += wide


def kind_of(layer: Data) -> str:
    """What a layer's multiply-adds are; empty if it has none."""
    if not layer["macs"]:
        return ""
    if layer["terms"]["attention"]:
        return "attention"
    kernel = layer["kernel_size"]
    if kernel is None:
        return "linear"
    if (layer["groups"] or 1) > 1:
        return "grouped"
    return "pointwise" if set([kernel] if isinstance(kernel, int) else kernel) == {1} else "dense"


def _scaled(shares: Sequence[float]) -> list[float]:
    return [share / sum(shares) for share in shares]


def fields_figure(data: Data) -> Markup:
    """The image, and over it what a unit at the end of each section sees."""
    ends = list[tuple[Data, Data]]()
    for section in data["sections"]:
        fields = [layer["receptive_field"] for layer in data["layers"] if layer["section"] == section["name"]]
        known = [field for field in fields if field]
        if known:
            ends.append((section, known[-1]))
    image = data["input"][-2:]
    largest = max([*image, *(side for _, field in ends for side in field["size"])])
    squares = [_square(image, largest, "image"), *(_square(field["size"], largest, "field") for _, field in ends)]
    x, y, _, height = _place(image, largest)
    squares.append(_label(x + 5, y + height - 6, "start", "image"))
    if ends:
        x, y, width, _ = _place(ends[-1][1]["size"], largest)
        squares.append(_label(x + width - 5, y + 13, "end", f"{sees_text(ends[-1][1])} px"))
    drawing = Markup(
        f'<svg class="fields" viewBox="0 0 {_SIDE} {_SIDE}" role="img" '
        f'aria-label="receptive fields over the image">{join(squares)}</svg>'
    )
    rows = (
        (
            section["name"],
            sees_text(field),
            size_text(field["min_size"]),
            size_text(section["jump"]),
            format_percent(max(side / full for side, full in zip(field["size"], image, strict=True)), 0),
        )
        for section, field in ends
    )
    header = ("section", "sees (px)", "at least", "jump (px)", "of the image's side")
    return element("div", drawing, table("Receptive fields at the end of each section", header, rows), class_="beside")


def _square(size: Sequence[float], largest: float, kind: str) -> Markup:
    x, y, width, height = _place(size, largest)
    return Markup(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')


def _label(x: float, y: float, anchor: str, text: str) -> Markup:
    return Markup(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html(text)}</text>')


def _place(size: Sequence[float], largest: float) -> tuple[float, float, float, float]:
    """Corner, width and height of a stretch of (height, width) pixels in the middle of the drawing."""
    height, width = (max(side / largest * (_SIDE - 4), 1) for side in size)
    return (_SIDE - width) / 2, (_SIDE - height) / 2, width, height
