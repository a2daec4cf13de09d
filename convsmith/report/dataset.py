"""The page of ``data``: what is in a set and what is wrong with it, with the pictures behind each finding.

The page is made of the ``data --json`` data and of the pictures, which are part of it. Its policy allows no script at
all and nothing from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.quantities import format_bytes, format_percent, format_shape
from convsmith.report.document import WITHOUT_SCRIPTS, document_head
from convsmith.report.embedded import data_uri
from convsmith.report.markup import Markup, element, join, table

Data = Mapping[str, Any]
Pixels = Callable[[str], NDArray[np.uint8] | None]

_GROUPS: Final = 36
_MEMBERS: Final = 6
_WITHOUT_PIXELS: Final = 200
_SHOWN_SIDE: Final = 96
_LONGEST: Final = 3.0
_TIMES: Final = " × "
_NAME: Final = 40
_SIZES: Final = 20
_STYLES: Final = ("page.css", "dataset.css")
_SEVERITIES: Final = ("error", "warning", "note")


def render_dataset(data: Data, pixels: Pixels) -> str:
    """The page of a data set, as one self-contained document.

    Args:
        data: ``DataCheck.to_dict()``.
        pixels: Gives a picture (side, side, 1 or 3) uint8 by its path, or None.
    """
    content = list(_content(data, pixels))
    style = "".join(files("convsmith.report").joinpath(name).read_text(encoding="utf-8") for name in _STYLES)
    head = document_head(f"{data['source']}: convsmith data", WITHOUT_SCRIPTS, style)
    listed = {one["kind"] for one in data["findings"]}  # as what to do
    links = (element("a", heading, href=f"#{name}") for name, heading, _ in content if name not in listed)
    body = element(
        "body",
        element("header", _answer(data), element("nav", *links, aria_label="sections")),
        element(
            "main", *(element("section", element("h2", heading), part, id=name) for name, heading, part in content)
        ),
    )
    return f'<!doctype html>\n<html lang="en">{head}\n{body}</html>\n'


def _answer(data: Data) -> Markup:
    """The name, the figures that matter, and what to do."""
    counts = {severity: 0 for severity in _SEVERITIES}
    for one in data["findings"]:
        counts[one["severity"]] += 1
    splits = ", ".join(f"{name} {count:,}" for name, count in data["splits"].items())
    sizes = data["files"]["sizes"]
    common = format_shape((sizes[0]["height"], sizes[0]["width"]), _TIMES) if sizes else "–"
    many = data["files"]["distinct_sizes"]
    tiles = (
        _tile("images", f"{data['images']:,}", splits),
        _tile("classes", f"{len(data['classes']):,}", f"largest to smallest: {data['balance']['ratio']:.1f}"),
        _tile("height × width", common, "all of them" if many == 1 else f"the most frequent of {many:,} sizes"),
        _tile("findings", f"{len(data['findings'])}",
              *(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count)),
    )  # fmt: skip
    todo = (
        element("li", element("a", one["title"], href=f"#{one['kind']}"), ": ", one["action"])
        for one in data["findings"]
    )
    steps = element("ol", *todo, class_="todo") if data["findings"] else element("p", "Nothing to repair was found.")
    return join(
        (
            element("p", "convsmith data", class_="kicker"),
            element("h1", data["source"]),
            element("dl", *tiles, class_="tiles"),
            element("h2", "What to do"),
            steps,
        )
    )


def _tile(name: str, value: str, *remarks: str) -> Markup:
    return element("div", element("dt", name), element("dd", value), *(element("dd", remark) for remark in remarks))


def _content(data: Data, pixels: Pixels) -> Iterator[tuple[str, str, Markup]]:
    """Name, heading and content of each section."""
    fit = data["frame"]["fit"] if data["frame"] else "squash"
    for one in data["findings"]:
        yield one["kind"], one["title"], _finding(one, pixels, fit)
    yield "sure", "How sure the labels are", element("p", data["labels_told"])
    yield "classes", "Classes", _classes(data)
    yield "files", "Files", _files(data)
    yield "how", "How it was checked", join(element("p", line) for line in _HOW)


_HOW: Final = (
    "Everything but sizes and kinds of files is seen at the size that a training would use. Exact copies have the same "
    "pixels there. Near copies have nearly the same low frequencies of brightness and colour, whatever the brightness "
    "and contrast, and are far nearer to each other than to pictures that merely look alike. Mirrored, turned or "
    "cropped copies are not looked for.",
    "Blank images vary by less than 2 of 255 levels. Dark, overexposed and flat ones are judged by the hundredth and "
    "the ninety-ninth percentile of brightness. Sizes and shapes are held against the median of the set.",
    "Labels are judged by confident learning (Northcutt and others, 2021): each image by a classifier that has learnt "
    "from the others and from none of its copies, each class by its own usual confidence.",
)


def _finding(finding: Data, pixels: Pixels, fit: str) -> Markup:
    told = element("p", element("span", finding["severity"], class_=f"badge {finding['severity']}"), finding["summary"])
    groups = finding["groups"]
    if not groups:
        return told
    drawn = [(group, [pixels(one["path"]) for one in group[:_MEMBERS]]) for group in groups[:_GROUPS]]
    if all(image is None for _, images in drawn for image in images):
        rows = [(one["path"], one["remark"]) for group in groups[:_WITHOUT_PIXELS] for one in group]
        return join((told, table(finding["title"], ("file", "reason"), rows, words=2), _rest(groups, _WITHOUT_PIXELS)))
    return join((told, element("div", *(_group(*one, fit) for one in drawn), class_="gallery"), _rest(groups, _GROUPS)))


def _rest(groups: Sequence[object], shown: int) -> Markup:
    left = len(groups) - shown
    return element("p", f"{left:,} more are listed by --json.", class_="soft") if left > 0 else Markup("")


def _group(group: Sequence[Data], images: Sequence[NDArray[np.uint8] | None], fit: str) -> Markup:
    """Pictures that belong together, in one frame."""
    shown = [_picture(one, image, fit) for one, image in zip(group, images, strict=False)]
    left = len(group) - len(shown)
    more = element("p", f"and {left:,} more", class_="soft") if left > 0 else Markup("")
    return element("div", *shown, more, class_="group")


def _picture(picture: Data, image: NDArray[np.uint8] | None, fit: str) -> Markup:
    where = " · ".join(part for part in (picture["class"], picture["split"]) if part)
    caption = element(
        "figcaption",
        element("b", where),
        element("span", _end_of(picture["path"]), title=picture["path"]),
        element("small", picture["remark"]) if picture["remark"] else "",
    )
    drawn = element("span", "no picture", class_="none") if image is None else _drawn(picture, image, fit)
    return element("figure", drawn, caption)


def _end_of(path: str) -> str:
    """The end of a path, which tells more than its beginning."""
    return path if len(path) <= _NAME else f"…{path[1 - _NAME :]}"


def _drawn(picture: Data, image: NDArray[np.uint8], fit: str) -> Markup:
    """The picture in the shape that it has in its file; one that was letterboxed has kept it."""
    height, width = picture["size"] if picture["size"] and fit == "squash" else (1, 1)
    aspect = min(max(width / height, 1 / _LONGEST), _LONGEST)
    wide, high = (round(_SHOWN_SIDE * min(1, ratio)) for ratio in (aspect, 1 / aspect))
    kind = "coarse" if len(image) < _SHOWN_SIDE / 2 else "fine"
    name = f"{picture['class'] or 'picture'}: {picture['path']}"
    return element("img", src=data_uri(image), alt=name, class_=kind, width=wide, height=high)


def _classes(data: Data) -> Markup:
    """Every class with its images, and how many of these are in each split."""
    splits = list(data["splits"])
    most = max((one["images"] for one in data["classes"]), default=0) or 1
    rows = (
        (
            one["name"],
            join((_meter(one["images"] / most), f"{one['images']:,}")),
            *(f"{one['splits'][split]:,}" for split in splits if len(splits) > 1),
        )
        for one in data["classes"]
    )
    balance = data["balance"]
    told = (
        f"As even as {balance['effective_classes']:.1f} classes of one size. Always naming the largest class would be "
        f"right in {format_percent(balance['majority'])} of the cases."
    )
    header = ("class", "images", *(splits if len(splits) > 1 else ()))
    return join((element("p", told), table("Images of each class", header, rows)))


def _meter(share: float) -> Markup:
    return element("span", element("span", style=f"width: {100 * share:.1f}%"), class_="meter")


def _files(data: Data) -> Markup:
    """Sizes, modes and formats of the files."""
    files, frame = data["files"], data["frame"]
    told = [f"{format_bytes(files['bytes'])} in all."]
    for name in ("height", "width"):
        if files[name]:
            low, middle, high = (f"{files[name][key]:,.0f}" for key in ("min", "median", "max"))
            told.append(f"{name.capitalize()} {low} to {high} pixels, half of them up to {middle}.")
    if frame:
        kind = "grey" if frame["channels"] == 1 else "colour"
        how = "squashed to squares" if frame["fit"] == "squash" else "filled up to squares with grey"
        told.append(f"The checks saw them in {kind}, {how} of {frame['side']} pixels where they were not.")
    shown = files["sizes"][:_SIZES]
    sizes = [(format_shape((one["height"], one["width"]), _TIMES), f"{one['images']:,}") for one in shown]
    left = files["distinct_sizes"] - len(shown)
    kinds = [(name, f"{count:,}") for part in ("formats", "modes") for name, count in files[part].items()]
    caption = "Sizes, height × width" + (f"; {left:,} more are not shown" if left > 0 else "")
    tables = (
        table("Formats and modes", ("kind", "images"), kinds),
        table(caption, ("size", "images"), sizes),
    )
    return join((element("p", " ".join(told)), element("div", *tables, class_="beside")))
