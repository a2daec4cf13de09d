"""The table of all layers, and the lines that explain each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from convsmith.quantities import format_bytes, format_percent, format_shape
from convsmith.report.formulas import UNITS
from convsmith.report.markup import Markup, element, join
from convsmith.report.words import field_text, one_image

Data = Mapping[str, Any]

_HEADER: Final = ("#", "layer", "op", "window", "output", "sees", "params", "macs", "share")
_TIMES: Final = " × "
_LINES: Final = (*UNITS, "size", "field")


def layer_table(data: Data) -> Markup:
    """A row for each layer, section by section, with what sorts, finds and filters them."""
    layers = list(enumerate(data["layers"]))
    head = (element("th", element("button", title, type="button"), scope="col") for title in _HEADER)
    bodies = (
        element("tbody", *_rows(data, name, list(found)), data_section=name)
        for name, found in groupby(layers, lambda layer: layer[1]["section"])
    )
    find = element("label", "Find ", element("input", type="search", id="find", placeholder="name or operator"))
    shown = element("output", f"{len(layers):,} layers", id="shown")
    caption = element("caption", "All layers, section by section")
    inner = element("table", caption, element("thead", element("tr", *head)), *bodies)
    box = element("div", inner, class_="scroll rows", role="region", aria_label="every layer", tabindex=0)
    every = element("button", "all sections", type="button", id="everything", hidden="")
    return join((element("div", find, every, shown, class_="tools"), box))


def _rows(data: Data, section: str, layers: Sequence[tuple[int, Data]]) -> Iterator[Markup]:
    total, most = data["totals"]["macs"] or 1, max(layer["macs"] for layer in data["layers"]) or 1
    params, macs = (sum(layer[key] for _, layer in layers) for key in ("params", "macs"))
    told = f"{len(layers):,} layers, {params:,} params, {macs:,} macs, {format_percent(macs / total)}"
    yield element("tr", element("th", section, element("span", told), colspan=len(_HEADER), scope="rowgroup"))
    for number, layer in layers:
        bar = element("i", style=f"width: {100 * layer['macs'] / most:.1f}%")
        share = join((element("span", bar, class_="meter"), format_percent(layer["macs"] / total)))
        cells = (
            number + 1,
            layer["name"],
            layer["op"],
            window_text(layer),
            shape_text(layer["output"]),
            sees_text(layer["receptive_field"]),
            *(f"{layer[key]:,}" if layer[key] else "" for key in ("params", "macs")),
            share if layer["macs"] else "",
        )
        yield element("tr", *(element("td", cell) for cell in cells), tabindex=-1, data_layer=number)


def layer_lines(data: Data, formulas: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """For each layer its name, what it does, and the formulas and facts behind its row."""
    traffic = {layer["name"]: layer for layer in data["memory"]["layers"]}
    ops = {layer["name"]: layer["op"] for layer in data["layers"]}
    return [
        [name, _does(layer), *_formulas(formulas[name]), *_facts(layer, traffic.get(name), ops)]
        for name, layer in zip(ops, data["layers"], strict=True)
    ]


def _formulas(found: Mapping[str, str]) -> Iterator[str]:
    return (found[name] for name in _LINES if name in found)


def _does(layer: Data) -> str:
    inputs = " + ".join(map(shape_text, layer["inputs"]))
    window = window_text(layer)
    return f"{layer['op']}{' ' if window else ''}{window}: {inputs} → {shape_text(layer['output'])}"


def _facts(layer: Data, moved: Data | None, ops: Mapping[str, str]) -> Iterator[str]:
    wasted = layer["waste"]
    if wasted and wasted["padding_macs"]:
        share = format_percent(wasted["padding_macs"] / layer["macs"])
        yield f"{wasted['padding_macs']:,} of the macs meet padding ({share})"
    if wasted and wasted["lost_share"]:
        yield f"nothing reads {format_percent(wasted['lost_share'])} of its input"
    if moved:
        fused = " and ".join(ops[name] for name in moved["fused"])
        on_the_way = f", {fused} on the way" if fused else ""
        yield f"moves {format_bytes(moved['bytes'])}{on_the_way}; {moved['intensity']:.1f} FLOP per byte"


def shape_text(shape: Sequence[int]) -> str:
    """``(1, 64, 56, 56)`` is ``64 × 56 × 56``: one image."""
    return size_text(one_image(shape))


def size_text(size: Sequence[int]) -> str:
    """``(56, 28)`` is ``56 × 28``."""
    return format_shape(size, _TIMES)


def sees_text(field: Data | None) -> str:
    """What a unit sees of the image."""
    return "" if field is None else field_text(field["size"], field["global"], _TIMES)


def window_text(layer: Data) -> str:
    """``7 × 7 /2`` with a stride, ``7 × 7 /(1/2)`` where it enlarges; dilation and groups where there are any."""
    kernel = layer["kernel_size"]
    if kernel is None:
        return ""
    sizes = [kernel] if isinstance(kernel, int) else kernel
    stride = {layer["stride"]} if isinstance(layer["stride"], int) else set(layer["stride"])
    parts = [size_text(sizes)]
    if stride != {1}:
        written = "/(1/{})" if layer["op"] == "ConvTranspose2d" else "/{}"
        parts.append(written.format("×".join(map(str, sorted(stride)))))
    dilation = layer["dilation"]
    if dilation not in (None, 1, (1, 1), [1, 1]):
        parts.append(f"dilation {dilation if isinstance(dilation, int) else max(dilation)}")
    groups = layer["groups"] or 1
    if groups > 1:
        parts.append("depthwise" if groups == layer["inputs"][0][1] else f"{groups} groups")
    return " ".join(parts)
