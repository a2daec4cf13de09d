"""``torchrun ... -m convsmith train``, as a user types it: one process is killed, and all go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs_digits import TINY

from convsmith.jobs.run_folder import RunFolder
from convsmith.training.events import read_events, without_undone

TRAIN = ("-m", "convsmith", "train", "tiny.toml", "digits", "--out", "run", "--epochs", "12")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(folder: Path, rank: int, port: int) -> subprocess.Popen[str]:
    """One of two processes, as torchrun starts it, with nobody who ends it when the other has gone."""
    told = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = {**os.environ, **{key: str(value) for key, value in told.items()}, "MASTER_ADDR": "127.0.0.1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *TRAIN], cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_clearly_and_all_go_on_with_resume(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    port, checkpoints = free_port(), tmp_path / "run" / "checkpoints"
    first, second = (start(tmp_path, rank, port) for rank in (0, 1))
    try:
        until = time.monotonic() + 90
        while not [*checkpoints.glob("step-*[0-9]")] and first.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        second.send_signal(signal.SIGKILL)
        output, errors = first.communicate(timeout=90)
    finally:
        first.kill()
        second.kill()
        _, others_errors = second.communicate()
    assert (first.returncode, output, others_errors) == (2, "", "")
    assert errors.splitlines()[-1] == (
        "convsmith: error: process 0: a training needs all its 2 processes, and one has ended or was silent for a "
        "minute; see what that one says, then start all again by the same command with --resume"
    )

    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *TRAIN, "--resume"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is right on") == done.stdout.count("The report:") == 1
    assert done.stderr.count("going on from step") == done.stderr.count("exporting and checking") == 1

    folder = RunFolder(tmp_path / "run")
    events = read_events(folder.events)
    names = [event["event"] for event in events]
    assert [names.count(name) for name in ("train", "resumed", "trained", "judged")] == [1, 1, 1, 1]
    assert next(event for event in events if event["event"] == "resumed")["exact"]
    numbers = [event["number"] for event in without_undone(events) if "number" in event]
    assert numbers == [*range(1, len(numbers) + 1)]
    saved = [event["file"] for event in events if event["event"] == "checkpoint"]
    assert len(saved) == len(set(saved)) > 1
    report = folder.read_report()
    assert report is not None
    assert report["plan"]["processes"] == 2
    assert report["plan"]["kernels"] is False
    assert report["accuracy"]["test"] > 0.7
