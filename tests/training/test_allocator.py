from __future__ import annotations

import json
import resource
import subprocess
import sys

import psutil
import pytest
import torch

from convsmith.training.allocator import memory_kept

BYTES = 48 * 2**20  # more than glibc would ever keep by itself


def pages_faulted() -> int:
    """Pages that the system had to provide while a large piece of memory came and went ten times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def measured() -> tuple[int, int, int, int]:
    """Pages faulted without and with memory kept, and bytes that the process has more meanwhile and afterwards."""
    usual, before = pages_faulted(), psutil.Process().memory_info().rss
    with memory_kept():
        pages_faulted()  # until there is enough to keep
        kept, meanwhile = pages_faulted(), psutil.Process().memory_info().rss
    return usual, kept, meanwhile - before, psutil.Process().memory_info().rss - before


@pytest.mark.slow
def test_memory_stays_within_and_goes_back_after() -> None:
    """In a process of its own: one that did other things may have a hole of this size in its heap."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, check=True)
    usual, kept, meanwhile, afterwards = json.loads(done.stdout)
    pages = BYTES // 4096
    assert usual > 8 * pages
    assert kept < pages
    assert meanwhile > BYTES // 2
    assert afterwards < BYTES // 2


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured()))
