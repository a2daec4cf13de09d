"""The trainings of a search as tasks on a Ray cluster.

A task is one training, from the images to its judgement, so that a machine that dies costs the trainings it was at and
nothing else: Ray does these again elsewhere. The record stays with the process that asked.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody

import ray
from ray.exceptions import RayError, RayTaskError

from convsmith.errors import ConvsmithError, RunError, one_line
from convsmith.files import write_atomically
from convsmith.jobs.elsewhere import Order, make_lab
from convsmith.jobs.fit_progress import Narrator
from convsmith.jobs.lab import Lab
from convsmith.search.candidate import Outcome, Work
from convsmith.search.crew import Pool, Record

_RETRIES: Final = 5
"""Machines that may die under one training before it is given up."""
_PATIENCE: Final = 10.0  # seconds
_PAUSE: Final = 1.0  # seconds between two looks at the clock


class Cluster:
    """A Ray cluster, joined.

    Attributes:
        threads: Processors that one training uses.
    """

    def __init__(self) -> None:
        self.threads = 1
        self._order: Any = None

    @property
    def hands(self) -> int:
        """Trainings that its machines can do at the same time now."""
        nodes = (node["Resources"] for node in ray.nodes() if node["Alive"])
        return sum(int(resources.get("CPU", 0)) // self.threads for resources in nodes)

    def prepare(self, order: Order, lab: Lab) -> None:
        """Plan for what is ordered.

        Raises:
            RunError: If no machine has as many processors as one training uses.
        """
        self.threads = max(order.setup.threads, 1)
        self._order = ray.put(order)
        if self.hands == 0:
            rule = f"a machine of the cluster must have {self.threads} processors for a training"
            raise RunError(rule, where="ray", remedy="start ray with --num-cpus, or add machines")

    def crew(self, record: Record, lab: Lab, narrator: Narrator) -> Pool:
        """Who trains what ``record`` does not hold."""
        task = ray.remote(num_cpus=self.threads, max_retries=_RETRIES, retry_exceptions=False)(train_here)
        asked: dict[Any, Work] = {}

        def submit(work: Work) -> Any:
            handle = task.remote(self._order, work.to_dict())
            asked[handle] = work
            return handle

        def first(handles: Sequence[Any]) -> tuple[Any, Outcome]:
            done: list[Any] = []
            while not done:
                narrator.wait([asked[handle].candidate.origin for handle in handles])
                done = ray.wait(list(handles), num_returns=1, timeout=_PAUSE)[0]
            handle = done[0]
            work = asked.pop(handle)
            outcome, weights = _result(handle, work)
            if weights is not None:
                write_atomically(lab.weights_path(work), lambda path: path.write_bytes(weights))
            return handle, outcome

        return Pool(record, lambda: self.hands, submit, first)


@contextlib.contextmanager
def joined(address: str) -> Generator[Cluster]:
    """Join the cluster at an address, to the end of the block.

    Raises:
        RunError: If there is none.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        _check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        rule, remedy = "there is no Ray cluster to join", "start one with `ray start --head`, or give its --address"
        raise RunError(f"{rule}: {one_line(error)}", received=address, where="--address", remedy=remedy) from error
    signal.signal(signal.SIGTERM, before)  # ray puts one of its own there
    with contextlib.redirect_stdout(sys.stderr):  # where ray tells of dead machines, and results are wanted
        try:
            yield Cluster()
        finally:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes to reach what is not there.

    Raises:
        OSError: If nothing listens.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


def train_here(order: Order, work: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """One training, on the machine that this runs on: its outcome, and the weights of a final.

    Raises:
        ConvsmithError: If the images or the version are not those of the search.
    """
    asked = Work.from_dict(work)
    lab = _lab(order)
    outcome = lab.train(asked)
    weights = None
    if asked.final and not outcome.failed:
        path = lab.weights_path(asked)
        weights = path.read_bytes()
        path.unlink()
    return outcome.to_dict(), weights


_labs: dict[str, Lab] = {}


def _lab(order: Order) -> Lab:
    """The laboratory of this process, which keeps its images from one training to the next."""
    name = f"{order.images} {order.digest} {order.seed} {order.recipe_for(1, 1).digest} {order.setup}"
    if name not in _labs:
        lab = make_lab(order, Path(tempfile.mkdtemp()))
        _labs.clear()
        _labs[name] = lab
    return _labs[name]


def _result(handle: Any, work: Work) -> tuple[Outcome, bytes | None]:
    """What came out of a task; a training under which one machine after the other died has failed.

    Raises:
        ConvsmithError: What the training raised.
    """
    try:
        outcome, weights = ray.get(handle)
    except RayTaskError as error:
        if isinstance(error.cause, ConvsmithError):
            raise error.cause from None
        raise RunError(f"a training broke on a machine of the cluster: {one_line(error.cause)}", where="ray") from error
    except RayError as error:
        failure = f"{_RETRIES + 1} machines died under it: {one_line(error)}"
        return Outcome(0.0, float("inf"), 0.0, 0, None, 0, failure=failure), None
    return Outcome.from_dict(outcome), weights
