"""What the operating system says of the processor: name, instruction sets, caches, and how much of it is ours."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_COMMON = {1: 32 * 2**10, 2: 512 * 2**10, 3: 16 * 2**20}
_UNITS = {"": 1, "K": 2**10, "M": 2**20}
_CGROUPS = Path("/sys/fs/cgroup")
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_SETS = re.compile(r"(?:sse4_2|avx|f16c|fma|avx2|avx512\w*|avx_\w+|amx_\w+|asimd\w*|neon|sve\w*|i8mm|bf16)")


def processor_name() -> str:
    """The model's name; the kind of processor where the system keeps the name to itself."""
    return _field("model name") or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that speed up a network, as Linux names them; empty where the system does not say."""
    flags = (_field("flags") or _field("Features")).split()
    return tuple(sorted(flag for flag in flags if _SETS.fullmatch(flag)))


def computes_bfloat16() -> bool:
    """Whether an instruction multiplies in bfloat16; it can be read in software anywhere, slowly."""
    return not _BFLOAT16.isdisjoint(instruction_sets())


def caches() -> tuple[int, int, int]:
    """Bytes of the first (data), second and last cache; common sizes where the system does not say."""
    found = dict(_COMMON)
    for folder in sorted(_CACHES.glob("index*")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                found[int(level)] = int(size.rstrip("KM")) * _UNITS[size.lstrip("0123456789")]
    return found[1], found[2], found[max(found)]


def available_threads() -> int:
    """Processors this process may use: the lesser of its affinity and its control group's quota, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].strip("/")
    except OSError:
        return allowed
    return max(1, min([allowed, *_quotas(_CGROUPS, own)]))


def _quotas(root: Path, own: str) -> Iterator[int]:
    """Whole processors granted by each ``cpu.max`` from the group ``own`` up to ``root``; the least one binds."""
    group = root / own
    for folder in (group, *group.parents[: len(Path(own).parts)]):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                yield math.ceil(int(quota) / int(period))


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
