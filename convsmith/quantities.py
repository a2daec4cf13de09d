"""Numbers with units: read from text, and written for people.

This is the single place that rounds. Everything computed stays exact until it is printed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar, overload

from convsmith.errors import QuantityError

Number = TypeVar("Number", int, float)

_COUNT_UNITS: dict[str, int] = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_TIME_UNITS: dict[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_BYTE_UNITS: dict[str, int] = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([a-zA-Z]*)\s*")


def _split(text: str, units: Mapping[str, float], what: str, example: str) -> tuple[str, float]:
    match = _NUMBER.fullmatch(text)
    remedy = f"write it like {example}"
    if match is None:
        raise QuantityError(f"{what} must be a non-negative number with an optional unit", received=text, remedy=remedy)
    number, unit = match.groups()
    if unit.lower() not in units:
        known = ", ".join(u for u in units if u)
        raise QuantityError(f"unit {unit!r} of {what} is not one of {known}", received=text, remedy=remedy)
    number = number.replace("_", "")
    if not math.isfinite(float(number) * units[unit.lower()]):
        raise QuantityError(f"{what} is too large", received=text, remedy=remedy)
    return number, units[unit.lower()]


def parse_count(text: str | float, what: str = "count") -> int:
    """Read an exact count such as ``"10M"``, ``"1.5G"`` or ``200_000``.

    Raises:
        QuantityError: If the text is not a finite number, its unit is unknown, or it is below one.
    """
    number, unit = _split(str(text), _COUNT_UNITS, what, "10M, 1.5G or 200000")
    value = round(float(number) * unit) if not number.isdigit() else int(number) * int(unit)
    if value < 1:
        raise QuantityError(f"{what} must be at least 1", received=text)
    return value


def parse_rounded(text: str, what: str = "count") -> tuple[int, int]:
    """Read a count that may be rounded, such as ``"4.11G"`` or ``"4.1e9"``, and half a unit of its last digit.

    The half is 0 for a number without unit and exponent, which is exact.

    Raises:
        QuantityError: As ``parse_count``.
    """
    count = parse_count(text, what)
    number, unit = _split(text, _COUNT_UNITS, what, "10M, 1.5G or 200000")
    digits, _, exponent = number.lower().partition("e")
    if unit == 1 and not exponent:
        return count, 0
    decimals = len(digits.partition(".")[2])
    return count, int(Fraction(unit) * Fraction(10) ** (int(exponent or 0) - decimals) / 2)


def parse_seconds(text: str | float, what: str = "time", default_unit: str = "s") -> float:
    """Read a duration such as ``"3ms"``, ``"20min"`` or ``"1.5h"``; a bare number is in ``default_unit``.

    Raises:
        QuantityError: If the text is not a finite number, its unit is unknown, or it is not positive.
    """
    units = {**_TIME_UNITS, "": _TIME_UNITS[default_unit]}
    number, unit = _split(str(text), units, what, "3ms, 90s or 20min")
    if float(number) <= 0:
        raise QuantityError(f"{what} must be above zero", received=text)
    return float(number) * unit


def parse_minutes(text: str | float, what: str = "time") -> float:
    """Read a duration as minutes, which are also the unit of a bare number.

    Raises:
        QuantityError: As ``parse_seconds``.
    """
    return parse_seconds(text, what, default_unit="min") / 60


def parse_bytes(text: str | float, what: str = "size") -> int:
    """Read a size such as ``"500kB"`` or ``"6MiB"``; a bare number is in bytes.

    Raises:
        QuantityError: If the text is not a finite number or its unit is unknown.
    """
    number, unit = _split(str(text), _BYTE_UNITS, what, "500kB or 6MiB")
    return round(float(number) * unit)


@overload
def in_units(value: Number | str, read: Callable[[str], Number]) -> Number: ...
@overload
def in_units(value: Number | str | None, read: Callable[[str], Number]) -> Number | None: ...
def in_units(value: Number | str | None, read: Callable[[str], Number]) -> Number | None:
    """A number as it is, and text such as ``"10M"`` as ``read`` reads it.

    Raises:
        QuantityError: If ``read`` cannot.
    """
    return read(value) if isinstance(value, str) else value


def parse_shape(text: str | int | Sequence[int], what: str = "shape", rank: int | None = None) -> tuple[int, ...]:
    """Read a shape such as ``"3x224x224"`` (also with ``,`` or ``×``).

    Raises:
        QuantityError: If a part is not a positive integer or the number of parts is not ``rank``.
    """
    single = isinstance(text, str | int)
    parts = re.split(r"[x×,]", str(text).strip().lower()) if single else [str(part) for part in text]
    sizes = tuple(int(part) for part in (p.strip() for p in parts) if part.isdecimal())
    if not sizes or len(sizes) != len(parts) or not all(sizes) or (rank is not None and len(sizes) != rank):
        count = "some" if rank is None else str(rank)
        raise QuantityError(
            f"{what} must be {count} positive integers joined by x", received=text, remedy="write it like 3x224x224"
        )
    return sizes


def format_count(value: float) -> str:
    """Four significant digits with a decimal unit: ``4089184256`` is ``4.089G``."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.99995:
            return f"{_significant(value / size, 4)}{unit}"
    return f"{value:,.0f}"


def count_of(number: int, one: str, many: str = "") -> str:
    """``1 image``, ``1,200 images``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def format_bytes(value: float) -> str:
    """Four significant digits with a binary unit: ``102228128`` is ``97.49 MiB``."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{_significant(value / size, 4)} {unit}"
    return f"{value:.0f} B"


def format_seconds(value: float) -> str:
    """A duration as people say it: ``3.20 ms``, ``41.0 s``, ``12 min 30 s``, ``2 h 5 min``."""
    if value < 0.9995e-3:
        return f"{value * 1e3:.3g} ms"
    if value < 0.9995:
        return f"{_significant(value * 1e3, 3)} ms"
    if value < 59.95:
        return f"{_significant(value, 3)} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_percent(fraction: float, digits: int = 1, *, signed: bool = False) -> str:
    """``0.9753`` is ``97.5 %``, or ``+97.5 %`` if it is a change."""
    return f"{fraction * 100:{'+' if signed else ''}.{digits}f} %"


def format_probability(value: float) -> str:
    """``0.9753`` is ``97.5 %``; one so near to none or to all that it would be rounded to it says only that."""
    text = format_percent(value)
    return {"0.0 %": "< 0.1 %", "100.0 %": "> 99.9 %"}.get(text, text)


def format_shape(shape: Sequence[int], sign: str = "x") -> str:
    """``(3, 224, 224)`` is ``3x224x224``, or has another sign between the sizes."""
    return sign.join(str(size) for size in shape)


def format_list(parts: Sequence[str]) -> str:
    """Words in a row: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _significant(value: float, digits: int) -> str:
    whole = len(str(int(abs(float(f"{value:.{digits}g}")))))  # of the rounded value: 9.9996 has two
    return f"{value:.{max(digits - whole, 0)}f}"
