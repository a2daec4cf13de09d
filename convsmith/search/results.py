"""What any run of this user has trained, one line for each training, in the cache, where every later run looks first.

There is a file for everything that decides an outcome beside the work itself: data, recipe, setup and machine. Lines
are only ever appended, under a lock that the system takes back from a dead process, and each carries its own checksum:
a damaged one is lost alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from convsmith.errors import ConvsmithError, RunError
from convsmith.files import cache_folder, make_folder, write_atomically, writing
from convsmith.search.candidate import Outcome, Training, Work

_FORMAT: Final = 1
_ALIKE: Final = ("data", "split", "recipe")
"""Keys of a context that decide what a training says of others; setup and machine change little but its time."""
_SEARCHED: Final = 5_000  # trainings read to learn from, in a second


@dataclasses.dataclass(frozen=True)
class Found:
    """A training that an earlier run did.

    Attributes:
        outcome: How it came out.
        recorded: When, in seconds since 1970.
        weights: Where the run kept the weights, if it did.
        digest: SHA-256 of that file.
    """

    outcome: Outcome
    recorded: float
    weights: str = ""
    digest: str = ""

    def fetch(self, target: Path) -> bool:
        """Copy the weights to ``target`` if they are still there and as they were; says whether they are there now.

        Raises:
            RunError: If ``target`` cannot be written.
        """
        with contextlib.suppress(OSError):
            if self.weights and _digest(Path(self.weights)) == self.digest:
                if target.resolve() != Path(self.weights).resolve():
                    write_atomically(target, lambda path: shutil.copyfile(self.weights, path))
                return True
        return False


class Results:
    """The trainings of all runs under one context.

    Args:
        context: What decides an outcome beside the work: digests of data, of the recipe, of setup and machine.
        folder: Where the files lie; by default in the user's cache.
    """

    def __init__(self, context: Mapping[str, str], folder: Path | None = None) -> None:
        name = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()[:24]
        self._path = (folder or cache_folder() / "results") / f"{name}.ndjson"
        self.context = dict(context)
        self._read = 0
        self._known: dict[tuple[Any, ...], list[Found]] = {}
        self._asked: dict[tuple[Any, ...], dict[str, Any]] = {}

    def find(self, work: Work) -> Found | None:
        """The first training of ``work`` that is on record and did not fail; also one recorded a moment ago."""
        return next(iter(self.every(work)), None)

    def every(self, work: Work) -> Sequence[Found]:
        """All of them, oldest first: one is done again where its weights are gone."""
        self._catch_up()
        return self._known.get(work.identity, ())

    def searched(self) -> list[Training]:
        """The last trainings of searches on the same data by the same recipe, with whatever setup, oldest first.

        Of those done several times the first counts.
        """
        done: dict[tuple[Any, ...], tuple[float, dict[str, Any], Outcome]] = {}
        for one in self._alike():
            for key, asked in one._asked.items():
                first = one._known[key][0]
                if not asked["final"] and first.recorded < done.get(key, (math.inf,))[0]:
                    done[key] = first.recorded, asked, first.outcome
        found: list[Training] = []
        for _, asked, outcome in sorted(done.values(), key=lambda row: row[0])[-_SEARCHED:]:
            with contextlib.suppress(ConvsmithError, KeyError, TypeError, ValueError):  # of another version
                found.append(Training(Work.from_dict(asked), outcome))
        return found

    def _alike(self) -> list[Results]:
        """The results of all setups and machines, on the same data by the same recipe, as they are now."""
        contexts = [self.context, *map(_context, sorted(self._path.parent.glob("*.ndjson")))]
        found = {
            one._path: one
            for one in (Results(context, self._path.parent) for context in contexts if context)
            if all(one.context.get(key) == self.context.get(key) for key in _ALIKE)
        }
        for one in found.values():
            one._catch_up()
        return list(found.values())

    def append(self, work: Work, outcome: Outcome, weights: Path | None = None) -> None:
        """Record a training that did not fail, and wait until it is on the disk.

        Raises:
            RunError: If the cache cannot be written.
        """
        if outcome.failed:
            return
        entry = {"format": _FORMAT, "recorded": time.time(), "context": self.context}
        entry |= {"work": work.to_dict(), "outcome": outcome.to_dict()}
        if weights is not None and weights.is_file():
            entry |= {"weights": str(weights.resolve()), "digest": _digest(weights)}
        line = json.dumps({"sha256": _checksum(entry), "entry": entry}, allow_nan=False).encode() + b"\n"
        make_folder(self._path.parent)
        with writing(self._path), self._path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            end = stream.seek(0, os.SEEK_END)
            if end:
                stream.seek(end - 1)
                if stream.read(1) != b"\n":  # a writer was killed: its line ends here, and is lost
                    line = b"\n" + line
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())

    def _catch_up(self) -> None:
        """Read what was appended since the last time; a cache that cannot be read holds nothing."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._read)
                whole, end, _ = stream.read().rpartition(b"\n")
        except OSError:
            return
        self._read += len(whole) + len(end)
        for line in whole.split(b"\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RunError):
                asked, found = _parse(line)
                key = (asked["candidate"]["key"], asked["images"], asked["seed"], asked["final"])
                self._asked.setdefault(key, asked)
                self._known.setdefault(key, []).append(found)


def _context(path: Path) -> dict[str, str] | None:
    """What all lines of a file have in common; None if the first one is damaged."""
    try:
        with path.open("rb") as stream:
            return dict(json.loads(stream.readline())["entry"]["context"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse(line: bytes) -> tuple[dict[str, Any], Found]:
    """Work and training of a line; any of several errors if it is damaged or of another format."""
    row = json.loads(line)
    entry = row["entry"]
    if row["sha256"] != _checksum(entry) or entry["format"] != _FORMAT:
        raise ValueError("not a line of this format")
    outcome = Outcome.from_dict(entry["outcome"])
    return entry["work"], Found(outcome, entry["recorded"], entry.get("weights", ""), entry.get("digest", ""))


def _checksum(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
