"""Small finished runs of each kind, and a second process that works on one."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def large_study(run: Path, target: Path, networks: int) -> Path:
    """A finished search with as many networks more, each trained once, as if the space had been drawn from for days."""
    chance = random.Random(0)
    lines = [json.loads(line) for line in (run / "events.ndjson").read_text(encoding="utf-8").splitlines()]
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    field = lines[0]["field"]["candidates"]
    first = next(number for number, line in enumerate(lines) if line["event"] == "training")
    drawn, trained, reported = field[0], lines[first], report["candidates"][0]
    more: list[dict[str, Any]] = []
    for number in range(networks):
        key, right = f"{number:012x}", 0.1 + 0.85 * chance.random()
        ends = sorted((chance.random(), chance.random()))
        shares = (ends[0], ends[1] - ends[0], 1 - ends[1])
        named = drawn["design"].replace('name = "', f'name = "drawn-{number}-', 1)
        cost = {"macs": drawn["macs"], "params": round(10 ** chance.uniform(3, 5)), "key": key, "design": named}
        field.append(drawn | cost | {"origin": "drawn", "shares": shares})
        outcome = trained["outcome"] | {"accuracy": right, "log_loss": 2 - right}
        more.append(trained | {"candidate": key, "origin": "drawn", "outcome": outcome})
        rung = reported["rungs"][0] | {"accuracy": right}
        named_shares = dict(zip(("depth", "width", "resolution"), shares, strict=True))
        report["candidates"].append(
            reported | cost | {"origin": "drawn", "shares": named_shares, "rungs": [rung], "final": None}
        )
    lines[first:first] = more
    shutil.copytree(run, target)
    (target / "events.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (target / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return target
