"""A process that trains networks of a search at the request of another, on the same machine.

python -m convsmith.jobs.hand

It is talked to in lines of JSON: first what is common to all trainings, then one training after the other. It answers
with how far each is, and at last with how it came out. When nobody can talk to it any more, it ends.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from convsmith.errors import ConvsmithError, first_line
from convsmith.interop.weights import read_weights
from convsmith.jobs.elsewhere import Order, make_lab
from convsmith.search.candidate import Work
from convsmith.training.progress import Progress
from convsmith.training.recipe import Recipe
from convsmith.training.recipe_file import read_recipe
from convsmith.training.setup import Setup

_PAUSE: Final = 0.5  # seconds between two lines on how far a training is


class Answers:
    """Says lines to who asked, in place of the standard output, and keeps the events of a training until its end."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints is not taken for an answer
        self._events: list[dict[str, Any]] = []
        self._last = 0.0

    def say(self, **fields: Any) -> None:
        """One line."""
        self._stream.write(json.dumps(fields) + "\n")
        self._stream.flush()

    def write(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        """An event of the training that goes on."""
        self._events.append({"event": event, "time": time.time(), **fields})

    def sync(self) -> None:
        """There is no disk to wait for."""

    def taken(self) -> list[dict[str, Any]]:
        """The events since the last time, which are forgotten."""
        events, self._events = self._events, []
        return events

    def watch(self, progress: Progress) -> None:
        """One step of a training."""
        now = time.monotonic()
        if now - self._last >= _PAUSE:
            self._last = now
            self.say(images_per_second=progress.images_per_second, loss=progress.loss)


def main() -> None:
    """Train what is asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    answers = Answers()
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    opening = json.loads(sys.stdin.readline())
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    recipe = Recipe()  # always that of the training that goes on
    try:
        weights = Path(opening.pop("weights"))
        setup = Setup(**opening.pop("setup"))
        starts = {name: read_weights(Path(path)) for name, path in opening.pop("starts").items()}
        order = Order(**opening, setup=setup, starts=starts, recipe_for=lambda side, channels: recipe)
        lab = make_lab(order, weights, answers, answers.watch)
        answers.say(ready=True)
        while True:
            message = asked.get()
            recipe = read_recipe(message["recipe"], recipe)
            outcome = lab.train(Work.from_dict(message["work"]))
            answers.say(outcome=outcome.to_dict(), events=answers.taken())
    except ConvsmithError as error:
        answers.say(error=str(error))
    except Exception as error:  # said where a person sees it
        answers.say(error=f"a training broke: {first_line(error)}")


def _listen(asked: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        asked.put(json.loads(line))
    os._exit(0)  # also out of the middle of a training


if __name__ == "__main__":
    main()
