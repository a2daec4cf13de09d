"""What a search tells while it works: every event to the log, some as lines, and the clock as a bar."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from convsmith.jobs.fit_score import Scorer
from convsmith.jobs.past import past_note, told_time
from convsmith.jobs.step import Show, Step, Tell
from convsmith.quantities import format_count, format_percent, format_seconds
from convsmith.search.candidate import Candidate
from convsmith.training.events import EventLog
from convsmith.training.progress import Progress

_SHOWN: Final = 2  # trainings that go on


class Narrator:
    """Hears what the race and its trainings report.

    Args:
        events: The log of the run.
        tell: Told of what happens, in lines.
        show: Told how much of the time is spent, and how the search stands.
        candidates: All networks there are.
        started: When the job began, on the monotonic clock.
        seconds: Time for everything.
    """

    def __init__(
        self,
        events: EventLog,
        tell: Tell,
        show: Show,
        candidates: Sequence[Candidate],
        *,
        started: float,
        seconds: float,
    ) -> None:
        self._events = events
        self._tell = tell
        self._show = show
        self._started = started
        self._seconds = seconds
        self._scorer = Scorer(candidates)
        self._origin = ""

    def hear(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the race."""
        self._events.write(event, sync=event in ("training", "delivered"), **fields)
        self._scorer.hear(event, fields)
        self._origin = fields["origin"] if event == "start" else self._origin
        for line in self._lines(event, fields):
            self._tell(line)

    def _lines(self, event: str, fields: dict[str, Any]) -> list[str]:
        """What an event is to a person."""
        match event:
            case "plan":
                rungs = enumerate(fields["plan"]["rungs"], start=1)
                return [f"plan: rung {n}, {one['candidates']} networks, {_seconds(one)}" for n, one in rungs]
            case "past":
                return past_note(fields)[:1]
            case "rung":
                return [f"rung {fields['number']}: {len(fields['candidates'])} networks see {_images(fields)} each"]
            case "proposed":
                return [f"  {len(fields['candidates'])} more that may be the best, by all trainings so far"]
            case "dropped":
                return [f"  {fields['origin']} is left out: {fields['failure']}"]
            case "finals":
                networks, seeds = len(fields["candidates"]), fields["seeds"]
                return [f"finals: {networks} networks see {_images(fields)} each, {seeds} seeds or more"]
            case "delivery":
                name = self._scorer.name(fields["candidate"])
                return [f"delivery: {name}, chosen by the finals, sees {_images(fields)}"]
            case "training" | "delivered":
                return [f"  {_outcome(fields)}"]
            case _:
                return []

    def watch(self, progress: Progress) -> None:
        """One step of a training."""
        self.wait([f"{self._origin}: {pace(progress.images_per_second, progress.loss)}"])

    def wait(self, at: Sequence[str]) -> None:
        """Nothing but that time goes by, with trainings going on; of many the first are shown."""
        detail = "; ".join(at[:_SHOWN]) + (f" and {len(at) - _SHOWN} more" if len(at) > _SHOWN else "")
        spent = time.monotonic() - self._started
        left = max(self._seconds - spent, 0.0)
        self._show(Step("fit", min(spent / self._seconds, 1.0), detail, left, self._scorer.board))

    def relay(self, events: Sequence[dict[str, Any]]) -> None:
        """Events of a training that another process did, to the log."""
        for event in events:
            self._events.write(**event)


def pace(images_per_second: float, loss: float) -> str:
    """How a training goes, in words."""
    return f"{images_per_second:,.0f} images/s, loss {loss:.3f}"


def _outcome(fields: dict[str, Any]) -> str:
    outcome = fields["outcome"]
    found = outcome["failure"] or f"{format_percent(outcome['accuracy'])} right, {outcome['log_loss']:.3f} nats"
    return f"{fields['origin']}, seed {fields['seed']}: {found}, {told_time(fields)}"


def _seconds(planned: dict[str, Any]) -> str:
    return format_seconds(planned["seconds"])


def _images(fields: dict[str, Any]) -> str:
    return f"{format_count(fields['images'])} images"
