"""The record of a search that any number of processes share, in a PostgreSQL database.

Four small tables: studies, trainings, notes and claims. What a worker trains or decides it claims for half a minute,
and renews that while it lives; a claim that was not renewed is free. So nothing has to be cleaned up after a worker
that was killed, and nothing depends on its connection: after an outage all claims hold for half a minute more, in
which the living renew theirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from convsmith.files import write_atomically
from convsmith.search.candidate import Outcome, Work
from convsmith.search.database import Database

LEASE: Final = 30.0
"""Seconds for which a claim holds."""
BEAT: Final = 5.0
"""Seconds after which it is renewed."""
_PATIENCE: Final = 0.2
"""Seconds between two tries to join, which takes one worker a moment."""
_LARGEST: Final = 256 * 2**20
"""Bytes of weights that are kept; those of a larger network are trained again where they are needed."""
_WORKER: Final = "worker/"
_TIME: Final = "time"

_TABLES: Final = """
select pg_advisory_xact_lock(5570193226801);
create table if not exists convsmith_study (
    name text primary key, identity json not null, began timestamptz not null default now());
create table if not exists convsmith_training (
    study text not null, work text not null, asked json not null, outcome json not null, weights bytea,
    worker text not null, recorded timestamptz not null default clock_timestamp(), primary key (study, work));
create table if not exists convsmith_note (
    study text not null, name text not null, value json not null, primary key (study, name));
create table if not exists convsmith_claim (
    study text not null, name text not null, worker text not null, renewed timestamptz not null,
    left_out boolean not null default false, primary key (study, name));
"""
_FREE: Final = "(clock_timestamp() - greatest(held.renewed, pg_postmaster_start_time()) > make_interval(secs => %s))"
"""A claim whose worker is dead. While the database was away nobody could renew one, so that time does not count."""


class DatabaseStudy:
    """A study in a database, as one worker sees it. It is a ``Record``, and the ``Claims`` of a team.

    Args:
        database: Where it is.
        name: Its name there.

    Attributes:
        weights: Says where a final keeps its weights, which are then recorded with it.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._study = name
        self._worker = f"process {os.getpid()} on {socket.gethostname()}, {secrets.token_hex(4)}"
        self._found: dict[str, Outcome] = {}
        self.weights: Callable[[Work], Path] | None = None
        if self._database.do("select to_regclass('convsmith_claim')") == [(None,)]:
            self._database.do(_TABLES)

    def begun_with(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """What the study is of, as its first worker said, which may be this one."""
        self._database.do(
            "insert into convsmith_study (name, identity) values (%s, %s) on conflict do nothing",
            [self._study, json.dumps(identity)],
        )
        return self._database.do("select identity from convsmith_study where name = %s", [self._study])[0][0]

    @contextlib.contextmanager
    def working(self) -> Generator[None]:
        """Renew all claims from time to time to the end of the block, and give them back then."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=[stop], daemon=True, name="claims")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            with contextlib.suppress(psycopg.Error):  # they are free in half a minute anyway
                self._database.attempt(
                    "delete from convsmith_claim where study = %s and worker = %s and not left_out",
                    [self._study, self._worker],
                )
            thread.join(BEAT)

    def join(self, minutes: float, spent: float) -> tuple[float, float]:
        """Become one of the workers; returns seconds spent by the study so far, and its minutes.

        Where nobody works on it, the study has ``minutes`` from now on, less what it was worked on before. What was
        left out for want of time may then be done.

        Args:
            minutes: Time for the whole study, if this worker is the only one.
            spent: Seconds that this one has spent already, reading images.
        """
        while not self.claim("join"):
            time.sleep(_PATIENCE)
        if self.workers == 0:
            before = self.noted(_TIME)
            self._database.do("delete from convsmith_claim where study = %s and left_out", [self._study])
            used = self._worked_since(before["began"]) if before else 0.0
            self._put(_TIME, {"began": self._now() - spent - used, "minutes": minutes})
        assert self.claim(f"{_WORKER}{self._worker}")
        noted = self.noted(_TIME)
        self.release("join")
        return self._now() - noted["began"], noted["minutes"]

    def find(self, work: Work) -> Outcome | None:
        """The outcome of work that any worker did."""
        name = self.name(work)
        if name not in self._found:
            for (outcome,) in self._database.do(
                "select outcome from convsmith_training where study = %s and work = %s", [self._study, name]
            ):
                self._found[name] = Outcome.from_dict(outcome)
        return self._found.get(name)

    def record(self, work: Work, outcome: Outcome) -> None:
        """Keep one finished training; the first one holds, should there be two.

        Raises:
            RunError: If the database refuses.
        """
        path = self.weights(work) if self.weights is not None and work.final else None
        kept = path is not None and path.is_file() and path.stat().st_size <= _LARGEST
        content = path.read_bytes() if path is not None and kept else None
        asked, came_out = (json.dumps(value.to_dict()) for value in (work, outcome))
        self._database.do(
            "insert into convsmith_training (study, work, asked, outcome, weights, worker)"
            " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            [self._study, self.name(work), asked, came_out, content, self._worker],
        )

    def fetch(self, work: Work, target: Path) -> bool:
        """Write the weights that were kept with a training to a file; says whether there are any.

        Raises:
            RunError: If it cannot be written.
        """
        rows = self._database.do(
            "select weights from convsmith_training where study = %s and work = %s and weights is not null",
            [self._study, self.name(work)],
        )
        if rows:
            write_atomically(target, lambda path: path.write_bytes(rows[0][0]))
        return bool(rows)

    def note(self, name: str, value: Any) -> None:
        """Keep a decision, unless there is one."""
        self._database.do(
            "insert into convsmith_note (study, name, value) values (%s, %s, %s) on conflict do nothing",
            [self._study, name, json.dumps(value)],
        )

    def noted(self, name: str) -> Any:
        """A decision taken before, by any worker, or None."""
        rows = self._database.do("select value from convsmith_note where study = %s and name = %s", [self._study, name])
        return rows[0][0] if rows else None

    @property
    def workers(self) -> int:
        """How many are alive."""
        statement = f"select count(*) from convsmith_claim held where study = %s and name like %s and not {_FREE}"
        return self._database.do(statement, [self._study, f"{_WORKER}%", LEASE])[0][0]

    def claim(self, name: str) -> bool:
        """Take what nobody alive has."""
        return self._claim(name, left_out=False)

    def release(self, name: str) -> None:
        """Give back what this worker has."""
        self._database.do(
            "delete from convsmith_claim where study = %s and name = %s and worker = %s and not left_out",
            [self._study, name, self._worker],
        )

    def leave_out(self, work: Work) -> bool:
        """Say for all that a work is not to be done; False if somebody alive is at it."""
        return self._claim(self.name(work), left_out=True)

    def is_left_out(self, work: Work) -> bool:
        """Whether somebody said so."""
        statement = "select true from convsmith_claim where study = %s and name = %s and left_out"
        return bool(self._database.do(statement, [self._study, self.name(work)]))

    def busy(self, works: Sequence[Work]) -> list[bool]:
        """Which of the works other workers, who are alive, are at."""
        names = [self.name(work) for work in works]
        statement = (
            "select name from convsmith_claim held where study = %s and name = any(%s) and worker <> %s"
            f" and not left_out and not {_FREE}"
        )
        taken = {name for (name,) in self._database.do(statement, [self._study, names, self._worker, LEASE])}
        return [name in taken for name in names]

    def name(self, work: Work) -> str:
        """What a work is recorded and claimed by: 24 hex digits."""
        return hashlib.sha256(json.dumps(work.identity).encode()).hexdigest()[:24]

    def _claim(self, name: str, *, left_out: bool) -> bool:
        statement = (
            "insert into convsmith_claim as held (study, name, worker, renewed, left_out)"
            " values (%s, %s, %s, clock_timestamp(), %s) on conflict (study, name) do update"
            " set worker = excluded.worker, renewed = excluded.renewed, left_out = excluded.left_out"
            f" where not held.left_out and (held.worker = excluded.worker or {_FREE}) returning true"
        )
        return bool(self._database.do(statement, [self._study, name, self._worker, left_out, LEASE]))

    def _put(self, name: str, value: Any) -> None:
        self._database.do(
            "insert into convsmith_note (study, name, value) values (%s, %s, %s)"
            " on conflict (study, name) do update set value = excluded.value",
            [self._study, name, json.dumps(value)],
        )

    def _now(self) -> float:
        """The clock of the database, in seconds since 1970: the one clock that all workers share."""
        return float(self._database.do("select extract(epoch from clock_timestamp())")[0][0])

    def _worked_since(self, began: float) -> float:
        statement = "select extract(epoch from max(recorded)) from convsmith_training where study = %s"
        last = self._database.do(statement, [self._study])[0][0]
        return 0.0 if last is None else max(float(last) - began, 0.0)

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT):
            with contextlib.suppress(psycopg.Error):  # whoever needs the database tells that it is away
                self._database.attempt(
                    "update convsmith_claim set renewed = clock_timestamp() where study = %s and worker = %s",
                    [self._study, self._worker],
                )
