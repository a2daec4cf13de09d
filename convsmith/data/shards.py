"""Tar archives of images in the manner of WebDataset: ``17.jpg`` with its label beside it, ``17.cls`` or ``17.json``.

All files of a sample have one name up to its first dot. The label is the text of the ``.cls`` file, a name or a
number, or what the ``.json`` file has under ``label`` or ``class``. Archives are read where they lie.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from convsmith.data.folder import EXTENSIONS, scan
from convsmith.data.listing import SPLIT_NAMES, Listing, Rejected, build_listing
from convsmith.data.stored import ARCHIVE, Place, contents

_LABELS: Final = (".cls", ".json")
_KEYS: Final = ("label", "class", "cls")
_MOST_LABEL_BYTES: Final = 1 << 20
_LONGEST_LABEL: Final = 1000

Row = tuple[str, str, str | None]


def find_shards(folder: str) -> list[str]:
    """The archives of a folder that holds nothing but archives, or of its ``train``, ``val`` and ``test`` folders."""
    folders, files = scan(folder)
    if not folders:
        return [entry.path for entry in files if entry.name.lower().endswith(ARCHIVE) and entry.is_file()]
    if any(entry.name.lower() not in SPLIT_NAMES or scan(entry.path)[0] for entry in folders):
        return []
    return [shard for entry in folders for shard in find_shards(entry.path)]


def list_shards(root: Path, shards: Iterable[str]) -> Listing:
    """List the images of archives, in the order of the archives and of their members.

    An archive whose name, or whose folder, has the word ``train``, ``val`` or ``test`` in it declares that split. An
    image without a label, or a label without an image, is rejected.

    Raises:
        DataError: If an archive cannot be read, or there are fewer than two classes.
    """
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for shard in shards:
        name = os.path.relpath(shard, root)
        split = _split(name)
        for found in _samples(shard):
            if isinstance(found, Rejected):
                rejected.append(Rejected(f"{name}/{found.path}", found.reason))
            else:
                rows.append((f"{name}/{found[0]}", found[1], split))
    remedy = "put a .cls or .json file with the class beside each image, of the same name"
    return build_listing(str(root), rows, rejected, {label for _, label, _ in rows}, remedy)


def _split(name: str) -> str | None:
    words = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_NAMES}
    return words.pop() if len(words) == 1 else None


def _samples(shard: str) -> Iterator[tuple[str, str] | Rejected]:
    """Member and label of every image of an archive, or what is wrong with it."""
    samples: dict[str, dict[str, str]] = {}
    places, others = contents(shard)
    for name, kind in others.items():
        if os.path.splitext(name)[1].lower() in EXTENSIONS:
            yield Rejected(name, f"{kind} within an archive is not read")
    for member in places:
        folder, name = os.path.split(member)
        stem, dot, extension = name.partition(".")
        if stem:  # others are hidden files
            samples.setdefault(os.path.join(folder, stem), {})[(dot + extension).lower()] = member
    with open(shard, "rb") as stream:
        for parts in samples.values():
            images = [part for part in parts if part in EXTENSIONS]
            labels = [part for part in _LABELS if part in parts]
            first = parts[(images or labels or [*parts])[0]]
            if not images:
                if labels:
                    yield Rejected(first, "a label without an image")
            elif len(images) > 1:
                yield Rejected(first, "more than one image of this name")
            elif not labels:
                yield Rejected(first, "no label (.cls or .json) beside it")
            else:
                label = _label(stream, places[parts[labels[0]]], labels[0])
                yield (first, label) if label else Rejected(first, f"no class in its {labels[0]} file")


def _label(stream: Any, place: Place, kind: str) -> str:
    """The class that a label file names; empty if it names none."""
    stream.seek(place.offset)
    content = stream.read(min(place.size, _MOST_LABEL_BYTES))
    try:
        text = content.decode("utf-8-sig").strip()
        if kind == ".cls":
            return _class(text)
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(stored, Mapping):
        return ""
    label = next((stored[key] for key in _KEYS if key in stored), "")
    return _class(str(label).strip()) if isinstance(label, str | int) and not isinstance(label, bool) else ""


def _class(text: str) -> str:
    return text if text.isprintable() and len(text) <= _LONGEST_LABEL else ""
