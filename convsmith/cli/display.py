"""Progress of long work on standard error: a bar where a person watches, plain lines where a file does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.text import Text

from convsmith.cli.app import one_line, tell
from convsmith.cli.fit_view import BoardView
from convsmith.jobs.fit_board import Board
from convsmith.jobs.step import Step
from convsmith.quantities import format_percent, format_seconds

_SECONDS_BETWEEN_LINES: Final = 5.0


class Display(Protocol):
    """Shows what a job tells, from entering it to leaving it."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def tell(self, line: str) -> None:
        """Show a line that stays."""
        ...

    def show(self, step: Step) -> None:
        """Show how far the work is."""
        ...


def make_display() -> Display:
    """A bar if standard error is a terminal, else lines."""
    return Bar() if sys.stderr.isatty() else Lines()


class Lines:
    """One line every few seconds, and one at the end of each task."""

    def __init__(self) -> None:
        self._left = _TimeLeft()
        self._last = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def tell(self, line: str) -> None:
        """Write the line."""
        tell(line)

    def show(self, step: Step) -> None:
        """Write the step, if the last line is some seconds old or the task is done."""
        left = self._left.after(step)
        now = time.monotonic()
        if step.fraction >= 1 or now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            tell(f"{step.task}: {format_percent(step.fraction, 0)}, {step.detail}{left}")


class _WithBoard(Progress):
    """Bars, and how a search stands above them."""

    board: Board | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """The board, where there is one, then the bars."""
        if self.board is not None:
            yield BoardView(self.board)
        yield from super().get_renderables()


class Bar:
    """A bar that redraws itself in place, with lines above it."""

    def __init__(self) -> None:
        self._left = _TimeLeft()
        self._progress = _WithBoard(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tell(self, line: str) -> None:
        """Write the line above the bar."""
        self._progress.console.print(Text(one_line(line)))

    def show(self, step: Step) -> None:
        """Move the bar of the step's task; there is one bar at a time."""
        if step.task not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, visible=False)
            self._tasks[step.task] = self._progress.add_task(step.task, total=1.0, detail="")
        self._progress.board = step.board
        detail = f"{step.detail}{self._left.after(step)}"
        self._progress.update(self._tasks[step.task], completed=step.fraction, detail=detail)


class _TimeLeft:
    """The time left of a task as text, from the pace so far where the job gives no estimate of its own."""

    def __init__(self) -> None:
        self._task = ""
        self._started = 0.0

    def after(self, step: Step) -> str:
        if step.task != self._task:
            self._task, self._started = step.task, time.monotonic()
        seconds = step.seconds_left
        if seconds is None and step.fraction > 0:
            seconds = (time.monotonic() - self._started) * (1 / step.fraction - 1)
        return f", {format_seconds(seconds)} left" if seconds is not None and step.fraction < 1 else ""
