"""The budget of a search: what the user allows, as limits that designs are solved for, and what was spent of it."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final

from convsmith.analysis import WEIGHT_BYTES
from convsmith.data.memory import free_memory
from convsmith.deploy.calibrate import calibrate
from convsmith.deploy.calibration import Calibration, CalibrationError, read_calibration, write_calibration
from convsmith.deploy.latency import runtime
from convsmith.design import Design
from convsmith.errors import BudgetError, TrainingError
from convsmith.jobs.export_form import TRAINING_COPIES, ExportForm, Stand
from convsmith.jobs.step import Show, Step, Tell
from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds
from convsmith.scaling import Limits, Measure, price
from convsmith.scaling.limits import MEMORY, memory_limit
from convsmith.search.space import Space, smallest, typical
from convsmith.search.track import TooShort

LATENCY: Final = "latency"
FILE: Final = "file size"
COST_KEYS: Final[Mapping[str, tuple[str, float]]] = {
    LATENCY: ("latency_ms", 1e3), FILE: ("file_bytes", 1), MEMORY: ("memory_bytes", 1)
}  # fmt: skip
"""The keys of a report for what else a budget limits, and how many of its units one of ours is."""

_CALIBRATION: Final = 50.0
"""Seconds to measure a machine that no probe has measured, where there is time."""
_CALIBRATION_SHARE: Final = 0.1


@dataclasses.dataclass(frozen=True)
class Allowance:
    """What a user allows; None leaves one free.

    Attributes:
        macs: Multiply-adds for one image.
        params: Learned parameters.
        latency: Seconds for one image, exported, in onnxruntime on this machine.
        memory: Bytes of the weights and of the values alive at once, for one image.
        file_size: Bytes of the exported file.
        threads: Threads that the latency is meant for.
    """

    macs: int | None = None
    params: int | None = None
    latency: float | None = None
    memory: int | None = None
    file_size: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if all(value is None for value in (self.macs, self.params, self.latency, self.memory, self.file_size)):
            rule = "a budget must limit macs or params, latency, memory or file size"
            raise BudgetError(rule, remedy="give at least one, such as --macs 10M or --latency 3ms")

    def __str__(self) -> str:
        parts = (
            (self.macs, format_count, " MACs"),
            (self.params, format_count, " parameters"),
            (self.latency, format_seconds, " an image"),
            (self.memory, format_bytes, " of memory"),
            (self.file_size, format_bytes, " as a file"),
        )
        return ", ".join(f"{show(value)}{what}" for value, show, what in parts if value is not None)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``budget`` in a report."""
        return {
            "macs": self.macs,
            "params": self.params,
            "latency_ms": None if self.latency is None else 1e3 * self.latency,
            "memory_bytes": self.memory,
            "file_bytes": self.file_size,
            "threads": None if self.latency is None else self.threads,
        }

    def limits(self, form: Callable[[], ExportForm], predict: Callable[[Design], float] | None = None) -> Limits:
        """The limits of a search, from the form of the files and the seconds of a design, where these are limited."""
        others: list[Measure] = []
        if self.memory is not None:
            others.append(memory_limit(self.memory))
        if self.file_size is not None:
            size, exact, about = self.file_size, form().size, form().about
            others.append(Measure(FILE, size, exact, format_bytes, macs=4 * size, guess=about))
        if self.latency is not None:
            assert predict is not None
            others.append(Measure(LATENCY, self.latency, predict, format_seconds, macs=1e10 * self.latency))
        return Limits(self.macs, self.params, tuple(others))


def corrected(stand: Stand, predict: Callable[[Design], float], space: Space) -> Callable[[Design], float]:
    """A prediction that is right, as a whole, for networks of about the budget: one of each family is timed.

    What a machine is busy with, and what a calibration leaves out, is then in it.

    Args:
        stand: Where they are timed.
        predict: Seconds of a design.
        space: The search, its budget in terms of ``predict``.
    """
    networks = typical(space)
    if not networks:
        return predict
    timed = stand.measure(list(networks.values()))
    ratios = {
        family: latency.seconds / predict(design)
        for (family, design), latency in zip(networks.items(), timed, strict=True)
    }
    usual = statistics.fmean(ratios.values())

    def predict_better(design: Design) -> float:
        return predict(design) * statistics.fmean(ratios.get(stage.block, usual) for stage in design.stage)

    return predict_better


def known_speed(threads: int, *, seconds: float, tell: Tell, show: Show) -> Calibration:
    """The speed of this machine as a probe left it, or measured now.

    Args:
        threads: Threads of onnxruntime.
        seconds: Time for everything; a tenth of it is spent at most, and a hurried measurement is not kept.
        tell: Told that it takes a while.
        show: Told of the progress.

    Raises:
        RunError: If the cache cannot be written.
    """
    try:
        return read_calibration(threads)
    except CalibrationError:
        tell(
            f"measuring the speed of this machine with threads = {threads}, as `convsmith probe` does once and for all"
        )
    allowed = min(_CALIBRATION, _CALIBRATION_SHARE * seconds)

    def pass_on(share: float) -> None:
        show(Step("timing networks", share, f"about {format_seconds(allowed)}"))

    calibration = calibrate(threads=threads, seconds=allowed, progress=pass_on)
    if allowed == _CALIBRATION:
        write_calibration(calibration)
    return calibration


def check_memory(designs: Iterable[Design]) -> None:
    """Refuse networks so large that training one would exhaust this machine, before anything is built.

    Args:
        designs: What fills the budget.

    Raises:
        BudgetError: Saying what the weights of the largest take.
    """
    weights = WEIGHT_BYTES * max((price(design).params for design in designs), default=0)
    needed, free = TRAINING_COPIES * weights, free_memory()
    if needed > free:
        raise BudgetError(
            f"the largest networks of this budget take at least {format_bytes(needed)} to train, "
            f"and {format_bytes(free)} are free",
            where="memory",
            remedy="give a smaller budget, or limit their weights too, such as by --params 50M",
        )


def check_latency(stand: Stand, space: Space, latency: float) -> None:
    """Refuse a latency that no network of the space reaches.

    Raises:
        BudgetError: Saying how fast the fastest is, as measured.
    """
    fastest = min(measured.seconds for measured in stand.measure(smallest(space)))
    if fastest > latency:
        where = f"{runtime()}, threads = {stand.threads}"
        raise BudgetError(
            f"no network of the space is so fast: the fastest measured takes {format_seconds(fastest)} an image",
            received=format_seconds(latency),
            where=f"latency, {where}",
            remedy=f"give more than that, such as --latency {format_seconds(1.5 * fastest).replace(' ', '')}",
        )


@contextlib.contextmanager
def too_short_for(minutes: float) -> Generator[None]:
    """Say in minutes of the whole run what a race lacks.

    Raises:
        TrainingError: With the least that works, as measured.
    """
    try:
        yield
    except TooShort as error:
        least = format_seconds(60 * minutes + error.missing)
        remedy = f"give at least {least} and --resume: what was measured here is kept"
        where, received = "minutes", format_seconds(60 * minutes)
        raise TrainingError(error.rule, received=received, where=where, remedy=remedy) from error


@dataclasses.dataclass(frozen=True)
class Spent:
    """One line of the account.

    Attributes:
        name: What is measured.
        spent: By the chosen network.
        limit: The budget, or None.
        show: The same as text.
    """

    name: str
    spent: float
    limit: float | None
    show: Callable[[float], str]

    def __str__(self) -> str:
        text = f"{self.name} {self.show(self.spent)}"
        if self.limit is None:
            return text
        return f"{text} of {self.show(self.limit)} ({format_percent(self.spent / self.limit)})"


def account(report: dict[str, Any]) -> Sequence[Spent]:
    """What the chosen network of a finished report costs, beside what was allowed."""
    chosen, budget = report["chosen"], report["budget"]
    latency = f"latency ({report['latency']['runtime']}, threads = {report['latency']['threads']})"
    rows: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("multiply-adds", "macs", format_count),
        ("parameters", "params", format_count),
        (latency, "latency_ms", lambda value: format_seconds(value / 1e3)),
        ("memory", "memory_bytes", format_bytes),
        ("file", "file_bytes", format_bytes),
    )
    return [Spent(name, chosen[key], budget.get(key), show) for name, key, show in rows if chosen.get(key) is not None]
