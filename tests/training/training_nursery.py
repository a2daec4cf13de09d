"""Trainings that are killed, as children of one warm process; run as a script that prints what it found as JSON.

``random COUNT`` kills at random moments, ``calls`` kills at each call that changes the disk, in turn. After each kill
the files are checked, and the next child goes on from them; at the end the result is that of a training nobody killed.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from training_toy import POLICY, SETUP, blobs, logged, network, told, training_set, without_clock

from convsmith import files
from convsmith.files import is_whole
from convsmith.training import guard, keeper
from convsmith.training.budget import Budget
from convsmith.training.checkpoint import Checkpoint
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.events import read_events, without_undone
from convsmith.training.optimizer import make_optimizer
from convsmith.training.recipe import Recipe

SELECT = EvaluationSet(*blobs(20, seed=99))
RECIPE = Recipe(batch=16, policy=POLICY, learning_rate=3.0, clip_norm=0.0)
CALLS = ("mkdir", "fsync", "replace", "unlink", "rmdir")

Change = Callable[[], None]


def child(folder: Path, steps: int, change: Change) -> tuple[int, int]:
    """Fork a training in ``folder``; returns its process and the reading end of what it says about its saves."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        save = keeper.save_checkpoint

        def saying(where: Path, one: Checkpoint) -> Path:
            os.write(writing, b"(")
            path = save(where, one)
            os.write(writing, f"{one.course['rollbacks']},{one.state.steps})".encode())
            return path

        keeper.save_checkpoint = saying
        change()
        os.write(writing, b".")
        trained = logged(
            folder, recipe=RECIPE, budget=Budget(images=16 * steps), select=SELECT, resume=True, checkpoint_seconds=0.0,
            setup=dataclasses.replace(SETUP, batch_forward=20),
        )  # fmt: skip
        os.write(writing, f"[{digest(trained.module, trained.history, trained.incidents)}]".encode())
        os._exit(0)
    finally:
        os._exit(1)


def digest(module: torch.nn.Module, *values: Any) -> str:
    found = hashlib.sha256(repr(values).encode())
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.shape} {tensor.dtype}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def rest(process: int, reading: int, seconds: float | None = None) -> tuple[str, int]:
    """All that a child said, and how it ended; killed some seconds after its first word if it has not yet."""
    with os.fdopen(reading, "rb", buffering=0) as stream:
        said = stream.read(1)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(process, signal.SIGKILL)
        said += stream.readall()
    return said.decode(), os.waitpid(process, 0)[1]


def problems(folder: Path, said: str, whole: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with the files of a killed training, given what it said and the events of one nobody killed."""
    kept = [p for p in (folder / "checkpoints").glob("*") if not p.name.endswith(".tmp")]
    yield from (f"{path.name} is not whole" for path in kept if not is_whole(path))
    states = [json.loads((path / "state.json").read_text()) for path in kept]
    found = {(one["course"]["rollbacks"], one["state"]["steps"]): one for one in states}
    saved = [(int(rollbacks), int(steps)) for rollbacks, steps in re.findall(r"(\d+),(\d+)\)", said)]
    if saved and max(found, default=(0, 0)) < saved[-1]:
        yield f"step {saved[-1][1]} after {saved[-1][0]} rollbacks was saved and is not there"
    if found:
        newest = found[max(found)]
        count = newest["state"]["events"]
        resumed = {"event": "resumed", "kept": count}
        held = without_clock(without_undone([*read_events(folder / "events.ndjson"), resumed]))
        expected = without_clock(without_undone(event for event in whole if event.get("number", 0) <= count))
        if held != expected:
            yield f"events {[one['number'] for one in held]} instead of {[one['number'] for one in expected]}"


class Nursery:
    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps
        self.runs = self.kills = self.in_saves = 0
        self.found: list[str] = []
        started = time.monotonic()
        said, status = rest(*child(self.new_folder(), steps, lambda: None))
        self.seconds = time.monotonic() - started
        assert status == 0, "the training that nobody kills fails"
        self.digest, self.told = self.result(said), told(self.current)
        self.events = read_events(self.current / "events.ndjson")
        self.rollbacks = sum(event["event"] == "rollback" for event in self.told)

    def new_folder(self) -> Path:
        self.runs += 1
        self.current = self.folder / str(self.runs)
        self.current.mkdir()
        return self.current

    @staticmethod
    def result(said: str) -> str:
        return said.partition("[")[2].rstrip("]")

    def live(self, change: Change, seconds: float | None) -> bool:
        """One life of a training, ended after some seconds or by ``change``; whether it came to its end."""
        said, status = rest(*child(self.current, self.steps, change), seconds)
        if status == signal.SIGKILL:
            self.kills += 1
            self.in_saves += said.endswith("(")
            self.found += [f"kill {self.kills}: {one}" for one in problems(self.current, said, self.events)]
            return False
        if status != 0 or self.result(said) != self.digest or told(self.current) != self.told:
            self.found.append(f"run {self.runs} after {self.kills} kills: status {status}, or another result")
        return True

    def summary(self) -> dict[str, Any]:
        counts = {key: getattr(self, key) for key in ("runs", "kills", "in_saves", "rollbacks")}
        return {**counts, "found": self.found[:10]}


def kill_at_random(nursery: Nursery, count: int) -> None:
    chance = random.Random(0)
    nursery.new_folder()
    while nursery.kills < count:
        if nursery.live(lambda: None, chance.uniform(0, nursery.seconds / 2)):
            nursery.new_folder()
    nursery.live(lambda: None, None)


def kill_at_each_call(nursery: Nursery) -> None:
    number, ended = 0, False
    while not ended:
        nursery.new_folder()
        ended = nursery.live(lambda at=number: kill_at_call(at), None)
        nursery.live(lambda: None, None)
        number += 1


def kill_at_call(number: int) -> None:
    """Make this process kill itself at one of the calls by which files change: before it, or at half of a file."""
    calls = 0

    def here() -> bool:
        nonlocal calls
        calls += 1
        return calls > number

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if here():
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    def half(path: Path, content: bytes) -> None:
        if here():
            path.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, content)

    write, files._write_synced = files._write_synced, half
    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))


def main(folder: str, how: str, count: str = "0") -> None:
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # what a process wrote outlives it; only a machine that fails would need this
    training_set()
    make_optimizer(network(), RECIPE)  # imports much of torch, once for all children
    guard.GOOD_EVERY, guard.SPIKE = 4, 1.3  # so that the training rolls back three times
    gc.collect()
    gc.freeze()  # children would copy every page that the collector marks
    nursery = Nursery(Path(folder), 24 if how == "random" else 3)
    if how == "random":
        kill_at_random(nursery, int(count))
    else:
        kill_at_each_call(nursery)
    sys.stdout.write(json.dumps(nursery.summary()))


if __name__ == "__main__":
    main(*sys.argv[1:])
