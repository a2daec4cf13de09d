"""What a study that many workers share costs: the record's part of a training, and how many it takes a second.

    PYTHONPATH=. python benchmarks/study.py

A real PostgreSQL is started on this machine, without waiting for its disk, so this is what statements and connections
cost. Workers are threads with a connection each, and train nothing: they look, claim, look again, record, look and give
back, as a worker does. A row holds the answers to 10,000 test images.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import harness
import numpy as np

from convsmith.search.candidate import Outcome, Work
from convsmith.search.database import Address, Database
from convsmith.search.database_study import DatabaseStudy
from tests.postgresql import Server, running
from tests.search.world import make_candidate

NETWORKS = 60
TRAININGS = 600
LOOKS = 200
IMAGES = 10_000
CANDIDATES = [make_candidate(number, f"draw:{number}", "width") for number in range(NETWORKS)]


def opened(server: Server) -> tuple[Database, DatabaseStudy]:
    database = Database(Address.parse(server.url), lambda line: None)
    return database, DatabaseStudy(database, "benchmark")


def one_after_the_other(server: Server, first: int, count: int, outcome: Outcome) -> None:
    """As many trainings as one worker can put on record."""
    database, study = opened(server)
    for number in range(count):
        work = Work(CANDIDATES[number % NETWORKS], first + number // NETWORKS, 0, final=False)
        assert study.find(work) is None
        assert study.claim(study.name(work))
        study.find(work)
        study.record(work, outcome)
        study.find(work)
        study.release(study.name(work))
    database.close()


def together(server: Server, workers: int, outcome: Outcome) -> dict[str, float]:
    share = TRAININGS // workers
    threads = [
        threading.Thread(
            target=one_after_the_other, args=[server, 1_000_000 * workers + 1_000 * worker, share, outcome]
        )
        for worker in range(workers)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    return {"trainings_per_second": share * workers / seconds, "milliseconds_each": 1e3 * seconds / share}


def main() -> None:
    bits = np.packbits(np.random.default_rng(0).random(IMAGES) < 0.7).tobytes()
    outcome = Outcome(0.7, 0.9, 60.0, 50_000, bits, IMAGES)
    with running() as server:
        database, study = opened(server)
        rates: dict[int, Any] = {workers: together(server, workers, outcome) for workers in (1, 4, 16)}
        works = [Work(candidate, 1, 0, final=False) for candidate in CANDIDATES]
        looks = harness.interleaved(
            {"busy": lambda: study.busy(works), "claim": lambda: study.claim("sign of life")}, LOOKS
        )
        ((rows, size),) = database.do(
            "select count(*), pg_total_relation_size('convsmith_training') from convsmith_training"
        )
        database.close()
    harness.write("study", {"workers": rates, "seconds": looks, "bytes_per_training": size / rows, "trainings": rows})


if __name__ == "__main__":
    main()
