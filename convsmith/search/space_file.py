"""The space as a file that a user can change: ``space.toml`` beside this module, whose comments say what a key means.

What a user's file leaves out is as in that one, so every default stands there and nowhere else.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from convsmith.design.toml_file import complaint, key_text, tuples
from convsmith.errors import ConvsmithError, did_you_mean

Family: TypeAlias = Literal[
    "residual", "bottleneck", "depthwise", "inverted_residual", "ghost", "ghost_v2", "convnext", "plain"
]
_MOST_BLOCKS: Final = 1000


class SpaceError(ConvsmithError):
    """A space file that breaks the format, or a space without networks."""


def _range(least: float, most: float) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """A check that a range is one, and within limits."""

    def check(value: tuple[float, float]) -> tuple[float, float]:
        if not least <= value[0] <= value[1] <= most:
            raise ValueError(f"must be [least, most] with {least:g} <= least <= most <= {most:g}")
        return value

    return check


def _one_of(*allowed: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
        return value

    return check


Share: TypeAlias = Annotated[tuple[float, float], AfterValidator(_range(-10, 10))]
Ratios: TypeAlias = Annotated[tuple[Annotated[float, Field(gt=0, le=16)], ...], Field(min_length=1)]


class _Table(BaseModel, extra="forbid", frozen=True, strict=True):
    pass


class Shares(_Table, frozen=True):
    """Ranges of the shares of depth, width and resolution in the growth from the base to the budget."""

    depth: Share
    width: Share
    resolution: Share


class Depth(_Table, frozen=True):
    """How many blocks there are, and in which stages."""

    blocks: Annotated[tuple[int, int], AfterValidator(_range(1, _MOST_BLOCKS))]
    tilt: Annotated[tuple[float, float], AfterValidator(_range(-3, 3))]
    bulge: Annotated[tuple[float, float], AfterValidator(_range(-3, 3))]
    stages: Annotated[int, Field(ge=0, le=6)]


class Width(_Table, frozen=True):
    """How widths grow along the stages, and what they are multiples of."""

    growth: Annotated[tuple[float, float], AfterValidator(_range(1, 8))]
    multiple: Annotated[int, AfterValidator(_one_of(0, 1, 2, 4, 8, 16))]


class Resolution(_Table, frozen=True):
    """How large an image the network sees."""

    scale: Annotated[tuple[float, float], AfterValidator(_range(0.01, 2))]
    step: Annotated[int, Field(ge=0)]


class StemChoice(_Table, frozen=True):
    """How much the stem shrinks the image."""

    stride: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=1)]


class Expansion(_Table, frozen=True):
    """How much wider, or narrower, blocks are inside."""

    inverted_residual: Ratios
    bottleneck: Ratios


class Declaration(_Table, frozen=True):
    """What is searched, whatever the images and the budget; the keys of ``space.toml``."""

    families: Annotated[tuple[Family, ...], Field(min_length=1)]
    family_changes: Annotated[int, Field(ge=0, le=1)]
    se_ratio: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]
    shares: Shares
    depth: Depth
    width: Width
    resolution: Resolution
    stem: StemChoice
    expansion: Expansion


@cache
def default_text() -> str:
    """The file of the default space, comments included."""
    return files("convsmith.search").joinpath("space.toml").read_text(encoding="utf-8")


@cache
def default_space() -> Declaration:
    """The space that is searched where no other one is given."""
    return Declaration.model_validate(tuples(tomllib.loads(default_text())))


def read_space(path: str | Path) -> Declaration:
    """Read a space file.

    Raises:
        SpaceError: If the file is missing, is not TOML, or breaks the format.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "`convsmith fit --write-space FILE` writes one to start from"
        raise SpaceError(f"a space must be a readable text file: {error}", where=str(path), remedy=remedy) from error
    return parse_space(text, where=str(path))


def parse_space(text: str, where: str = "space") -> Declaration:
    """Read a space from TOML text; ``where`` names the source in errors.

    Raises:
        SpaceError: If it is not TOML or breaks the format; names the first key that is wrong.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"a space must be TOML: {error}", where=where) from error
    try:
        return Declaration.model_validate(tuples(_completed(values, tomllib.loads(default_text()))))
    except ValidationError as error:
        # A wrong key may be a misspelt one that another complaint is about.
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise _space_error(first, where) from error


def _completed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values with what they leave out."""
    merged = dict(defaults)
    for key, value in values.items():
        default = defaults.get(key)
        merged[key] = _completed(value, default) if isinstance(value, dict) and isinstance(default, dict) else value
    return merged


def _space_error(error: ErrorDetails, where: str) -> SpaceError:
    """Pydantic's complaint in one line, in the words of a space file."""
    key = key_text(error["loc"])
    received = _lists(error["input"])
    if error["type"] == "extra_forbidden":
        return SpaceError(f"key {key!r} is not known", received=received, where=where, remedy=_nearest(key))
    context = error.get("ctx", {})
    message = str(context["error"]) if "error" in context else complaint(error)
    allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
    remedy = did_you_mean(str(received), allowed, shown="{!r}")
    return SpaceError(f"{key!r}: {message}", received=received, where=where, remedy=remedy)


def _lists(value: Any) -> Any:
    """As a TOML file has it."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in cast("dict[str, Any]", value).items()}
    return [*map(_lists, cast("tuple[Any, ...]", value))] if isinstance(value, tuple) else value


def _nearest(key: str) -> str:
    """The key that was probably meant; keys are compared with and without the tables that they are in."""
    defaults = tomllib.loads(default_text())
    known = list(_keys(defaults))
    tables = [name for name, value in defaults.items() if isinstance(value, dict)]
    tails = {name.rpartition(".")[2]: name for name in reversed(known)}
    plain = key.rpartition(".")[2]
    meant = did_you_mean(key, [*known, *tables], shown="{!r}") or (
        f"did you mean {tails[plain]!r}?" if plain in tails else ""
    )
    return " ".join([*([meant] if meant else []), f"known keys: {', '.join(known)}"])


def _keys(values: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _keys(cast("dict[str, Any]", value), f"{within}{key}.")
        else:
            yield f"{within}{key}"
