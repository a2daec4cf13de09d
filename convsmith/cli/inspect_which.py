"""``inspect --which``: the way of counting behind a published number, exact or rounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from convsmith.interop.conventions import CONVENTIONS, QUOTED
from convsmith.jobs.inspect import Inspection
from convsmith.quantities import parse_rounded

_NEAREST: Final = 3
_DESCRIPTIONS: Final = {one.name: one.description for one in (*CONVENTIONS.values(), *QUOTED.values())}


@dataclass(frozen=True)
class Published:
    """A number as somebody published it.

    Attributes:
        text: As it was given.
        number: What it stands for.
        margin: How far the exact number may be from it, if it was rounded: half a unit of its last digit.
    """

    text: str
    number: int
    margin: int


@dataclass(frozen=True)
class Match:
    """Where a number may come from.

    Attributes:
        name: A convention, or a fact such as ``params``.
        total: What it gives, exactly.
    """

    name: str
    total: int

    @property
    def description(self) -> str:
        """What is counted."""
        return _DESCRIPTIONS.get(self.name.partition(",")[0], "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "total": self.total, "description": self.description}


@dataclass(frozen=True)
class Answer:
    """What a published number counts.

    Attributes:
        found: Ways of counting that give it.
        nearest: If there are none, those that come nearest.
    """

    model: str
    published: Published
    found: tuple[Match, ...]
    nearest: tuple[Match, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema": "convsmith/which/1",
            "model": self.model,
            "number": self.published.number,
            "found": [one.to_dict() for one in self.found],
            "nearest": [one.to_dict() for one in self.nearest],
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if not self.found:
            yield f"nothing that is counted of {self.model} gives {self.published.text}; nearest are"
        for one in self.found or self.nearest:
            off = one.total - self.published.number
            far = f" ({off:+,})" if off else ""
            yield f"{one.total:,}{far} is {one.name}{f': {one.description}' if one.description else ''}"


def parse_published(text: str) -> Published:
    """Read a number such as ``4111514624`` or, rounded, ``4.11G``.

    Raises:
        QuantityError: If it is none.
    """
    return Published(text, *parse_rounded(text, "number"))


def find_which(inspection: Inspection, published: Published) -> Answer:
    """What ``published`` counts of a network."""
    number = published.number
    totals = {**inspection.conventions, "params": inspection.cost.params}
    exact = [Match(name, number) for name in inspection.which(number)]
    near = sorted((Match(name, total) for name, total in totals.items()), key=lambda one: abs(one.total - number))
    close = [one for one in near if 0 < abs(one.total - number) <= published.margin]
    found = (*exact, *close)
    return Answer(inspection.graph.name, published, found, () if found else tuple(near[:_NEAREST]))
