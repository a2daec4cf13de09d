"""How many processors this process may use; in a file of its own, since it is also asked where torch is not loaded."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")


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
