"""Two networks side by side: what each section and the whole cost in the one and in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsmith.jobs.inspect import Inspection

Pair = tuple[int | None, int | None]
"""A figure of the first network and of the second; None where it has no such section."""


@dataclass(frozen=True)
class Comparison:
    """The difference between two networks, each on its own input."""

    before: Inspection
    after: Inspection

    @property
    def totals(self) -> dict[str, Pair]:
        """Every total of the ``inspect`` contract."""
        before, after = self.before.cost.totals(), self.after.cost.totals()
        return {name: (before[name], after[name]) for name in before}

    @property
    def sections(self) -> list[tuple[str, Pair, Pair]]:
        """Name, parameters and multiply-adds of every section that one of them has, in running order."""
        ours, theirs = ({part.name: part for part in one.sections} for one in (self.before, self.after))
        names = sorted({*ours, *theirs}, key=_running_order)
        pairs = [(name, ours.get(name), theirs.get(name)) for name in names]
        return [(name, (a and a.params, b and b.params), (a and a.macs, b and b.macs)) for name, a, b in pairs]

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data: every figure as [first, second]."""
        return {
            "schema": "convsmith/compare/1",
            "models": [one.graph.name for one in (self.before, self.after)],
            "inputs": [list(one.graph.inputs[0][1].shape) for one in (self.before, self.after)],
            "totals": {name: list(pair) for name, pair in self.totals.items()},
            "sections": [
                {"name": name, "params": list(params), "macs": list(macs)} for name, params, macs in self.sections
            ],
        }


def compare(before: Inspection, after: Inspection) -> Comparison:
    """Two inspected networks side by side."""
    return Comparison(before, after)


def _running_order(name: str) -> tuple[int, int, str]:
    """Stem, stages by number, head; a name of another kind goes before the head."""
    number = name.removeprefix("stage")
    if number.isdigit():
        return 1, int(number), name
    return {"stem": 0, "head": 3}.get(name, 2), 0, name
