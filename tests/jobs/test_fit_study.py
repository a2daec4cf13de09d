"""Real processes that share one search in a real PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from jobs_digits import digit_folder
from jobs_small_fit import PLENTY, quick, timeless

from convsmith.cli.main import run
from convsmith.jobs.fit import fit
from convsmith.jobs.recompute import recompute
from tests.postgresql import PASSWORD, QUOTED, running

WORKER = Path(__file__).with_name("jobs_worker.py")
ASKED = ["--macs", "60k", "--minutes", f"{PLENTY:g}min"]
SAME = ("chosen", "accuracy", "confusion", "sentence", "ties", "rules", "candidates")
"""What of a report does not depend on who worked on it, but for times."""


@pytest.fixture(scope="module")
def server():
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same search by one process, with its journal."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        quick(patch)
        return fit("digits", macs=60_000, minutes=PLENTY, out=folder / "run").report


@pytest.fixture
def start(server, tmp_path, request):
    """Starts workers of one study, each with a folder, a cache and a diary of its own."""
    started = []

    def begin(hang=0, lease=3.0, hold=False):
        number = len(started) + 1
        at = SimpleNamespace(
            out=tmp_path / f"run{number}", diary=tmp_path / f"diary{number}", said=tmp_path / f"said{number}"
        )
        at.hold = Path(f"{at.diary}.hold")
        if hold:
            at.hold.touch()
        study = f"{server.url}#{request.node.originalname[5:40]}"
        command = [sys.executable, WORKER, at.diary, tmp_path / f"cache{number}", hang, lease]
        command += ["fit", "digits", *ASKED, "--study", study, "--out", at.out]
        with at.said.open("w") as said:
            at.process = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said)
        started.append(at)
        return at

    yield begin
    for at in started:
        at.process.kill()
        at.process.wait()


def done(*workers):
    """What each of them began to train."""
    return [at.diary.read_text().splitlines() if at.diary.exists() else [] for at in workers]


def wait_for(condition):
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def report(at):
    assert at.process.wait(240) == 0, at.said.read_text()
    return json.loads((at.out / "report.json").read_text())


def assert_same(found, expected):
    for key in SAME:
        assert timeless(found[key]) == timeless(expected[key]), key


@pytest.mark.slow
def test_two_workers_share_the_trainings_and_end_as_one_would_have_though_the_database_goes_away(start, alone, server):
    one, two = start(hold=True), start(hold=True)
    wait_for(lambda: all(done(one, two)))  # both are at a training
    server.stop()
    for at in (one, two):
        at.hold.unlink()
    time.sleep(4)  # longer than a claim holds
    server.start()
    reports = [report(one), report(two)]
    for found in reports:
        assert_same(found, alone)
    weights = [(at.out / "model.safetensors").read_bytes() for at in (one, two)]
    assert weights[0] == weights[1]
    first, second = done(one, two)
    assert set(Counter(first + second).values()) == {1}
    assert first
    assert second
    said = one.said.read_text() + two.said.read_text()
    assert "waiting, nothing is lost" in said
    assert "the database answers again after" in said
    assert "Traceback" not in said
    for at in (one, two):
        assert_same(recompute(at.out).report, alone)
        written = at.said.read_text() + "".join(
            path.read_text(errors="replace") for path in at.out.iterdir() if path.is_file()
        )
        assert "joined the study postgresql://tester@127.0.0.1:" in written
        for secret in (PASSWORD, QUOTED):
            assert secret not in written


@pytest.mark.slow
def test_the_training_of_a_killed_worker_is_done_by_another_and_nothing_else_twice(start, alone):
    dead = start(hang=3)
    wait_for(lambda: len(done(dead)[0]) == 3)
    living = start()
    wait_for(lambda: len(done(living)[0]) >= 2)
    dead.process.send_signal(signal.SIGKILL)
    assert_same(report(living), alone)
    first, second = done(dead, living)
    twice = [work for work, times in Counter(first + second).items() if times > 1]
    assert twice == [first[2]]


@pytest.mark.slow
def test_a_study_of_something_else_is_refused_and_one_that_was_stopped_goes_on(
    start, server, tmp_path, capsys, monkeypatch
):
    one = start()
    wait_for(lambda: len(done(one)[0]) >= 2)
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(60) == 130
    study = f"{server.url}#{'a_study_of_something_else_is_refused_and_one'[:35]}"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("momentum = 0.8\n")
    others = digit_folder(tmp_path / "others", range(0, 1797, 4))
    quick(monkeypatch)
    for change, expected in (
        (["digits", *ASKED, "--seed", "1"], "the same seed (received '1, begun with 0')"),
        (["digits", *ASKED, "--recipe", str(recipe)], "the same recipe (received 'another than it was begun with')"),
        ([str(others), *ASKED], "the same images (received 'another than it was begun with')"),
        (["digits", "--macs", "70k"], "the same budget (received 'macs 70000, begun with 60000')"),
    ):
        assert run(["fit", *change, "--study", study, "--out", str(tmp_path / "other")]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert f"all workers of a study must have {expected}; give the same, or another name" in line
        assert QUOTED not in line
        assert not (tmp_path / "other").exists()
    again = fit("digits", macs=60_000, minutes=PLENTY, out=one.out, study=study, resume=True)
    assert again.report["reused"]["trainings"] == 0
    trainings = [line for line in (one.out / "events.ndjson").read_text().splitlines() if '"event": "training"' in line]
    assert sum('"reused": true' in line for line in trainings) >= 1


def test_without_the_driver_or_a_database_there_is_one_clear_line(capsys, tmp_path, monkeypatch):
    out = str(tmp_path / "run")
    assert run(["fit", "digits", *ASKED, "--study", "sqlite:///x", "--out", out]) == 2
    assert "must be the address of a PostgreSQL database (received 'sqlite:///x')" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "convsmith.search.database", raising=False)
    assert run(["fit", "digits", *ASKED, "--study", "postgresql://h/d", "--out", out]) == 2
    assert "needs the driver of PostgreSQL" in (said := capsys.readouterr().err)
    assert "pip install 'convsmith[postgresql]'" in said
