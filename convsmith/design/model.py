"""The design: stem, stages and head as frozen values, with the keys that each block's own signature declares.

A block's keyword arguments are read once, here, and become the keys of its stage: adding an argument to a block adds
it to the file format, its checks and the JSON schema.
"""

from __future__ import annotations

import importlib
import inspect
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, cast, get_type_hints

from pydantic import BaseModel, Field, create_model

from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.design.stride import Stride, WholeStride

Size = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1, le=10_000)]
"""More blocks than anyone trains; a slip of the keyboard must not cost minutes."""


class _Part(BaseModel, extra="forbid", frozen=True, strict=True):
    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the block itself."""
        own = set(type(self).model_fields) - set(_shared(type(self)))
        return {name: getattr(self, name) for name in own}


class Stem(_Part, frozen=True):
    """How the image comes in: a block that stands before the first stage; ``stride`` as for a stage."""

    block: str
    width: Size
    stride: WholeStride = 1


class Stage(_Part, frozen=True):
    """``depth`` blocks of ``width`` channels; the first of them divides the size of the map by ``stride``.

    A stride is a whole number, or for a block that can enlarge ``Fraction(1, n)``, in a file ``"1/n"``.
    """

    block: str
    depth: Depth
    width: Size
    stride: WholeStride = 1


class Head(_Part, frozen=True):
    """What the network is for."""

    task: str


def _shared(part: type[BaseModel]) -> set[str]:
    return set(next(base for base in (Stem, Stage, Head) if issubclass(part, base)).model_fields)


def _variants(base: type[BaseModel], key: str, functions: dict[str, Callable[..., str]]) -> tuple[type[BaseModel], ...]:
    return tuple(_variant(base, key, name, function) for name, function in functions.items())


def _variant(base: type[BaseModel], key: str, name: str, function: Callable[..., str]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {key: (operator.getitem(cast("Any", Literal), name), name)}
    for option, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and option not in base.model_fields:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[option] = (hints[option], default)
    if hints.get("stride") == Stride:
        fields["stride"] = (Stride, 1)
    return create_model(f"{name}_{base.__name__.lower()}", __base__=base, __doc__=inspect.getdoc(function), **fields)


if TYPE_CHECKING:
    AnyStem: TypeAlias = Stem
    AnyStage: TypeAlias = Stage
    AnyHead: TypeAlias = Head
else:
    AnyStem = Annotated[Union[_variants(Stem, "block", STEMS)], Field(discriminator="block")]  # noqa: UP007
    AnyStage = Annotated[Union[_variants(Stage, "block", BLOCKS)], Field(discriminator="block")]  # noqa: UP007
    AnyHead = Annotated[Union[_variants(Head, "task", HEADS)], Field(discriminator="task")]  # noqa: UP007


class Design(BaseModel, extra="forbid", frozen=True, strict=True):
    """A network as its author thinks of it. ``input`` is (channels, height, width)."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    input: tuple[Size, Size, Size]
    stem: AnyStem
    stage: Annotated[tuple[AnyStage, ...], Field(min_length=1)]
    head: AnyHead

    def _repr_html_(self) -> str:
        """How a notebook shows it: its inspection, from a layer above that is looked up when a notebook asks."""
        return importlib.import_module("convsmith.jobs.notebook").html_of(self)
