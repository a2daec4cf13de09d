"""A study in a real PostgreSQL: shared by many, left by the dead, waited for while it is away."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from contextlib import closing

import psycopg
import pytest

from convsmith.errors import RunError
from convsmith.search import database_study
from convsmith.search.candidate import Outcome, Work
from convsmith.search.crew import Team
from convsmith.search.database import Address, Database
from convsmith.search.database_study import DatabaseStudy
from convsmith.search.policy import Policy
from convsmith.search.racing import race
from convsmith.search.statistics import judge
from tests.postgresql import PASSWORD, QUOTED, running

GOOD = Outcome(0.9, 0.31, 12.5, 1000, b"\x80\xff", 11)
FAILED = Outcome(0.0, math.inf, 1.5, 10, None, 11, failure="loss is not a number")
LENGTHS = Policy(min_images=1_000, max_epochs=0.1, max_images=20_000, max_seeds=3, worthwhile=1.0)


@pytest.fixture(scope="module")
def server():
    with running() as one:
        yield one


@pytest.fixture
def worker(server, request):
    """Makes workers of one study, which no other test has."""
    opened = []

    def make(tell=lambda line: None):
        opened.append(Database(Address.parse(server.url), tell))
        return DatabaseStudy(opened[-1], request.node.name)

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(database_study, "LEASE", 1.0)
    monkeypatch.setattr(database_study, "BEAT", 0.1)


@pytest.fixture
def work(candidate):
    return Work(candidate(3, "rule:dwr", "width"), 1000, 1, True)


@pytest.mark.slow
def test_what_one_records_and_decides_others_find(worker, work, tmp_path):
    one, two = worker(), worker()
    weights = tmp_path / "w"
    weights.write_bytes(bytes(range(256)))
    one.weights = lambda _: weights
    assert two.find(work) is None
    one.record(work, GOOD)
    two.record(work, FAILED)  # the first holds
    one.note("plan", [1, 0.1, {"a": None}])
    two.note("plan", "another")
    for study in (one, two, worker()):
        assert study.find(work) == GOOD
        assert study.noted("plan") == [1, 0.1, {"a": None}]
        assert study.noted("else") is None
    assert two.fetch(work, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == weights.read_bytes()
    other = Work(work.candidate, 1001, 1, True)
    assert not two.fetch(other, tmp_path / "none")
    two.record(other, FAILED)
    assert one.find(other) == FAILED
    assert not one.fetch(other, tmp_path / "none")


@pytest.mark.slow
def test_a_claim_is_one_workers_until_it_is_given_back_or_its_worker_is_dead(worker, work, short):
    one, two = worker(), worker()
    assert one.claim("x")
    assert one.claim("x")
    assert not two.claim("x")
    one.release("x")
    assert two.claim("x")
    time.sleep(1.2)  # nobody renews it: as if the process of ``two`` had been killed
    assert one.claim("x")
    with one.working():
        time.sleep(1.5)
        assert not two.claim("x")
    assert two.claim("x")  # given back at once by a worker that ends in order


@pytest.mark.slow
def test_only_what_nobody_is_at_is_left_out_and_then_for_all(worker, work):
    one, two = worker(), worker()
    assert one.claim(one.name(work))
    assert two.busy([work]) == [True]
    assert one.busy([work]) == [False]
    assert not two.leave_out(work)
    assert not two.is_left_out(work)
    one.release(one.name(work))
    assert two.leave_out(work)
    assert one.is_left_out(work)
    assert not one.claim(one.name(work))
    assert one.busy([work]) == [False]


@pytest.mark.slow
def test_all_workers_share_the_time_of_the_first_and_the_next_one_has_what_was_left(worker, work, short):
    one, two = worker(), worker()
    with one.working():
        spent, minutes = one.join(10, 5.0)
        assert (5 <= spent < 6, minutes) == (True, 10)
        with two.working():
            time.sleep(0.5)
            spent, minutes = two.join(99, 0.0)
            assert (5.5 <= spent < 7, minutes) == (True, 10)
            assert one.workers == two.workers == 2
        assert one.workers == 1
        one.record(work, GOOD)
        one.leave_out(Work(work.candidate, 5, 5, False))
    assert two.workers == 0
    time.sleep(2)
    with two.working():
        spent, minutes = two.join(20, 1.0)
        assert (6.5 <= spent < 8.4, minutes) == (True, 20)  # not the two seconds in which nobody was there
        assert not two.is_left_out(Work(work.candidate, 5, 5, False))


class Counted:
    """Trainings of a world, and who did them; the first one ends when all workers are at theirs."""

    def __init__(self, world, all_begun):
        self.world = world
        self.all_begun = all_begun
        self.works = []

    def __call__(self, work):
        self.works.append(work.identity)
        if len(self.works) == 1:
            self.all_begun.wait(60)
        return self.world.train(work)


def raced(world, study, crew=None, train=None):
    return race(
        world.candidates,
        train=train or world.train,
        time_candidate=world.time,
        study=study,
        load=world.load,
        policy=LENGTHS,
        clock=lambda: 0.0,
        deadline=40_000.0,
        crew=crew,
        choose=lambda finals: judge(finals).chosen.candidate,
    )


@pytest.mark.slow
def test_three_workers_do_each_training_once_and_all_end_as_one_would_have(worker, world, memory):
    single = world()
    expected = raced(single, memory())
    all_begun = threading.Barrier(3)
    counted, results = [Counted(world(), all_begun) for _ in range(3)], {}

    def work(number):
        study = worker()
        with study.working():
            study.join(10, 0.0)
            team = Team(counted[number], study, study, wait=lambda _: time.sleep(0.02))
            results[number] = raced(counted[number].world, study, team)

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert expected.delivered is not None
    for key in ("finals", "delivered"):
        assert results[0].to_dict()[key] == results[1].to_dict()[key] == results[2].to_dict()[key]
    for found in results.values():
        for key in ("finals", "rungs", "finalists", "best_rule", "stopped"):
            assert found.to_dict()[key] == expected.to_dict()[key]
    done = Counter(identity for one in counted for identity in one.works)
    assert set(done.values()) == {1}
    assert set(done) == {
        training.work.identity
        for stretch in (*expected.rungs, expected.finals, [expected.delivered])
        for training in stretch
    }
    assert sum(one.world.calls for one in counted) == single.calls  # nor is a network timed twice
    assert all(one.works for one in counted)


@pytest.mark.slow
def test_while_the_database_is_away_a_worker_waits_says_so_once_and_loses_nothing(server, worker, work, monkeypatch):
    monkeypatch.setattr(database_study, "LEASE", 4.0)
    monkeypatch.setattr(database_study, "BEAT", 0.1)
    said, finished = [], threading.Event()
    study, slow = worker(said.append), worker()
    with study.working():
        assert study.claim("mine")
        assert slow.claim("its")
        server.stop()

        def record():
            study.record(work, GOOD)
            finished.set()

        thread = threading.Thread(target=record)
        thread.start()
        assert not finished.wait(4.5)
        server.start()
        other = worker()
        assert not other.claim("its")  # the time in which nobody could renew it does not count
        thread.join()
        assert other.find(work) == GOOD
        time.sleep(4.2)
        assert other.claim("its")
        assert not other.claim("mine")
    assert len(said) == 2, said
    assert said[0].startswith("the database of the study does not answer (")
    assert said[0].endswith("waiting, nothing is lost")
    assert said[1].startswith("the database answers again after ")
    assert all(secret not in line for line in said for secret in (PASSWORD, QUOTED))


def test_an_address_is_shown_without_its_password():
    place = Address.parse(f"postgresql://me:{QUOTED}@host:5433/db?sslmode=require&password=again#digits-1")
    assert place.name == "digits-1"
    assert place.shown == "postgresql://me@host:5433/db?sslmode=require#digits-1"
    assert Address.parse("postgresql:///db?host=/run/pg").shown == "postgresql:///db?host=/run/pg#convsmith"
    assert QUOTED not in repr(place)
    assert Address.parse(f"postgresql://me:{QUOTED}@host/db").redacted(f"{PASSWORD} {QUOTED}") == "*** ***"


@pytest.mark.parametrize(
    "address",
    [
        "mysql://me:SECRET@host/db",
        "postgresql://me:SECRET@host:port/db",
        "postgresql://me:SECRET@host/db?passwrd=SECRET",
        "postgresql://me:SECRET@host/db?password=SECRET&wrong",
        "postgresql://me:SECRET@[host/db",
        "postgresql://me:SECRET%@host/db",
        "me:SECRET@host",
        "postgresql://me:SECRET@host/db#a b",
    ],
)
def test_an_address_that_is_none_is_refused_and_its_password_not_told(address):
    with pytest.raises(RunError) as caught:
        Address.parse(address)
    assert "postgresql://USER@HOST/DATABASE#NAME" in str(caught.value) or "letters, digits" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_or_used_is_one_clear_line(server):
    wrong = Address.parse(server.url.replace(QUOTED, "SECRET"))
    with pytest.raises(
        RunError, match=r"cannot be reached: .*password authentication failed.*see that it runs"
    ) as caught:
        Database(wrong, print)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(RunError, match=r"cannot be reached: .*does not exist"):
        Database(Address.parse(server.url.replace("/postgres", "/nowhere")), print)
    with closing(Database(Address.parse(server.url), print)) as database:
        with pytest.raises(RunError, match=r"refuses: .*no_such_table"):
            database.do("select * from no_such_table")
        with pytest.raises(psycopg.Error):
            database.attempt("select * from no_such_table")
        assert database.do("select 1") == [(1,)]
