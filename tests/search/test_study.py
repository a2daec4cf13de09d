from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time

import pytest

from convsmith.errors import RunError
from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.study import Study

CONTEXT = {"data": "d1", "recipe": "r1", "machine": "m"}
GOOD = Outcome(0.9, 0.31, 12.5, 1000, b"\x80\xff", 11)
FAILED = Outcome(0.0, math.inf, 1.5, 10, None, 11, failure="loss is not a number")


@pytest.fixture
def work(candidate) -> Work:
    return Work(candidate(3, "rule:dwr", "width"), 1000, 1, True)


def test_values_survive_json(work):
    assert Work.from_dict(work.to_dict()) == work
    assert Candidate.from_dict(work.candidate.to_dict()) == work.candidate
    for outcome in (GOOD, FAILED):
        assert Outcome.from_dict(outcome.to_dict()) == outcome


def test_the_name_of_a_design_is_no_part_of_its_identity(candidate):
    assert candidate(3, "rule:dwr", "width").key == candidate(3, "draw:1", "width").key
    assert candidate(3, "rule:dwr", "width").key != candidate(4, "rule:dwr", "width").key


def test_stratum_and_rule(candidate):
    assert candidate(0, "rule:dwr", "resolution").stratum == "resolution"
    assert candidate(0, "rule:dwr", "width").rule == "dwr"
    assert candidate(0, "draw:17", "depth").rule == ""


def test_what_is_recorded_is_found_by_this_and_the_next_process(tmp_path, work):
    path = tmp_path / "study.journal"
    study = Study(path, CONTEXT)
    assert study.find(work) is None
    study.record(work, GOOD)
    for one in (study, Study(path, CONTEXT)):
        assert one.find(work) == GOOD
        assert one.outcomes() == (Training(work, GOOD),)


@pytest.mark.parametrize("change", [{"images": 1001}, {"seed": 2}, {"final": False}])
def test_other_work_is_not_found(tmp_path, work, change):
    study = Study(tmp_path / "j", CONTEXT)
    study.record(work, GOOD)
    assert study.find(Work(**{**vars(work), **change})) is None


@pytest.mark.parametrize("key", ["data", "recipe", "machine"])
def test_another_context_finds_nothing(tmp_path, work, key):
    study = Study(tmp_path / "j", CONTEXT)
    study.record(work, GOOD)
    study.note("plan", [1])
    other = Study(tmp_path / "j", {**CONTEXT, key: "other"})
    assert other.find(work) is None
    assert other.outcomes() == ()
    assert other.noted("plan") is None
    assert study.noted("plan") == [1]


def test_failures_are_kept_with_their_cause(tmp_path, work):
    Study(tmp_path / "j", CONTEXT).record(work, FAILED)
    assert Study(tmp_path / "j", CONTEXT).find(work) == FAILED


def test_two_processes_see_each_other(tmp_path, candidate):
    one, two = Study(tmp_path / "j", CONTEXT), Study(tmp_path / "j", CONTEXT)
    works = [Work(candidate(n, "draw:0", "depth"), 10, 0, False) for n in range(4)]
    for n, work in enumerate(works):
        (one, two)[n % 2].record(work, GOOD)
    assert len(one.outcomes()) == len(two.outcomes()) == 4


def test_a_journal_cut_anywhere_in_its_last_line_goes_on(tmp_path, work):
    path = tmp_path / "j"
    study = Study(path, CONTEXT)
    study.record(work, GOOD)
    before = path.read_bytes()
    second = Work(work.candidate, 2000, 1, True)
    study.record(second, GOOD)
    after = path.read_bytes()
    for size in range(len(before) + 1, len(after), 37):
        path.write_bytes(after[:size])
        again = Study(path, CONTEXT)
        assert again.find(work) == GOOD
        assert again.find(second) is None
        again.record(second, GOOD)
        assert Study(path, CONTEXT).find(second) == GOOD


def test_what_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "j"
    path.write_text("hello\nworld\n")
    with pytest.raises(RunError, match=r"unbroken journal.*start afresh"):
        Study(path, CONTEXT)
    with pytest.raises(RunError, match="cannot write"):
        Study(tmp_path / "missing" / "j", CONTEXT)


CHILD = """
import json
import sys
from pathlib import Path
from convsmith.search.candidate import Outcome, Work
from convsmith.search.study import Study
study = Study(Path(sys.argv[1]), json.loads(sys.argv[2]))
work = Work.from_dict(json.loads(sys.argv[3]))
for seed in range(100_000):
    study.record(Work(work.candidate, 10, seed, True), Outcome(0.5, 0.5, 1.0, 10, bytes(5000), 40_000))
    print(seed, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_journal_that_goes_on_at_once(tmp_path, work):
    path = tmp_path / "j"
    values = [json.dumps(CONTEXT), json.dumps(work.to_dict())]
    for delay in (0.0, 0.0137, 0.0291):
        command = [sys.executable, "-c", CHILD, str(path), *values]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)
        child.kill()
        output, errors = child.communicate()
        said = output.split()
        assert errors == ""
        assert child.returncode == -signal.SIGKILL
        assert list(tmp_path.iterdir()) == [path]  # no lock file, for which the next one would have to wait
        study = Study(path, CONTEXT)
        recorded = {training.work.seed for training in study.outcomes()}
        assert {0, *map(int, said)} <= recorded
        study.record(Work(work.candidate, 99, 0, True), GOOD)
        assert Study(path, CONTEXT).find(Work(work.candidate, 99, 0, True)) == GOOD
