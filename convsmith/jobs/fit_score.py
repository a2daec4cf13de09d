"""The board of a search, kept up to date from the events of its race."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from convsmith.jobs.fit_board import TESTED, Board, Dot, Standing, Stretch
from convsmith.search.candidate import Candidate


class Scorer:
    """Keeps the board of a race up to date from its events; a resumed race tells again what is on record.

    Args:
        candidates: All networks there are.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._known = {candidate.key: candidate for candidate in candidates}
        self._stretches: dict[str, Stretch] = {}
        self._present = ""
        self._scores: dict[str, list[tuple[float, float]]] = {}  # in the present stretch: loss and accuracy
        self._trained: dict[str, None] = {}
        self._scored, self._final = "", False
        self._board: Board | None = Board()

    @property
    def board(self) -> Board:
        """How the race stands; made when it is asked for, since a long one has thousands of events."""
        if self._board is None:
            self._judge()
            self._board = Board(tuple(self._stretches.values()), self._dots())
        return self._board

    def name(self, key: str) -> str:
        """Of a network."""
        return self._known[key].design.name

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """One event of the race."""
        if event == "plan":
            self._plan(fields["plan"])
        elif event == "rung":
            self._begin(f"rung {fields['number']}", fields["images"], len(fields["candidates"]), 1)
        elif event == "proposed" and self._present:
            self._more(len(fields["candidates"]))
        elif event == "finals":
            self._begin("finals", fields["images"], len(fields["candidates"]), fields["seeds"])
        elif event == "delivery":
            self._begin("delivery", fields["images"], 1, 1)
        elif event == "settled":
            self._known |= {one["key"]: Candidate.from_dict(one) for one in fields["candidates"]}
        elif event in ("training", "delivered"):
            self._score(fields)
        else:
            return
        self._board = None

    def _plan(self, plan: Mapping[str, Any]) -> None:
        for number, rung in enumerate(plan["rungs"], start=1):
            name, count = f"rung {number}", rung["candidates"]
            self._stretches[name] = Stretch(name, rung["images"], count, count)
        finals = plan["finals"]
        trainings = finals["candidates"] * finals["seeds"]
        self._stretches["finals"] = Stretch("finals", finals["images"], finals["candidates"], trainings)
        delivery = plan.get("delivery", {"images": 0})  # of an older version
        if delivery["images"]:
            self._stretches["delivery"] = Stretch("delivery", delivery["images"], 1, 1)

    def _begin(self, name: str, images: int, networks: int, seeds: int) -> None:
        self._judge()
        self._present, self._scores = name, {}
        self._stretches[name] = Stretch(name, images, networks, networks * seeds)

    def _more(self, networks: int) -> None:
        now = self._stretches[self._present]
        more = {"networks": now.networks + networks, "trainings": now.trainings + networks}
        self._stretches[self._present] = dataclasses.replace(now, **more)

    def _score(self, fields: Mapping[str, Any]) -> None:
        key, outcome = fields["candidate"], fields["outcome"]
        name = self._present or ("finals" if fields["final"] else "rung 1")
        now = self._stretches[name]
        self._trained[key] = None
        if outcome["log_loss"] is not None and not outcome["failure"]:
            self._scores.setdefault(key, []).append((outcome["log_loss"], outcome["accuracy"]))
        more = {"done": now.done + 1, "trainings": max(now.trainings, now.done + 1)}
        self._stretches[name] = dataclasses.replace(now, **more)
        self._scored, self._final = name, name in TESTED

    def _judge(self) -> None:
        """Note the best of the present stretch."""
        if self._scores:
            best = self._best(final=self._final)
            accuracy = statistics.fmean(right for _, right in self._scores[best])
            found = {"best": self.name(best), "accuracy": accuracy}
            self._stretches[self._scored] = dataclasses.replace(self._stretches[self._scored], **found)

    def _best(self, *, final: bool) -> str:
        """The key of the best network of the present stretch."""
        if final:
            return max(self._scores, key=lambda key: statistics.fmean(right for _, right in self._scores[key]))
        return min(self._scores, key=lambda key: statistics.fmean(loss for loss, _ in self._scores[key]))

    def _dots(self) -> tuple[Dot, ...]:
        """Those that matter most last."""
        best = self._best(final=self._present in TESTED) if self._scores else None

        def dot(key: str) -> Dot:
            depth, width, resolution = self._known[key].shares
            standing: Standing = "best" if key == best else "going on" if key in self._scores else "trained"
            return Dot({"depth": depth, "width": width, "resolution": resolution}, standing)

        order: tuple[Standing, ...] = ("trained", "going on", "best")
        return tuple(sorted(map(dot, self._trained), key=lambda one: order.index(one.standing)))
