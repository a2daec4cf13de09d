"""The last word on a latency budget: who is to enter the finals is timed, and made smaller or wider to fill it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from convsmith.design import Design
from convsmith.errors import BudgetError
from convsmith.jobs.export_form import Stand
from convsmith.jobs.fit_budget import LATENCY
from convsmith.jobs.step import Tell
from convsmith.quantities import format_seconds
from convsmith.scaling import Limits, solve
from convsmith.scaling.axes import total_depth, with_total_depth
from convsmith.scaling.solve import narrowest
from convsmith.search.candidate import Candidate
from convsmith.search.space import make_candidate

_ROOM: Final = 0.985
"""Share of the budget that a smaller network is solved for, since measurements differ by a per cent or two."""
_FURTHER: Final = 0.94
"""And by this factor less each time that it did not do."""
_TRIES: Final = 20
_FILLED: Final = 0.95
"""Share of the budget below which a network is made wider."""
_WIDER_TRIES: Final = 3


class Settler:
    """Times networks in turns; those over the budget or far below it give their places to the next on their lines.

    Args:
        stand: Where they are timed.
        limits: The budget, latency among it.
        quantum: Widths are multiples of this where possible.
        tell: Told of every replacement.
    """

    def __init__(self, stand: Stand, limits: Limits, quantum: int, tell: Tell) -> None:
        self._stand = stand
        self._limits = limits
        self._latency = next(measure for measure in limits.others if measure.name == LATENCY)
        self._quantum = quantum
        self._tell = tell

    def __call__(self, field: Sequence[Candidate]) -> list[Candidate]:
        """For each network itself, timed, or the one that takes its place.

        Raises:
            BudgetError: If no network on its line is as fast in practice.
        """
        timed = self._timed(field)
        if any(seconds > self._latency.limit for seconds in timed):  # what disturbs only makes a run longer
            timed = [min(pair) for pair in zip(timed, self._timed(field), strict=True)]
        return [self._within(candidate, seconds) for candidate, seconds in zip(field, timed, strict=True)]

    def _timed(self, field: Sequence[Candidate]) -> list[float]:
        return [latency.seconds for latency in self._stand.measure([candidate.design for candidate in field])]

    def _within(self, candidate: Candidate, seconds: float) -> Candidate:
        design, taken = candidate.design, seconds
        if taken > self._latency.limit:
            design, taken = self._shrunk(design, taken)
        weights_fit = design is candidate.design and candidate.start
        if taken < _FILLED * self._latency.limit and not weights_fit:
            design, taken = self._widened(design, taken)
        if design is candidate.design:
            return dataclasses.replace(candidate, seconds=taken)
        return self._replaced(candidate, design, seconds, taken)

    def _widened(self, design: Design, seconds: float) -> tuple[Design, float]:
        """The design wider, where that is within the budget as measured, or as it is; and its time."""
        aim, predicted = _ROOM, self._latency.cost(design)
        for _ in range(_WIDER_TRIES):
            try:
                wider = self._solved(design, aim * self._latency.limit * predicted / seconds)
            except BudgetError:
                break
            if self._latency.cost(wider) <= predicted:  # another limit is in the way
                break
            measured = self._stand.measure([wider])[0].seconds
            if seconds < measured <= self._latency.limit:
                return wider, measured
            aim *= _FURTHER
        return design, seconds

    def _shrunk(self, design: Design, seconds: float) -> tuple[Design, float]:
        """The next smaller design that is within the budget as measured, and its time."""
        name, aim, fastest = design.name, _ROOM, seconds
        for _ in range(_TRIES):
            predicted = self._latency.cost(design)
            design = self._smaller(design, aim * self._latency.limit * predicted / seconds)
            seconds = self._stand.measure([design])[0].seconds
            fastest = min(fastest, seconds)
            if seconds <= self._latency.limit:
                return design, seconds
            aim *= _FURTHER
        raise BudgetError(
            f"no network like {name} is so fast: the fastest measured takes {format_seconds(fastest)}",
            received=format_seconds(self._latency.limit),
            where="latency",
        )

    def _smaller(self, design: Design, latency: float) -> Design:
        """The design with widths, and if need be fewer blocks, for a predicted latency and within all other limits."""
        for shape in _line(design):
            try:
                return self._solved(shape, latency)
            except BudgetError:
                continue
        return narrowest(with_total_depth(design, len(design.stage)))

    def _solved(self, shape: Design, latency: float) -> Design:
        """The design with widths for a predicted latency and within all other limits.

        Raises:
            BudgetError: If there are none.
        """
        others = tuple(
            dataclasses.replace(one, limit=latency) if one.name == LATENCY else one for one in self._limits.others
        )
        return solve(shape, dataclasses.replace(self._limits, others=others), quantum=self._quantum, pixels=0)

    def _replaced(self, candidate: Candidate, design: Design, before: float, seconds: float) -> Candidate:
        origin = "draw:narrowed" if candidate.start else candidate.origin  # weights do not fit another width
        other = make_candidate(design, origin, candidate.shares, self._limits)
        self._tell(
            f"  {candidate.design.name} takes {format_seconds(before)} of {format_seconds(self._latency.limit)}; "
            f"in its place {other.design.name}, {format_seconds(seconds)}"
        )
        return dataclasses.replace(other, replaces=candidate.key, seconds=seconds)


def _line(design: Design) -> Iterator[Design]:
    """The design, and the same with fewer and fewer blocks."""
    yield design
    for total in range(total_depth(design) - 1, len(design.stage) - 1, -1):
        yield with_total_depth(design, total)
