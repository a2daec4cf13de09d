"""What a job tells while it works: a line when something is worth reading, a step when a bar should move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convsmith.jobs.fit_board import Board
from convsmith.quantities import format_percent
from convsmith.training.progress import Progress


@dataclass(frozen=True)
class Step:
    """How far a part of a job is.

    Attributes:
        task: What is being done.
        fraction: The share that is done, 0 to 1.
        detail: Its figures, for people.
        seconds_left: An estimate, where the job has a better one than the pace so far.
        board: How a search stands, where this is one.
    """

    task: str
    fraction: float
    detail: str
    seconds_left: float | None = None
    board: Board | None = None


Tell = Callable[[str], None]
Show = Callable[[Step], None]


def ignore(_: object) -> None:
    """What a job tells by default."""


def reading(show: Show) -> Callable[[int, int], None]:
    """Progress of decoding images, as ``open_images`` reports it."""
    return lambda done, total: show(Step("reading images", done / total, f"{done:,} of {total:,} images"))


def training(show: Show) -> Callable[[Progress], None]:
    """Progress of a training, as its loop reports it."""

    def pass_on(state: Progress) -> None:
        judged = "" if state.accuracy is None else f", {format_percent(state.accuracy)} right"
        detail = f"{state.images_per_second:,.0f} images/s, loss {state.loss:.3f}{judged}"
        show(Step("training", state.fraction, detail, state.seconds_left))

    return pass_on
