"""Changing a design file's text as a person would: one line, with comments and order left as they are."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from convsmith.design.toml_file import make_design, write_design
from convsmith.errors import DesignError
from convsmith.studio.designs import WHERE, schema

_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z_]+)\s*\]\]?\s*(?:#.*)?")
_NEEDED: Final = {"width": 16, "depth": 1, "classes": 10, "channels": 3}
_NAMES: Final = {"stem": "block", "stage": "block", "head": "task"}


def set_key(text: str, part: str, number: int, key: str, value: Any) -> str:
    """The text with another value for a key.

    Where the key names the block, keys that only the old block knows are taken out, and those that the new one cannot
    do without are put in.

    Args:
        text: A design file.
        part: ``stem``, ``stage``, ``head``, or empty for the keys above all parts.
        number: Which stage, from 0 on.
        key: The key.
        value: Its new value; None takes the key out.

    Raises:
        DesignError: If the text is not TOML, or has no such part.
    """
    changes = {key: value}
    if part and key == _NAMES.get(part):
        changes |= _other_block(
            schema()[part].get(str(value), {"keys": {}})["keys"], _table(_values(text), part, number)
        )
    wanted = copy.deepcopy(_values(text))
    table = _table(wanted, part, number)
    for name, new in changes.items():
        if new is None:
            table.pop(name, None)
        else:
            table[name] = new
    lines = text.split("\n")
    first, stop = _span(lines, part, number)
    for name, new in changes.items():
        stop += _change_line(lines, first, stop, name, new)
    return _settled("\n".join(lines), wanted)


def copy_stage(text: str, number: int) -> str:
    """The text with a stage twice, one after the other.

    Raises:
        DesignError: If the text is not TOML, or has no such stage.
    """
    wanted = copy.deepcopy(_values(text))
    wanted["stage"].insert(number, copy.deepcopy(_table(wanted, "stage", number)))
    lines = text.split("\n")
    first, stop = _span(lines, "stage", number)
    block = lines[first - 1 : stop]
    gap = [] if block and not block[-1].strip() else [""]
    return _settled("\n".join([*lines[:stop], *gap, *block, *lines[stop:]]), wanted)


def remove_stage(text: str, number: int) -> str:
    """The text without a stage.

    Raises:
        DesignError: If the text is not TOML, or has no such stage, or no other.
    """
    wanted = copy.deepcopy(_values(text))
    _table(wanted, "stage", number)
    if len(wanted["stage"]) == 1:
        raise DesignError("a design must have a stage", where=WHERE, remedy="change it instead")
    del wanted["stage"][number]
    lines = text.split("\n")
    first, stop = _span(lines, "stage", number)
    return _settled("\n".join([*lines[: first - 1], *lines[stop:]]), wanted)


def _other_block(known: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """What changes with a table's block beside its name."""
    gone = {old: None for old in table if known and old not in known}
    needed = {key: _NEEDED[key] for key, rule in known.items() if key not in table and key in _NEEDED}
    return gone | {key: value for key, value in needed.items() if "default" not in known[key]}


def _values(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        remedy = "put the text right first, or undo"
        raise DesignError(f"a design must be TOML: {error}", where=WHERE, remedy=remedy) from error


def _table(values: dict[str, Any], part: str, number: int) -> dict[str, Any]:
    found: Any = values.get(part) if part else values
    if part == "stage" and isinstance(found, Sequence):
        found = found[number] if 0 <= number < len(found) else None
    if not isinstance(found, dict):
        raise DesignError("no such part", received=f"{part} {number + 1}".strip(), where=WHERE, remedy="add it first")
    return found


def _span(lines: Sequence[str], part: str, number: int) -> tuple[int, int]:
    """Lines of a table, from the one after its header to the next header."""
    headers = [(match[1], at) for at, line in enumerate(lines) if (match := _HEADER.fullmatch(line))]
    starts = [at for name, at in headers if name == part]
    start = -1 if not part else starts[number] if 0 <= number < len(starts) else len(lines)
    return start + 1, min((at for _, at in headers if at > start), default=len(lines))


def _change_line(lines: list[str], first: int, stop: int, key: str, value: Any) -> int:
    """Change, add or take out the line of a key; returns by how many lines the table has grown."""
    pattern = re.compile(rf"(\s*{re.escape(key)}\s*=\s*)([^#]*?)(\s*#.*)?")
    places = range(first, min(stop, len(lines)))
    found = next(((at, match) for at in places if (match := pattern.fullmatch(lines[at]))), None)
    if found and value is None:
        del lines[found[0]]
        return -1
    if value is None:
        return 0
    if found:
        at, match = found
        lines[at] = f"{match[1]}{json.dumps(value, ensure_ascii=False)}{match[3] or ''}"
        return 0
    end = max((at + 1 for at in places if "=" in lines[at].split("#")[0]), default=first)
    lines.insert(end, f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return 1


def _settled(text: str, wanted: Mapping[str, Any]) -> str:
    """The edited text if it says what is wanted; else, of a text too unusual to be edited, the design written anew."""
    try:
        if tomllib.loads(text) == wanted:
            return text
    except tomllib.TOMLDecodeError:
        pass
    return write_design(make_design(dict(wanted), where=WHERE))
