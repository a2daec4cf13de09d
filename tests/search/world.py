"""A world in which the true accuracy of every network at every length of training is known."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from convsmith.design import parse_design
from convsmith.search.candidate import Candidate, Outcome, Work, design_key
from convsmith.search.policy import Load

DESIGN = """
name = "{name}"
input = [3, 16, 16]
[stem]
block = "conv"
width = 8
[[stage]]
block = "plain"
depth = {depth}
width = {width}
[head]
task = "classify"
classes = 10
"""
SHARES = {"depth": (0.7, 0.2, 0.1), "width": (0.1, 0.8, 0.1), "resolution": (0.2, 0.2, 0.6)}


def make_candidate(number: int, origin: str, stratum: str, macs: int | None = None) -> Candidate:
    name = origin.replace(":", "-")
    design = parse_design(DESIGN.format(name=name, depth=1 + number % 7, width=8 + number))
    cost = macs or 1_000_000 - number
    return Candidate(design_key(design), design, origin, SHARES[stratum], macs=cost, params=10_000 + number)


class Memory:
    """A study in memory; everything passes through JSON, as on disk."""

    def __init__(self) -> None:
        self.done: dict[tuple[Any, ...], str] = {}
        self.notes: dict[str, str] = {}

    def find(self, work: Work) -> Outcome | None:
        text = self.done.get((work.candidate.key, work.images, work.seed, work.final))
        return None if text is None else Outcome.from_dict(json.loads(text))

    def record(self, work: Work, outcome: Outcome) -> None:
        key = (work.candidate.key, work.images, work.seed, work.final)
        assert key not in self.done
        self.done[key] = json.dumps(outcome.to_dict())

    def note(self, name: str, value: Any) -> None:
        self.notes[name] = json.dumps(value)

    def noted(self, name: str) -> Any:
        return json.loads(self.notes[name]) if name in self.notes else None


@dataclasses.dataclass
class World:
    """Trains by drawing from the truth.

    Wide nets learn fast and end a little lower; deep ones learn slowly and end higher: at a tenth of ``long`` images
    every wide net looks better than every deep one.
    """

    seed: int = 0
    draws: int = 16
    long: int = 200_000
    load: Load = dataclasses.field(default_factory=lambda: Load(train=10_000, select=1_500, test=1_000))
    slowdown: float = 1.0
    broken: Callable[[Work], bool] = lambda work: False
    stop_at: int = -1

    def __post_init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self.works: list[Work] = []
        rng = np.random.default_rng(self.seed)
        rules = ("depth_only", "width_only", "resolution_only", "efficientnet", "dwr")
        strata = [*("depth", "width", "resolution", "resolution", "width")]
        strata += [str(name) for name in rng.choice(["depth", "width", "resolution"], self.draws)]
        origins = [f"rule:{name}" for name in rules] + [f"draw:{number}" for number in range(self.draws)]
        self.candidates = [make_candidate(n, o, s) for n, (o, s) in enumerate(zip(origins, strata, strict=True))]
        self.end = {c.key: 0.09 + 0.03 * rng.random() - 0.012 * (c.stratum == "depth") for c in self.candidates}
        self.paces = {c.key: 1e-3 * (0.7 + 0.8 * rng.random()) for c in self.candidates}
        self.hardness = rng.standard_normal(self.load.test)

    def accuracy(self, candidate: Candidate, images: int) -> float:
        speed = {"depth": 0.030, "width": 0.012, "resolution": 0.018}[candidate.stratum]
        return 1 - self.end[candidate.key] - speed * (images / self.long) ** -0.6

    def chance(self, work: Work) -> np.random.Generator:
        text = f"{self.seed} {work.candidate.key} {work.images} {work.seed} {work.final}"
        return np.random.default_rng(zlib.crc32(text.encode()))

    def time(self, candidate: Candidate) -> float:
        self.tick()
        self.now += 1.0
        return self.paces[candidate.key]

    def train(self, work: Work) -> Outcome:
        self.tick()
        self.works.append(work)
        rng = self.chance(work)
        pace = self.paces[work.candidate.key] * self.slowdown * rng.uniform(0.95, 1.05)
        seconds = self.load.seconds(pace, work.images, work.final)
        self.now += seconds
        total = self.load.test if work.final else self.load.select
        if self.broken(work):
            return Outcome(0.0, math.inf, seconds, work.images, None, total, failure="loss is not a number")
        noise = 0.0015 * math.sqrt(self.long / work.images) * rng.standard_normal()
        truth = min(max(self.accuracy(work.candidate, work.images) + noise, 0.1), 0.999)
        if not work.final:
            error = 1 - truth + 0.0025 * rng.standard_normal()
            return Outcome(1 - error, 3 * max(error, 1e-3), seconds, work.images, None, total)
        # Half of what makes an image hard is the image, half is the run.
        score = math.sqrt(0.5) * self.hardness + math.sqrt(0.5) * rng.standard_normal(total)
        right = score < norm.ppf(truth)
        mean = float(right.mean())
        return Outcome(mean, 3 * (1 - mean), seconds, work.images, np.packbits(right).tobytes(), total)

    def tick(self) -> None:
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.calls += 1

    def clock(self) -> float:
        return self.now
