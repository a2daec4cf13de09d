"""Design files: TOML in and out, with errors that name the file, the key, the value and what is allowed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.design.model import Design
from convsmith.errors import DesignError, did_you_mean

_SHAPES: Final = {"model_type": "must be a table", "tuple_type": "must be a list"}
_SECTIONS = {"stem": (STEMS, "block"), "stage": (BLOCKS, "block"), "head": (HEADS, "task")}


def read_design(path: str | Path) -> Design:
    """Read a design file.

    Raises:
        DesignError: If the file is missing, is not TOML, or breaks the format.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DesignError(f"a design must be a readable text file: {error}", where=str(path)) from error
    return parse_design(text, where=str(path))


def parse_design(text: str, where: str = "design") -> Design:
    """Read a design from TOML text; ``where`` names the source in errors.

    Raises:
        DesignError: If it is not TOML or breaks the format.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DesignError(f"a design must be TOML: {error}", where=where) from error
    return make_design(values, where=where)


def make_design(values: dict[str, Any], where: str = "design") -> Design:
    """Check plain values, as a TOML or JSON reader gives them, and make a design of them.

    Raises:
        DesignError: Naming the first key that is wrong, its value and what is allowed.
    """
    try:
        return Design.model_validate(tuples(values))
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the unknown one says more.
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise _design_error(first, values, where) from error


def write_design(design: Design) -> str:
    """A design as TOML text; what equals its default is left out. ``parse_design`` reads it back unchanged."""
    lines = [f"name = {_literal(design.name)}", f"input = {_literal(design.input)}"]
    lines += ["", "[stem]", *_table(design.stem, "block", "width", "stride")]
    for stage in design.stage:
        lines += ["", "[[stage]]", *_table(stage, "block", "depth", "width", "stride")]
    lines += ["", "[head]", *_table(design.head, "task")]
    return "\n".join(lines) + "\n"


def _table(part: BaseModel, *always: str) -> list[str]:
    values = part.model_dump(exclude_defaults=True)
    shown = {key: getattr(part, key) for key in always} | values
    return [f"{key} = {_literal(value)}" for key, value in shown.items()]


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(item) for item in cast('tuple[Any, ...]', value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML forbids what JSON allows: DEL


def tuples(value: Any) -> Any:
    """Plain values with tuples in place of lists."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in cast("dict[str, Any]", value).items()}
    return tuple(tuples(item) for item in cast("list[Any]", value)) if isinstance(value, list) else value


def _design_error(error: ErrorDetails, values: dict[str, Any], where: str) -> DesignError:
    """Turn pydantic's first complaint into one line in the words of a design file."""
    place = [part for part in error["loc"] if part not in BLOCKS | STEMS | HEADS]
    place += [part for part in error["loc"][-1:] if place and place[-1] != part and error["type"] == "extra_forbidden"]
    key = key_text(place)
    if error["type"] == "extra_forbidden":
        allowed = _allowed(place, values)
        return DesignError(
            f"key {key!r} is not known here",
            received=error["input"],
            where=where,
            remedy=_hint(str(place[-1]), allowed),
        )
    if error["type"] == "missing":
        return DesignError(f"key {key!r} is missing", where=where, remedy="add it")
    if error["type"].startswith("union_tag"):
        names, tag = _SECTIONS[str(place[0])]
        received = (
            cast("dict[str, Any]", error["input"]).get(tag) if isinstance(error["input"], dict) else error["input"]
        )
        if received is None:
            return DesignError(f"key '{key}.{tag}' is missing", where=where, remedy=f"use one of {', '.join(names)}")
        rule = f"'{key}.{tag}' is not known"
        return DesignError(rule, received=received, where=where, remedy=_hint(str(received), list(names)))
    rule = f"{key!r}: {complaint(error)}"
    context = error.get("ctx", {})
    if "remedy" in context:
        return DesignError(rule, received=error["input"], where=where, remedy=context["remedy"])
    options = cast("str", context.get("expected", ""))
    allowed = options.replace("'", "").replace(" or ", ", ").split(", ")
    remedy = did_you_mean(str(error["input"]), allowed, shown="{!r}")
    return DesignError(rule, received=error["input"], where=where, remedy=remedy)


def complaint(error: ErrorDetails) -> str:
    """What pydantic finds wrong, in the words of a file: it holds tables and lists, not models and tuples."""
    return _SHAPES.get(error["type"]) or error["msg"][0].lower() + error["msg"][1:]


def key_text(place: Sequence[int | str]) -> str:
    """``("stage", 1, "width")`` is ``stage[2].width``: stages are counted from one, as nodes are named."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _allowed(place: list[int | str], values: dict[str, Any]) -> list[str]:
    if str(place[0]) not in _SECTIONS or len(place) == 1:
        return list(Design.model_fields)
    section = str(place[0])
    functions, tag = _SECTIONS[section]
    part = values[section][cast("int", place[1])] if section == "stage" else values[section]
    schema = cast("dict[str, Any]", Design.model_json_schema()["$defs"])
    model = f"{part.get(tag)}_{section}"
    assert part.get(tag) in functions
    return list(schema[model]["properties"])


def _hint(received: str, allowed: list[str]) -> str:
    return did_you_mean(received, allowed, f"allowed: {', '.join(allowed)}", shown="{!r}")
