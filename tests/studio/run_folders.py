"""Small finished runs of each kind, and a second process that works on one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from convsmith.design import parse_design
from convsmith.jobs.curves import curves
from convsmith.jobs.fit import fit
from convsmith.jobs.train import train
from tests.jobs.jobs_digits import TINY
from tests.jobs.jobs_small_fit import PLENTY, quick

HOLD = """
import os, sys
from pathlib import Path
from convsmith.jobs.claim import claimed
with claimed(Path(sys.argv[1]) / ".lock"):
    print("mine", flush=True)
    with open(Path(sys.argv[1]) / "events.ndjson", "ab", buffering=0) as log:
        for line in sys.stdin.buffer:
            log.write(line)
"""


def make_runs(folder: Path) -> SimpleNamespace:
    """A finished run of each kind on the digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        quick(patch)
        train(parse_design(TINY), "digits", out=folder / "train", epochs=2)
        fit("digits", macs=60_000, minutes=PLENTY, out=folder / "fit")
        curves(parse_design(TINY), "digits", out=folder / "curves", resolution=0.625, epochs=0.5, seeds=2)
    return SimpleNamespace(folder=folder, **{kind: folder / kind for kind in ("train", "fit", "curves")})


def started(run: Path, target: Path, lines: int) -> Path:
    """A copy of a run as it was after some events, its files included that are there from the start."""
    target.mkdir(parents=True)
    shutil.copytree(run / "checkpoints", target / "checkpoints") if (run / "checkpoints").is_dir() else None
    for name in ("design.toml", "study.journal"):
        if (run / name).is_file():
            shutil.copy(run / name, target / name)
    (target / "events.ndjson").write_bytes(b"".join((run / "events.ndjson").read_bytes().splitlines(True)[:lines]))
    return target


@contextmanager
def working_on(run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of a run and appends what it is sent to the log."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"mine\n"
        yield process
    finally:
        process.kill()
        process.communicate()
