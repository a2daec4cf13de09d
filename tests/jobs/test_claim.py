"""Two processes never work on one run, and a dead one holds nothing up."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from convsmith.errors import RunError
from convsmith.jobs.run_folder import RunFolder

HOLD = """
import sys, time
from pathlib import Path
from convsmith.jobs.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).claimed():
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that works on the run in ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_who_the_first_is(other, tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.holder.startswith(f"process {other.pid} on ")
    refused = f"another process works on this run .received 'process {other.pid} on .*choose another --out"
    with pytest.raises(RunError, match=refused), folder.claimed():
        pytest.fail("let in")
    for resume in (False, True):
        with pytest.raises(RunError, match=refused):
            RunFolder.check(tmp_path, resume=resume)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_process_keeps_nobody_out(how, other, tmp_path):
    other.send_signal(how)
    other.wait()
    folder = RunFolder(tmp_path)
    assert folder.holder == ""
    with folder.claimed():
        assert folder.holder.startswith("process ")
    assert folder.holder == ""
    RunFolder.check(tmp_path)  # a lock that was left is no content


def test_asking_who_works_never_keeps_a_run_from_starting(tmp_path):
    folder = RunFolder(tmp_path)
    for _ in range(20):
        assert folder.holder == ""
        with folder.claimed():
            pass
