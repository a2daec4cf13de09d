from __future__ import annotations

import resource

import psutil
import torch

from convsmith.training.allocator import memory_kept

BYTES = 48 * 2**20  # more than glibc would ever keep by itself


def pages_faulted() -> int:
    """Pages that the system had to provide while a large piece of memory came and went ten times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_stays_within_and_goes_back_after() -> None:
    pages = BYTES // 4096
    assert pages_faulted() > 8 * pages
    before = psutil.Process().memory_info().rss
    with memory_kept():
        pages_faulted()  # until there is enough to keep
        assert pages_faulted() < pages
        assert psutil.Process().memory_info().rss > before + BYTES // 2
    assert psutil.Process().memory_info().rss < before + BYTES // 2
