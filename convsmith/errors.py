"""The error family: what convsmith tells a user who asked for something that cannot be.

Every message is one line and names the rule, the value received, the place and the remedy. Anything
that is *our* mistake is an ``assert`` and never one of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_ABSENT: Final = object()

EXIT_GATE_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143


class ConvsmithError(Exception):
    """Base of every error meant for a user.

    Args:
        rule: What must hold, as a statement: ``"stride must be positive"``.
        received: The value that broke the rule.
        where: The place: a file, a layer, a key.
        remedy: What to do about it.
    """

    exit_code: int = EXIT_BAD_INPUT

    def __init__(self, rule: str, *, received: object = _ABSENT, where: str = "", remedy: str = "") -> None:
        self.rule = rule
        self.received = None if received is _ABSENT else received
        self.where = where
        self.remedy = remedy
        message = f"{where}: {rule}" if where else rule
        if received is not _ABSENT:
            message += f" (received {_shown(received)})"
        if remedy:
            message += f"; {remedy}"
        super().__init__(message)


def _shown(value: object) -> str:
    return _cut(repr(value), 200)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def first_line(error: BaseException) -> str:
    """Somebody else's error in one line: its class and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def one_line(error: BaseException) -> str:
    """All that somebody else's error says, without line breaks; cut where it is very long."""
    return _cut(" ".join(str(error).split()), 400)


def did_you_mean(name: str, known: Iterable[str], advice: str = "", *, shown: str = "{}") -> str:
    """A remedy for a wrong name: the nearest of ``known``, if one is near, in the form ``shown``; then ``advice``."""
    nearest = [f"did you mean {shown.format(near)}?" for near in difflib.get_close_matches(name, [*known], 1)]
    return " ".join([*nearest, advice]).strip()


class OpError(ConvsmithError):
    """An operator's attribute, or the types it is given, cannot be."""


class GraphError(ConvsmithError):
    """Nodes that do not form a graph: an unknown input, a name used twice, a cycle."""


class DesignError(ConvsmithError):
    """A design file or a design that breaks the format, or that shrinks a map to nothing."""


class QuantityError(ConvsmithError):
    """Text that should be a number with a unit, or a shape, and is not."""


class BudgetError(ConvsmithError):
    """A budget that no design in the space can meet."""


class DataError(ConvsmithError):
    """Images or labels that cannot be used as given."""


class ModelError(ConvsmithError):
    """A model reference or a model file that cannot be read."""


class RunError(ConvsmithError):
    """A run folder that is not one, is incomplete, or cannot be written."""


class TrainingError(ConvsmithError):
    """A training that cannot go on, with its cause."""


class GateError(ConvsmithError):
    """A gate set by the user, or the parity gate of an export, did not hold."""

    exit_code = EXIT_GATE_FAILED


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is held back until work is safe; otherwise as Ctrl-C."""
