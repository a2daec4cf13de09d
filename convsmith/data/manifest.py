"""CSV manifests: a table of paths and labels, for images that do not lie in class folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from convsmith.data.listing import SPLIT_NAMES, Listing, build_listing, shown
from convsmith.errors import DataError

_PATH_COLUMNS: Final = ("path", "file", "image")
_LABEL_COLUMNS: Final = ("label", "class")


def list_manifest(path: Path) -> Listing:
    """List the images of a CSV file with a header; order is the file's own.

    Columns: ``path`` (or ``file``, ``image``), ``label`` (or ``class``) and, if wanted, ``split``
    (train, val, test; empty for undeclared). Paths are relative to the CSV file.

    Raises:
        DataError: If a column or a value is missing or wrong, with the line it stands on.
    """
    where = shown(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            lines = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the manifest: {error}", where=where, remedy="save it as UTF-8 CSV") from error
    path_column = _column(header, _PATH_COLUMNS, where)
    label_column = _column(header, _LABEL_COLUMNS, where)
    split_column = header.index("split") if "split" in header else None

    rows: list[tuple[str, str, str | None]] = []
    first_line: dict[str, int] = {}
    for line, row in lines:
        place = f"{where} line {line}"
        if len(row) != len(header):
            raise DataError(f"{len(header)} columns are expected", received=len(row), where=place)
        name, label = row[path_column], row[label_column].strip()
        if not name or not label:
            raise DataError("the path and the label must not be empty", received=row, where=place)
        if name in first_line:
            raise DataError(f"the path stands already on line {first_line[name]}", received=name, where=place)
        first_line[name] = line
        rows.append((name, label, _split(row[split_column], place) if split_column is not None else None))
    classes = {label for _, label, _ in rows}
    return build_listing(str(path.parent), rows, [], classes, "give each image its class in the label column")


def _column(header: list[str], names: Iterable[str], where: str) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise DataError(f"the header needs a column {' or '.join(names)}", received=header, where=where)


def _split(text: str, place: str) -> str | None:
    name = text.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise DataError("split must be train, val, test or empty", received=text, where=place)
    return SPLIT_NAMES.get(name)
