"""When checkpoints are written, which are kept, and that a disk that refuses does not end a training."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import training_small_disk
from training_toy import Crash, assert_same, blobs, logged, network, run, stop_after, told

from convsmith.errors import RunError
from convsmith.files import is_whole
from convsmith.training import checkpoint, keeper
from convsmith.training.budget import Budget
from convsmith.training.checkpoint import load_latest
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.events import EventLog, read_events
from convsmith.training.progress import Progress

SHORT: dict[str, Any] = {"budget": Budget(images=20 * 16)}


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judgements", "best"),
    [((0.5, 0.9, 0.7, 0.6), 10), ((0.9, 0.5, 0.9, 0.1), 5), ((0.1, 0.2, 0.3, 0.4), 20)],
)
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_the_last_two_and_the_best_are_kept(
    seconds: float, judgements: tuple[float, ...], best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is the first of its accuracy; it is written when it is judged, however long the interval is."""
    results = iter(judgements)
    monkeypatch.setattr("convsmith.training.learner.accuracy", lambda *_: next(results))
    run(checkpoints=tmp_path, select=EvaluationSet(*blobs(10, 0)), checkpoint_seconds=seconds, **SHORT)
    found = kept(tmp_path)
    assert best in found
    assert found[-1] == 20
    if seconds == 0.0:
        assert found == sorted({best, 19, 20})


def test_the_best_survives_a_resume_and_is_known_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter((0.5, 0.9, 0.7, 0.6))
    monkeypatch.setattr("convsmith.training.learner.accuracy", lambda *_: next(results))
    arguments = {"checkpoints": tmp_path, "select": EvaluationSet(*blobs(10, 0)), "checkpoint_seconds": 0.0, **SHORT}
    with pytest.raises(KeyboardInterrupt):
        run(**arguments, progress=stop_after(13))
    run(**arguments, resume=True)
    assert kept(tmp_path) == [10, 19, 20]


def test_a_checkpoint_holds_json_and_safetensors_only_and_a_manifest_of_both(tmp_path: Path) -> None:
    run(checkpoints=tmp_path, **SHORT)
    (path,) = tmp_path.iterdir()
    names = {"state.safetensors", "good.safetensors", "state.json"}
    assert {file.name for file in path.iterdir()} == names | {"manifest.json"}
    entries = json.loads((path / "manifest.json").read_text())["files"]
    assert {name: entry["bytes"] for name, entry in entries.items()} == {n: (path / n).stat().st_size for n in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "save", "asked", "expected"),
    [
        (1.0, 0.04, 10.0, 10.04),  # 0.4 %: the interval asked for
        (1.0, 0.5, 10.0, 100.5),  # stretched until saving takes half a percent of the time
        (1.0, 0.5, 0.0, 1.5),  # every step
    ],
)
def test_the_interval_is_stretched_until_saving_is_half_a_percent_of_the_time(
    step: float, save: float, asked: float, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saves = 0.0, []

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow(folder: Path, one: checkpoint.Checkpoint) -> Path:
        pass_time(save)
        saves.append(now)
        return folder / one.name

    monkeypatch.setattr(keeper, "save_checkpoint", slow)
    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: now, sleep=pass_time))
    budget = Budget(images=16 * 400)
    run(checkpoints=tmp_path, checkpoint_seconds=asked, budget=budget, progress=lambda _: pass_time(step))
    between = {round(after - before, 6) for before, after in pairwise(saves[:-1])}  # the last is written in any case
    assert max(between) <= expected + step
    assert min(between) >= expected


def refusing(number: int, calls: set[int]) -> Callable[..., Any]:
    """``write_folder`` on a disk that is full at some of the calls."""
    count = 0

    def write(path: Path, content: Any) -> Path:
        nonlocal count
        count += 1
        if count in calls:
            raise RunError(f"cannot write: {os.strerror(number)}", where=str(path))
        return real(path, content)

    real = checkpoint.write_folder
    return write


@pytest.mark.slow
def test_a_write_that_fails_once_is_tried_again_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "write_folder", refusing(errno.EIO, {3, 7, 8}))
    lines: list[str] = []
    run(checkpoints=tmp_path, checkpoint_seconds=0.0, tell=lines.append, **SHORT)
    assert lines == []
    assert kept(tmp_path) == [19, 20]


@pytest.mark.slow
def test_a_write_that_fails_again_and_again_is_warned_of_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    straight = logged(tmp_path / "whole", **SHORT)
    monkeypatch.setattr(keeper, "_WAITS", (0.0, 0.0))
    monkeypatch.setattr(checkpoint, "write_folder", refusing(errno.ENOSPC, set(range(6, 15))))
    lines: list[str] = []
    with pytest.raises(Crash):  # after step 8, whose save and the two before it failed
        logged(tmp_path, checkpoint_seconds=0.0, tell=lines.append, progress=stop_after(9, Crash), **SHORT)
    assert len(lines) == 3
    assert "warning: step 8 could not be saved, training goes on and the last good one is step-000000005" in lines[2]
    assert "No space left on device" in lines[2]
    failed = [event for event in read_events(tmp_path / "events.ndjson") if event["event"] == "checkpoint_failed"]
    assert [(event["step"], event["newest"]) for event in failed] == [(n, "step-000000005") for n in (6, 7, 8)]
    found = load_latest(tmp_path / "checkpoints")
    assert found is not None
    assert (found.checkpoint.state.steps, found.damaged) == (5, ())
    assert_same(straight, logged(tmp_path, resume=True, module=network(seed=9), **SHORT))
    assert told(tmp_path) == told(tmp_path / "whole")


def test_no_checkpoint_knows_of_an_event_that_the_log_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_WAITS", ())
    lines: list[str] = []

    def refuse(log: EventLog) -> None:
        raise RunError("cannot write", where="events.ndjson")

    def stop(progress: Progress) -> None:
        if progress.images == 6 * 16:
            monkeypatch.setattr(EventLog, "_drain", refuse)
        if progress.images == 9 * 16:
            monkeypatch.undo()
            raise Crash

    with pytest.raises(Crash):
        logged(tmp_path, progress=stop, tell=lines.append, checkpoint_seconds=0.0, **SHORT)
    assert kept(tmp_path / "checkpoints") == [4, 5]
    assert "step 8 could not be saved" in lines[-1]


def test_ctrl_c_on_a_full_disk_still_stops_and_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_WAITS", ())
    monkeypatch.setattr(checkpoint, "write_folder", refusing(errno.ENOSPC, {1}))
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(checkpoints=tmp_path, tell=lines.append, progress=stop_after(3))
    assert "there is none yet" in lines[0]


@pytest.mark.slow
def test_a_disk_that_refuses_any_one_call_costs_at_most_one_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call by which a save changes the disk fails once, in turn; without another try."""
    monkeypatch.setattr(keeper, "_WAITS", ())
    straight = run(budget=Budget(images=4 * 16))
    for number in range(1000):
        folder, calls = tmp_path / str(number), 0
        with monkeypatch.context() as patch:

            def failing(real: Callable[..., Any], at: int = number) -> Callable[..., Any]:
                def call(*arguments: Any, **options: Any) -> Any:
                    nonlocal calls
                    calls += 1
                    if calls == at + 1:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return real(*arguments, **options)

                return call

            folder.mkdir()
            for name in ("mkdir", "fsync", "replace", "unlink", "rmdir"):
                patch.setattr(os, name, failing(getattr(os, name)))
            try:
                assert_same(straight, run(checkpoints=folder, checkpoint_seconds=0.0, budget=Budget(images=4 * 16)))
            except RunError:
                assert calls <= 5, "the folder could not be made"
        if calls <= number:
            break
        assert calls <= 5 or max(kept_whole(folder)) >= 3
        run(checkpoints=folder, resume=True, budget=Budget(images=4 * 16))
    assert number > 30


def kept_whole(folder: Path) -> list[int]:
    return [int(path.name[5:14]) for path in folder.glob("step-*") if is_whole(path) and path.suffix != ".tmp"]


def test_a_disk_with_too_little_room_is_refused_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(checkpoints=tmp_path / "measure", **SHORT)
    one = sum(path.stat().st_size for path in (tmp_path / "measure").rglob("*.safetensors"))
    monkeypatch.setattr(keeper, "free_bytes", lambda _: 3 * one)
    refused = r"checkpoints need about .*, and the disk has .* left; free some space or choose another folder"
    with pytest.raises(RunError, match=refused):
        run(checkpoints=tmp_path / "small", progress=lambda _: pytest.fail("a step was done"), **SHORT)
    monkeypatch.setattr(keeper, "free_bytes", lambda _: 5 * one)
    run(checkpoints=tmp_path / "large", **SHORT)


def test_checkpoints_of_an_older_form_are_named(tmp_path: Path) -> None:
    (tmp_path / "step-000000123.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"of an older convsmith; start the run again in a new folder"):
        run(checkpoints=tmp_path, resume=True)


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    for name in ("step-000000003.tmp", "step-000000001.old.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.safetensors").write_bytes(b"half")
    run(checkpoints=tmp_path, resume=True, **SHORT)
    assert kept(tmp_path) == [20]


@pytest.mark.slow
def test_a_training_goes_on_while_its_disk_is_full_and_saves_again_when_it_is_not(tmp_path: Path) -> None:
    """On a tmpfs of its own where the system grants one, else below a limit on the size of files."""
    straight = run(**training_small_disk.ARGUMENTS)
    command = [sys.executable, training_small_disk.__file__, str(tmp_path)]
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        granted = subprocess.run([*private, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True)
        command = [*private, *command, "tmpfs"] if granted.returncode == 0 else command
    except OSError:
        pass
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert any("step 12 could not be saved, training goes on" in line for line in found["lines"])
    assert found["while_full"] == [[9, 10], 10]
    assert found["at_end"] == [39, 40]
    assert found["loss"] == straight.loss
    numbers = [event["number"] for event in found["told"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event["images"] for event in found["told"][1:-1]] == [16 * step for step in range(1, 41)]
