"""What the operating system says of the processor: its name, its instruction sets and its caches."""

from __future__ import annotations

import contextlib
import platform
import re
from functools import cache
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_COMMON = {1: 32 * 2**10, 2: 512 * 2**10, 3: 16 * 2**20}
_UNITS = {"": 1, "K": 2**10, "M": 2**20}
_SETS = re.compile(r"(?:sse4_2|avx|f16c|fma|avx2|avx512\w*|avx_\w+|amx_\w+|asimd\w*|neon|sve\w*|i8mm|bf16)")


def processor_name() -> str:
    """The model's name; the kind of processor where the system keeps the name to itself."""
    return _field("model name") or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that speed up a network, as Linux names them; empty where the system does not say."""
    flags = (_field("flags") or _field("Features")).split()
    return tuple(sorted(flag for flag in flags if _SETS.fullmatch(flag)))


def caches() -> tuple[int, int, int]:
    """Bytes of the first (data), second and last cache; common sizes where the system does not say."""
    found = dict(_COMMON)
    for folder in sorted(_CACHES.glob("index*")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                found[int(level)] = int(size.rstrip("KM")) * _UNITS[size.lstrip("0123456789")]
    return found[1], found[2], found[max(found)]


def _field(name: str) -> str:
    """The first line of that name in what Linux says of its processors, or nothing."""
    return next((value for key, value in _lines() if key == name), "")


@cache
def _lines() -> tuple[tuple[str, str], ...]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    pairs = (line.partition(":") for line in lines)
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)
