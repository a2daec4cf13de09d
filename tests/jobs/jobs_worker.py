"""One worker process of a small search, which tells in a file what it trains.

    python jobs_worker.py DIARY CACHE HANG LEASE fit ...

It stops for good at the start of its training number HANG, counted from one; 0 is never. Its first training waits while
there is a file DIARY.hold.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jobs_small_fit import quick

from convsmith.cli.main import main
from convsmith.jobs.lab import Lab
from convsmith.search import database_study

if __name__ == "__main__":
    diary, cache, hang, lease, *arguments = sys.argv[1:]
    os.environ["CONVSMITH_CACHE"] = cache
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    quick(pytest.MonkeyPatch())
    database_study.LEASE, database_study.BEAT = float(lease), float(lease) / 10
    train, begun = Lab.train, []

    def told(self, work):
        begun.append(work)
        with Path(diary).open("a") as stream:
            stream.write(f"{work.identity}\n")
        while len(begun) == int(hang) or Path(f"{diary}.hold").exists():
            time.sleep(0.2)
        time.sleep(0.2)  # as if there were something to learn
        return train(self, work)

    Lab.train = told
    main(arguments)
