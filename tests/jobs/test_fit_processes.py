"""A search whose trainings are done by real processes of this machine, of which some die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from jobs_small_fit import PLENTY, quick, timeless

from convsmith.cli.main import run
from convsmith.jobs.fit import fit
from convsmith.jobs.local_hand import Hand
from convsmith.training.events import read_events

SAME = ("chosen", "accuracy", "confusion", "sentence", "candidates", "delivered")


def small(out: Path, monkeypatch, **options):
    quick(monkeypatch)
    monkeypatch.setenv("CONVSMITH_CACHE", str(out.with_name(f"cache of {out.name}")))
    return fit("digits", macs=60_000, minutes=PLENTY, out=out, **options).report


def trainings(out: Path) -> Counter[tuple[str, int, int]]:
    events = read_events(out / "events.ndjson")
    return Counter((one["candidate"], one["images"], one["seed"]) for one in events if one["event"] == "training")


def hands(asker: int | None = None) -> list[psutil.Process]:
    """The processes that train for this one, or for another."""
    return [one for one in psutil.Process(asker).children() if "convsmith.jobs.hand" in one.cmdline()]


@pytest.mark.slow
def test_two_processes_find_what_one_finds_though_one_dies(tmp_path, monkeypatch):
    alone = small(tmp_path / "alone", monkeypatch)
    train, begun = Hand.train, list[str]()

    def train_and_die(hand, work, recipe):
        train(hand, work, recipe)
        begun.append(work.candidate.key)
        if len(begun) == 3:
            hand.end()

    monkeypatch.setattr(Hand, "train", train_and_die)
    both = small(tmp_path / "both", monkeypatch, processes=2)
    assert both["trainings_at_once"] == 2
    assert alone["trainings_at_once"] == 1
    for key in SAME:
        assert timeless(both[key]) == timeless(alone[key]), key
    assert trainings(tmp_path / "both") == trainings(tmp_path / "alone")
    assert len(begun) == sum(trainings(tmp_path / "both").values()) + 1  # that of the dead one again, nothing else
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("alone", "both")]
    assert weights[0] == weights[1]
    assert hands() == []
    curves = [
        [one for one in read_events(tmp_path / name / "events.ndjson") if one["event"] == "train"]
        for name in ("alone", "both")
    ]
    assert len(curves[0]) == len(curves[1]) == len(begun) - 1


@pytest.mark.slow
def test_a_training_under_which_every_process_dies_has_failed_and_the_search_goes_on(tmp_path, monkeypatch):
    train = Hand.train

    def train_or_die(hand, work, recipe):
        train(hand, work, recipe)
        if work.candidate.rule == "depth_only":
            hand.end()

    monkeypatch.setattr(Hand, "train", train_or_die)
    found = small(tmp_path / "run", monkeypatch, processes=2)
    failure = found["rules"]["depth_only"]["failure"]
    assert failure == "3 processes died under it; the last ended by signal 9"
    assert found["chosen"]["key"]


def test_where_no_process_can_be_begun_it_trains_alone_and_says_so(tmp_path, monkeypatch):
    begin = subprocess.Popen
    broken = "import sys; sys.exit('no module of that name')"

    def broken_hands(words, **options):
        return begin([words[0], "-c", broken] if "convsmith.jobs.hand" in words else words, **options)

    monkeypatch.setattr("convsmith.jobs.local_hand.subprocess.Popen", broken_hands)
    told: list[str] = []
    found = small(tmp_path / "run", monkeypatch, processes=2, tell=told.append)
    warning = (
        "warning: trainings go on one at a time: a process for more ended with exit code 1: no module of that name"
    )
    assert warning in told
    assert found["trainings_at_once"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_stopped_in_any_way_it_leaves_no_process_and_goes_on(number, code, tmp_path):
    out = tmp_path / "run"
    words = ["-m", "convsmith", "fit", "digits", "--macs", "60k", "--minutes", "1", "--processes", "2"]
    words += ["--out", str(out)]
    environment = {**os.environ, "CONVSMITH_CACHE": str(tmp_path / "cache"), "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)
    while not ((out / "events.ndjson").exists() and trainings(out)):
        assert process.poll() is None
        time.sleep(0.1)
    begun = hands(process.pid)
    assert len(begun) == 2
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in told
    gone, alive = psutil.wait_procs(begun, timeout=20)
    assert len(gone) == 2
    assert not alive
    if number != signal.SIGINT:
        return
    before = trainings(out)
    done = subprocess.run(
        [sys.executable, *words, "--resume", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trainings_at_once"] == 2
    reused = [one for one in read_events(out / "events.ndjson") if one["event"] == "training" and one["reused"]]
    assert {(one["candidate"], one["images"], one["seed"]) for one in reused} >= before.keys()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--processes", "0"], "processes must be at least 1 (received 0)"),
        (["--processes", "2", "--study", "postgresql:///x"], "--processes: processes are of one machine"),
        (["--processes", "2", "--executor", "ray"], "--processes: processes are of one machine"),
    ],
)
def test_what_cannot_be_is_refused_at_once(options, expected, capsys, tmp_path):
    assert run(["fit", "digits", "--macs", "60k", *options, "--out", str(tmp_path / "run")]) == 2
    assert expected in capsys.readouterr().err
