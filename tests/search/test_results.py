"""What all runs share: found under equal conditions only, whole or not at all, and never at the cost of the rest."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from convsmith.errors import RunError
from convsmith.search.candidate import Outcome, Work
from convsmith.search.results import Results

CONTEXT = {"data": "d1", "recipe": "r1", "conditions": "c1"}
GOOD = Outcome(0.9, 0.31, 12.5, 1000, b"\x80\xff", 11)


@pytest.fixture
def work(candidate):
    return Work(candidate(3, "rule:dwr", "width"), 1000, 1, True)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def test_what_one_run_records_another_finds_also_while_it_runs(tmp_path, work):
    here, there = Results(CONTEXT, tmp_path), Results(CONTEXT, tmp_path)
    assert there.find(work) is None
    here.append(work, GOOD)
    for results in (here, there, Results(CONTEXT, tmp_path)):
        assert results.find(work).outcome == GOOD


@pytest.mark.parametrize("change", [{"images": 1001}, {"seed": 2}, {"final": False}])
def test_other_work_is_not_found(tmp_path, work, change):
    Results(CONTEXT, tmp_path).append(work, GOOD)
    assert Results(CONTEXT, tmp_path).find(Work(**{**vars(work), **change})) is None


@pytest.mark.parametrize("key", sorted(CONTEXT))
def test_nothing_is_found_under_another_condition(tmp_path, work, key):
    Results(CONTEXT, tmp_path).append(work, GOOD)
    assert Results({**CONTEXT, key: "other"}, tmp_path).find(work) is None


def test_the_same_network_of_another_origin_is_found(tmp_path, candidate):
    Results(CONTEXT, tmp_path).append(Work(candidate(3, "rule:dwr", "width"), 10, 0, False), GOOD)
    other = Work(candidate(3, "draw:4", "depth"), 10, 0, False)
    assert Results(CONTEXT, tmp_path).find(other).outcome == GOOD


def test_a_failure_is_no_result(tmp_path, work):
    results = Results(CONTEXT, tmp_path)
    results.append(work, Outcome(0.0, math.inf, 1.5, 10, None, 11, failure="memory must suffice"))
    assert results.find(work) is None


def test_a_damaged_line_loses_itself_and_nothing_else(tmp_path, candidate):
    works = [Work(candidate(n, "draw:0", "depth"), 10, 0, False) for n in range(5)]
    for work in works:
        Results(CONTEXT, tmp_path).append(work, GOOD)
    path = only_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    accuracy = lines[1].replace(b'"accuracy": 0.9', b'"accuracy": 0.8')
    assert accuracy != lines[1]
    newer = json.dumps({"sha256": "", "entry": {"format": 2}}).encode() + b"\n"
    path.write_bytes(lines[0] + accuracy + b"\xff\x00 no json\n" + lines[2][:40] + b"\n" + newer + lines[3] + lines[4])
    results = Results(CONTEXT, tmp_path)
    assert [results.find(work) is not None for work in works] == [True, False, False, True, True]


def test_a_line_cut_anywhere_does_not_swallow_the_next_one(tmp_path, candidate):
    works = [Work(candidate(n, "draw:0", "depth"), 10, 0, False) for n in range(3)]
    Results(CONTEXT, tmp_path).append(works[0], GOOD)
    path = only_file(tmp_path)
    before = path.read_bytes()
    Results(CONTEXT, tmp_path).append(works[1], GOOD)
    after = path.read_bytes()
    for size in range(len(before) + 1, len(after), 97):
        path.write_bytes(after[:size])
        Results(CONTEXT, tmp_path).append(works[2], GOOD)
        results = Results(CONTEXT, tmp_path)
        assert [results.find(work) is not None for work in works] == [True, False, True]


CHILD = """
import json, sys
from pathlib import Path
from convsmith.search.candidate import Outcome, Work
from convsmith.search.results import Results
results = Results(json.loads(sys.argv[1]), Path(sys.argv[2]))
work = Work.from_dict(json.loads(sys.argv[3]))
for seed in range(40):
    results.append(Work(work.candidate, int(sys.argv[4]), seed, True), Outcome(0.5, 0.5, 1.0, 10, bytes(3000), 24_000))
"""


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(tmp_path, work):
    command = [sys.executable, "-c", CHILD, json.dumps(CONTEXT), str(tmp_path), json.dumps(work.to_dict())]
    children = [subprocess.Popen([*command, str(images)]) for images in (100, 200, 300)]
    assert [child.wait() for child in children] == [0, 0, 0]
    results = Results(CONTEXT, tmp_path)
    for images in (100, 200, 300):
        assert all(results.find(Work(work.candidate, images, seed, True)) for seed in range(40))
    assert len(only_file(tmp_path).read_bytes().splitlines()) == 120


def test_weights_are_fetched_only_as_they_were(tmp_path, work):
    kept = tmp_path / "one" / "weights"
    kept.parent.mkdir()
    kept.write_bytes(b"weights")
    results = Results(CONTEXT, tmp_path / "cache")
    results.append(work, GOOD, kept)
    found, target = results.find(work), tmp_path / "other"
    assert found.fetch(target)
    assert target.read_bytes() == b"weights"
    assert found.fetch(kept)
    kept.write_bytes(b"WEIGHTS")
    assert not found.fetch(target)
    kept.unlink()
    assert not found.fetch(target)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, work):
    (tmp_path / "file").write_text("no folder")
    results = Results(CONTEXT, tmp_path / "file" / "results")
    assert results.find(work) is None
    with pytest.raises(RunError, match="cannot write"):
        results.append(work, GOOD)
