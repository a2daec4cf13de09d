"""How much memory is left to this process, and how much of it pixels may take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

try:
    import resource
except ImportError:  # there are no such limits on Windows
    resource = None

_CGROUPS: Final = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that this process may still take: the least of what the machine has free and what limits leave.

    Limits are those of its control groups and of ``ulimit -v`` and ``-d``. Pages of files count as free.
    """
    limits = (*_left_by_limits(), *_left_in_groups(_CGROUPS, _own_group()))
    return max(0, min([psutil.virtual_memory().available, *limits]))


def fits(size: int, share: float) -> bool:
    """Whether ``size`` bytes are at most that share of the free memory."""
    return size <= share * free_memory()


def _left_by_limits() -> Iterator[int]:
    if resource is None:
        return
    used = psutil.Process().memory_info()
    for limit, taken in ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, getattr(used, "data", 0))):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            yield most - taken


def _own_group() -> str:
    try:
        return Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].strip("/")
    except OSError:
        return ""


def _left_in_groups(root: Path, own: str) -> Iterator[int]:
    """What each group from ``own`` up to ``root`` leaves; pages of files that it could drop count as left."""
    group = root / own
    for folder in (group, *group.parents[: len(Path(own).parts)]):
        with contextlib.suppress(OSError, ValueError):
            limit = (folder / "memory.max").read_text().strip()
            if limit != "max":
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                taken = int((folder / "memory.current").read_text())
                yield int(limit) - taken + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
