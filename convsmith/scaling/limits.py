"""Budgets: how much a design may cost, by any number of measures at once. The tightest one decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from convsmith.design import Design
from convsmith.errors import BudgetError
from convsmith.quantities import format_bytes, format_count, format_list
from convsmith.scaling.price import Price, price

MEMORY: Final = "memory"


@dataclass(frozen=True)
class Measure:
    """A limit on something else that a design costs, such as bytes or seconds.

    Attributes:
        name: What is measured.
        limit: The most that is allowed.
        cost: The exact cost of a design, in the unit of the limit; what is promised.
        show: A cost as text for people.
        macs: About how many multiply-adds the limit buys; decides nothing but how fine the widths are.
        guess: The same as ``cost`` but quick and a little off, where there is such a thing; it guides the solver.
    """

    name: str
    limit: float
    cost: Callable[[Design], float] = field(compare=False)
    show: Callable[[float], str] = field(compare=False)
    macs: float = field(compare=False)
    guess: Callable[[Design], float] | None = field(default=None, compare=False)

    def guessed(self, design: Design) -> float:
        """The quick cost."""
        return (self.guess or self.cost)(design)


def memory_limit(limit: int) -> Measure:
    """A limit on the bytes of weights and of the values alive at once, for one image, as ``inspect`` counts them."""
    # Thirds of a network's memory are mostly weights; each takes 4 bytes and part in about 16 products.
    return Measure(MEMORY, limit, lambda design: price(design).memory, format_bytes, macs=4 * limit)


@dataclass(frozen=True)
class Limits:
    """Most multiply-adds, most parameters, and limits by other measures; None leaves one free.

    Raises:
        BudgetError: If all are left free.
    """

    macs: int | None = None
    params: int | None = None
    others: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        if self.macs is None and self.params is None and not self.others:
            raise BudgetError("a budget must limit macs or params", remedy="give at least one, such as --macs 10M")

    def use(self, price: Price) -> float:
        """Share of the tighter limit of multiply-adds and parameters that a price takes; above one it is over."""
        return float(self.use_of(price.macs, price.params))

    def use_of(self, macs: Any, params: Any) -> Any:
        """The same for arrays; zero where neither is limited."""
        pairs = ((macs, self.macs), (params, self.params))
        return np.maximum.reduce([spent / limit for spent, limit in pairs if limit is not None] or [0.0 * macs])

    def taken(self, design: Design) -> float:
        """Share of the tightest of all limits that a design takes, exactly."""
        return max(share for _, share in self._shares(design, exact=True))

    def guessed(self, design: Design) -> float:
        """About the same, quickly."""
        return max(share for _, share in self._shares(design, exact=False))

    def binding(self, design: Design) -> str:
        """The name of the limit that a design takes most of."""
        return max(self._shares(design, exact=True), key=lambda pair: pair[1])[0]

    def costs(self, design: Design) -> dict[str, float]:
        """What a design costs by the other measures, by their names."""
        return {measure.name: measure.cost(design) for measure in self.others}

    def times(self, factor: float) -> Limits:
        """All limits multiplied; whole numbers are rounded up and stay above zero."""
        macs, params = (None if most is None else max(1, math.ceil(most * factor)) for most in (self.macs, self.params))
        others = tuple(
            dataclasses.replace(one, limit=one.limit * factor, macs=one.macs * factor) for one in self.others
        )
        return Limits(macs, params, others)

    def each(self) -> Iterator[Limits]:
        """Every limit on its own."""
        if self.macs is not None:
            yield Limits(macs=self.macs)
        if self.params is not None:
            yield Limits(params=self.params)
        yield from (Limits(others=(measure,)) for measure in self.others)

    @staticmethod
    def joined(parts: Sequence[Limits]) -> Limits:
        """All limits of several budgets, of which each kind is in one."""
        macs = next((part.macs for part in parts if part.macs is not None), None)
        params = next((part.params for part in parts if part.params is not None), None)
        return Limits(macs, params, tuple(measure for part in parts for measure in part.others))

    def told(self, design: Design) -> str:
        """What a design costs by everything that is limited, and always its multiply-adds and parameters."""
        cost = price(design)
        parts = [f"{format_count(cost.macs)} MACs", f"{format_count(cost.params)} parameters"]
        return format_list([*parts, *(f"{one.name} of {one.show(one.cost(design))}" for one in self.others)])

    def __str__(self) -> str:
        parts = ((self.macs, "MACs"), (self.params, "parameters"))
        counts = [f"{format_count(limit)} {name}" for limit, name in parts if limit is not None]
        return format_list([*counts, *(f"{one.name} of {one.show(one.limit)}" for one in self.others)])

    def _shares(self, design: Design, *, exact: bool) -> Iterator[tuple[str, float]]:
        if self.macs is not None or self.params is not None:
            cost = price(design)
            yield from (
                (n, s / m) for n, s, m in (("macs", cost.macs, self.macs), ("params", cost.params, self.params)) if m
            )
        for measure in self.others:
            cost_of = measure.cost if exact else measure.guessed
            yield measure.name, cost_of(design) / measure.limit
