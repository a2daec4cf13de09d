"""What a report shows, worked out once from ``report.json`` for the page and for the picture.

Nothing here is measured or formatted as HTML; it only picks, joins and orders the figures of the report.
"""

from __future__ import annotations

import bisect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import PurePath
from typing import Any

from convsmith.quantities import count_of

Report = Mapping[str, Any]

_RULE = "rule:"


@dataclass(frozen=True)
class Standing:
    """A network of the finals, or a named rule, as a row of the main table.

    Attributes:
        name: Rules that make it, or the name of its design.
        interval: 95 %, of a test accuracy.
        judged_on: ``test``, ``select``, or nothing.
        chosen_better: Probability that the chosen network is the better one.
        failure: Why there is no accuracy.
    """

    key: str
    name: str
    chosen: bool
    tied: bool
    accuracy: float | None
    interval: tuple[float, float] | None
    judged_on: str
    macs: int | None
    params: int | None
    chosen_better: float | None
    failure: str


@dataclass(frozen=True)
class Mistake:
    """Images of class ``true`` that were taken for ``answer``; ``of`` is how many the class has."""

    true: str
    answer: str
    count: int
    of: int


@dataclass(frozen=True)
class Confusion:
    """Counts: row the true class, column the answer; only the ``classes`` most often mistaken of ``total``."""

    classes: list[str]
    matrix: list[list[int]]
    total: int

    @property
    def shares(self) -> list[list[float]]:
        """Each count over all of its row."""
        return [[count / max(sum(row), 1) for count in row] for row in self.matrix]


def source_name(report: Report) -> str:
    """The name of the images, without the folders that they lie in."""
    return PurePath(report["data"]["source"]).name


def title(rule: str) -> str:
    """A rule's name as words."""
    return rule.replace("_", " ")


def named(report: Report) -> dict[str, Any]:
    """The rows of all networks that have a name: those that rules make, and the ready-made ones."""
    return {**report["rules"], **report.get("ready", {})}


def names(report: Report) -> dict[str, str]:
    """What to call each network, by key: the rules that make it, else the design's name, else where it came from."""
    found: dict[str, list[str]] = {}
    for rule, row in named(report).items():
        if row.get("key"):
            found.setdefault(row["key"], []).append(title(rule))
    called = {key: ", ".join(rules) for key, rules in found.items()}
    for one in report["candidates"]:
        called.setdefault(one["key"], design_name(one["design"]) or one["origin"])
    called.setdefault(report["chosen"].get("key", ""), report["chosen"]["name"])
    return called


def rung_lengths(report: Report) -> list[int]:
    """Images of a training in each rung of the search."""
    every = [rung for one in report["candidates"] for rung in one["rungs"]]
    return sorted({rung["images"] for rung in every if rung["log_loss"] is not None})


def rungs_of(candidate: Report, lengths: Sequence[int]) -> list[Report | None]:
    """What a network did in each rung; nothing where it had no part, as those have that entered later.

    A training that failed ended early, in the first rung that is longer. ``lengths`` are the ``rung_lengths``.
    """
    found: list[Report | None] = [None] * len(lengths)
    for rung in candidate["rungs"] if lengths else ():
        found[min(bisect.bisect_left(lengths, rung["images"]), len(lengths) - 1)] = rung
    return found


def rung_reached(candidate: Report, lengths: Sequence[int]) -> int:
    """The number of the last rung that a network was trained in, from 1; 0 if in none."""
    return max((number for number, rung in enumerate(rungs_of(candidate, lengths), start=1) if rung), default=0)


def reached(candidate: Report, lengths: Sequence[int]) -> str:
    """How far a network came."""
    if candidate["final"]:
        return "finals"
    number = rung_reached(candidate, lengths)
    return f"rung {number}" if number else "not trained"


def early_accuracy(candidate: Report, lengths: Sequence[int]) -> float | None:
    """Accuracy after the first rung, where networks had the same training; in the finals where there was no rung.

    Nothing for a network that entered in a later rung, whose first training was longer.
    """
    if lengths:
        first = rungs_of(candidate, lengths)[0]
        return first["accuracy"] if first else None
    return candidate["final"]["accuracy"] if candidate["final"] else None


def handed_over(report: Report) -> tuple[float, tuple[float, float], str]:
    """Accuracy of the network in the folder on the test images, its interval, and by how much training.

    That of its long training where there was one, or what several trainings say of it.
    """
    long, accuracy = report.get("delivered", {}), report["accuracy"]
    if long.get("of_finals", 1.0) > 1:
        return long["test"], (*long["ci95"],), f"trained {long['of_finals']:.1f} times as long as in the finals"
    return accuracy["test"], (*accuracy["ci95"],), count_of(accuracy.get("seeds", 1), "training")


def standings(report: Report) -> list[Standing]:
    """Finalists and rules: those judged on the test images first, best first, then the others, failures last."""
    called, tied = names(report), {one["key"] for one in report["ties"]}
    rows: dict[str, dict[str, Any]] = {}
    for rule, row in named(report).items():
        rows.setdefault(row.get("key") or f"{_RULE}{rule}", dict(row))
    for one in report["candidates"]:
        if one["final"]:
            better = rows.get(one["key"], {}).get("probability_chosen_is_better")
            rows[one["key"]] = {**one, **one["final"], "judged_on": "test", "probability_chosen_is_better": better}
    chosen = report["chosen"]
    if chosen.get("key"):
        accuracy = {"accuracy": report["accuracy"]["test"], "ci95": report["accuracy"]["ci95"], "judged_on": "test"}
        rows[chosen["key"]] = {**chosen, **accuracy}
    found = [
        Standing(
            key=key,
            name=called.get(key) or title(key.removeprefix(_RULE)),
            chosen=key == chosen.get("key"),
            tied=key in tied,
            accuracy=None if row.get("failure") else row.get("accuracy"),
            interval=(row["ci95"][0], row["ci95"][1]) if row.get("ci95") else None,
            judged_on="" if row.get("failure") else row.get("judged_on", ""),
            macs=row.get("macs"),
            params=row.get("params"),
            chosen_better=row.get("probability_chosen_is_better"),
            failure=row.get("failure", ""),
        )
        for key, row in rows.items()
    ]
    return sorted(found, key=lambda row: (row.judged_on != "test", row.accuracy is None, -(row.accuracy or 0)))


def mistakes(report: Report, count: int) -> list[Mistake]:
    """The most frequent confusions."""
    classes, matrix = report["confusion"]["classes"], report["confusion"]["matrix"]
    pairs = [
        Mistake(classes[row], classes[column], found, sum(counts))
        for row, counts in enumerate(matrix)
        for column, found in enumerate(counts)
        if row != column and found
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:count]


def confusion(report: Report, most: int) -> Confusion:
    """The confusion of at most ``most`` classes: those with most mistakes, in their own order."""
    classes, matrix = report["confusion"]["classes"], report["confusion"]["matrix"]
    wrong = [sum(matrix[at]) + sum(row[at] for row in matrix) - 2 * matrix[at][at] for at in range(len(classes))]
    kept = sorted(sorted(range(len(classes)), key=lambda at: -wrong[at])[:most])
    cut = [[matrix[row][column] for column in kept] for row in kept]
    return Confusion([classes[at] for at in kept], cut, len(classes))


@lru_cache(maxsize=2**15)
def design_name(text: str | None) -> str:
    """The name in a design's TOML text; a page asks for that of each network several times."""
    return str(_parsed(text).get("name", ""))


def summary(text: str | None) -> str:
    """A design in a few words: ``24 px · residual · depth 2-3-4 · width 16-32-64``."""
    design = _parsed(text)
    stages = design.get("stage", [])
    if not stages:
        return ""
    blocks = "+".join(block for block, _ in groupby(str(stage.get("block")) for stage in stages))
    depth, width = ("-".join(str(stage.get(key)) for stage in stages) for key in ("depth", "width"))
    return f"{design.get('input', ['?'])[-1]} px · {blocks} · depth {depth} · width {width}"


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError:
        return {}
