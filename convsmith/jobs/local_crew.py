"""The trainings of a search in processes of this machine: small networks alone leave most of its processors idle.

A process that dies costs the training it was at, which another does again. The record stays with who asked.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from convsmith.errors import RunError
from convsmith.files import write_text
from convsmith.interop.weights import write_weights
from convsmith.jobs.elsewhere import Order
from convsmith.jobs.fit_progress import Narrator
from convsmith.jobs.lab import Lab
from convsmith.jobs.local_hand import Hand, Said
from convsmith.jobs.settings import SETUP_KEYS
from convsmith.jobs.step import Tell
from convsmith.processor import available_threads
from convsmith.search.candidate import Outcome, Work
from convsmith.search.crew import Alone, Crew, Pool, Record
from convsmith.training.interrupt import held_signals
from convsmith.training.recipe_file import write_recipe

_MEMORY: Final = 2**30  # bytes for a process, its images and a small network included
_RETRIES: Final = 2
"""Processes that may die under one training, beside the first, before it is given up."""
_STARTING: Final = 120.0  # seconds
_PAUSE: Final = 0.5  # seconds between two looks at the clock


class Processes:
    """Processes of this machine that train, each with its share of the processors.

    Args:
        asked: How many; None for as many as processors and memory allow.
        tell: Told, in a line, if they cannot be had.

    Attributes:
        hands: Trainings that go on at the same time.
    """

    def __init__(self, asked: int | None, tell: Tell) -> None:
        self.hands = 1
        self._asked = asked
        self._tell = tell
        self._all: list[Hand] = []
        self._said: queue.SimpleQueue[tuple[Hand, Said | None]] = queue.SimpleQueue()
        self._order: Order | None = None
        self._opening: Said = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = itertools.count()
        self._tickets = itertools.count()
        self._busy: dict[int, Hand] = {}
        self._deaths = Counter[int]()

    def prepare(self, order: Order, lab: Lab) -> None:
        """Begin with as many as there can be; on a card one training goes on at a time."""
        if order.setup.device == "cpu":
            room = psutil.virtual_memory().available // _MEMORY
            most = max(min(available_threads() // order.setup.threads, room), 1)
            self.hands = most if self._asked is None else self._asked
        if self.hands > 1:
            self._order = order
            self._begin(order, lab)

    def crew(self, record: Record, lab: Lab, narrator: Narrator) -> Crew:
        """Who trains what ``record`` does not hold: this process itself, where one goes on at a time."""
        if self.hands == 1:
            return Alone(lab.train, record)

        def first(tickets: Sequence[int]) -> tuple[int, Outcome]:
            with held_signals() as stop_if_asked:
                while True:
                    stop_if_asked()
                    narrator.wait([self._busy[ticket].at for ticket in tickets])
                    with contextlib.suppress(queue.Empty):
                        done = self._heard(*self._said.get(timeout=_PAUSE), narrator)
                        if done is not None:
                            return done

        return Pool(record, lambda: self.hands, self._submit, first, here=lab.train)

    def end(self) -> None:
        """End all of them."""
        while self._all:
            self._all.pop().end()
        if self._folder:
            self._folder.cleanup()

    def _begin(self, order: Order, lab: Lab) -> None:
        """Have all hands ready; where that fails, this process trains alone."""
        self._folder = tempfile.TemporaryDirectory(prefix="convsmith-")
        self._opening = {
            "images": order.images,
            "digest": order.digest,
            "seed": order.seed,
            "version": order.version,
            "setup": {key: getattr(order.setup, key) for key in SETUP_KEYS},
            "starts": {name: str(write_weights(self._file(".safetensors"), one)) for name, one in order.starts.items()},
            "weights": str(lab.weights),
        }
        try:
            for _ in range(self.hands):
                self._all.append(self._hand())
            self._await()
        except RunError as error:
            self._tell(f"warning: trainings go on one at a time: {error}")
            self.end()
            self.hands = 1

    def _await(self) -> None:
        """Wait until all are ready.

        Raises:
            RunError: If one will never be.
        """
        deadline = time.monotonic() + _STARTING
        for _ in self._all:
            try:
                hand, said = self._said.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                raise RunError(f"a process for more was not ready after {_STARTING:g} s") from None
            if said is None:
                raise RunError(f"a process for more {hand.ending}")
            if "error" in said:
                raise RunError(said["error"])

    def _submit(self, work: Work) -> int:
        ticket = next(self._tickets)
        self._busy[ticket] = next(hand for hand in self._all if hand.work is None)
        self._busy[ticket].train(work, self._recipe(work))
        return ticket

    def _heard(self, hand: Hand, said: Said | None, narrator: Narrator) -> tuple[int, Outcome] | None:
        """What a hand says, as a training that is done, if it is one; where it has ended another takes its place.

        Raises:
            RunError: If it says that it cannot train.
        """
        if said is not None and "error" in said:
            raise RunError(said["error"])
        ticket = next((ticket for ticket, busy in self._busy.items() if busy is hand), None)
        if said is None:
            new = self._replaced(hand)
            if ticket is None or hand.work is None:
                return None
            self._deaths[ticket] += 1
            if self._deaths[ticket] <= _RETRIES:
                self._busy[ticket] = new
                new.train(hand.work, self._recipe(hand.work))
                return None
            failure = f"{_RETRIES + 1} processes died under it; the last {hand.ending}"
            outcome = Outcome(0.0, float("inf"), 0.0, 0, None, 0, failure=failure)
        elif ticket is None or "outcome" not in said:
            return None  # a new one is ready
        else:
            outcome = Outcome.from_dict(said["outcome"])
            narrator.relay(said["events"])
            hand.work = None
        del self._busy[ticket]
        return ticket, outcome

    def _hand(self) -> Hand:
        return Hand(lambda hand, said: self._said.put((hand, said)), self._opening, self._file(".txt"))

    def _replaced(self, dead: Hand) -> Hand:
        """A new hand in the place of one that has ended."""
        self._all.remove(dead)
        dead.end()
        self._all.append(self._hand())
        return self._all[-1]

    def _recipe(self, work: Work) -> Path:
        """The recipe of a training, as a file."""
        assert self._folder is not None
        assert self._order is not None
        channels, side, _ = work.candidate.design.input
        recipe = self._order.recipe_for(side, channels)
        path = Path(self._folder.name, f"{recipe.digest}.toml")
        if not path.exists():
            write_text(path, write_recipe(recipe))
        return path

    def _file(self, suffix: str) -> Path:
        assert self._folder is not None
        return Path(self._folder.name, f"{next(self._files)}{suffix}")
