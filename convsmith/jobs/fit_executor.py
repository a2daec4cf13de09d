"""Where the trainings of a search are done: ray is loaded only where it is asked for."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Generator
from typing import Final, Protocol

from convsmith.errors import RunError, did_you_mean
from convsmith.jobs.elsewhere import Order
from convsmith.jobs.fit_progress import Narrator
from convsmith.jobs.lab import Lab
from convsmith.jobs.local_crew import Processes
from convsmith.jobs.step import Tell
from convsmith.search.crew import Crew, Record

_EXECUTORS: Final = ("ray",)
_RAY: Final = "convsmith.jobs.ray_crew"


def check_executor(executor: str | None, study: str | None, processes: int | None) -> None:
    """Refuse an executor that is not known, or that a shared study has no use for, and processes beside either.

    Raises:
        RunError: Saying what there is.
    """
    if processes is not None:
        if processes < 1:
            raise RunError("processes must be at least 1", received=processes, where="--processes")
        if executor or study:
            rule = "processes are of one machine; a cluster and a shared study have trainings done in their own way"
            raise RunError(rule, received=processes, where="--processes", remedy="leave it out")
    if executor is None:
        return
    if executor not in _EXECUTORS:
        remedy = did_you_mean(executor, _EXECUTORS, "leave it out to train here")
        raise RunError("an executor must be ray", received=executor, where="--executor", remedy=remedy)
    if study is not None:
        rule = "a search is spread by an executor or by a shared study, not by both"
        raise RunError(rule, where="--executor", remedy="leave one of them out")


class Machines(Protocol):
    """Where several trainings go on at the same time."""

    @property
    def hands(self) -> int:
        """How many."""
        ...

    def prepare(self, order: Order, lab: Lab) -> None:
        """Begin with them."""
        ...

    def crew(self, record: Record, lab: Lab, narrator: Narrator) -> Crew:
        """Who trains what ``record`` does not hold."""
        ...


@contextlib.contextmanager
def machines_for(executor: str | None, address: str, processes: int | None, tell: Tell) -> Generator[Machines]:
    """What trains, to the end of the block: a cluster if an ``executor`` was asked for, or processes of this machine.

    Raises:
        RunError: If there is no cluster, or ray is not installed.
    """
    if executor is None:
        local = Processes(processes, tell)
        with contextlib.ExitStack() as stack:
            stack.callback(local.end)
            yield local
        return
    try:
        module = importlib.import_module(_RAY)
    except ImportError as error:
        rule, remedy = "this executor needs ray", "pip install 'convsmith[ray]'"
        raise RunError(rule, received=str(error), where="--executor", remedy=remedy) from error
    with module.joined(address) as machines:
        tell(f"joined the Ray cluster at {address}, processors: {machines.hands}")
        yield machines
