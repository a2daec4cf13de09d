"""What earlier runs trained tells a race about networks that nobody has trained: evidence for its surrogate.

A network of another budget is no candidate here, but where a budget of twice as much was well spent says much about
where to look in this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from convsmith.search.candidate import Candidate, Outcome, Training, Work

MOST: Final = 256
"""Trainings that are taken along: what a surrogate costs grows with their cube."""


def evidence(trainings: Iterable[Training], field: Sequence[Candidate]) -> list[Training]:
    """Those that a race of ``field`` learns from, oldest first: of other networks, from scratch, judged on select.

    If there are more than ``MOST``, those of networks that cost about as much as the field's. The field's own are found
    where they are asked for.
    """
    costs = sorted(math.log(one.macs) for one in field)
    middle = costs[len(costs) // 2]
    own = {one.key for one in field}
    good = [
        one
        for one in trainings
        if not (one.candidate.key in own or one.work.final or one.outcome.failed or one.candidate.start)
    ]
    nearest = sorted(range(len(good)), key=lambda place: abs(math.log(good[place].candidate.macs) - middle))
    return [good[place] for place in sorted(nearest[:MOST])]


def noted(trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """JSON values, with the networks."""
    return [{"work": one.work.to_dict(), "outcome": one.outcome.to_dict()} for one in trainings]


def from_notes(values: Iterable[Mapping[str, Any]]) -> tuple[Training, ...]:
    """The inverse of ``noted``."""
    return tuple(Training(Work.from_dict(one["work"]), Outcome.from_dict(one["outcome"])) for one in values)
