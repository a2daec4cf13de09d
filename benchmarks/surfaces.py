"""Response surfaces with a known best network, and a machine that pretends to train on them.

Accuracy is an additive power law of depth, width and resolution, plus what each surface adds to it, plus an effect of
every network of its own; how fast it is reached depends on the network too. Errors, losses, seconds and their spread
are about those of `benchmarks/results/fit-cifar10-20k.json`: 8M multiply-adds, 32 px, 8,500 training images.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from convsmith.design import Design
from convsmith.scaling import Limits
from convsmith.scaling.axes import total_depth, widths_of
from convsmith.search.candidate import Candidate, Outcome, Work
from convsmith.search.policy import Load
from convsmith.search.space import Field, Space, make_field
from convsmith.training.evaluate import RANKING_IMAGES, RECALIBRATION_IMAGES

SPACE: Final = Space(Limits(macs=8_000_000), channels=3, native=32, classes=10)
LOAD: Final = Load(
    train=8_500,
    select=1_500,
    test=10_000,
    side=SPACE.native,
    setup=0.5,
    recalibrated=RANKING_IMAGES,
    recalibrated_final=RECALIBRATION_IMAGES,
)
PACE: Final = 2.7e-3  # seconds per image of a network of eight residual blocks
GUESSING: Final = 0.9  # error of a network that has learnt nothing
BEND: Final = 3  # how soon the power law gives way to guessing


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a network lies, in doublings from 8 blocks, 16 channels and 24 px."""

    depth: float
    width: float
    side: float
    tilt: float
    inverted: bool

    @staticmethod
    def of(candidate: Candidate) -> Place:
        """Where it is; worked out once."""
        if candidate.key not in _PLACES:
            _PLACES[candidate.key] = Place._of(candidate.design)
        return _PLACES[candidate.key]

    @staticmethod
    def _of(design: Design) -> Place:
        widths = widths_of(design)[1 : 1 + len(design.stage)]
        depths = [stage.depth for stage in design.stage]
        centre = sum(number * depth for number, depth in enumerate(depths)) / sum(depths) / (len(depths) - 1) - 0.5
        return Place(
            math.log2(total_depth(design) / 8),
            sum(math.log2(width / 16) for width in widths) / len(widths),
            math.log2(design.input[1] / 24),
            centre,
            design.stage[0].block == "inverted_residual",
        )


_PLACES: Final[dict[str, Place]] = {}


@dataclasses.dataclass(frozen=True, eq=False)
class Surface:
    """The truth about every network.

    Attributes:
        depth: Error that a network of 8 blocks has for having no more, and the exponent by which more help.
        width: The same of 16 channels.
        side: The same of 24 px.
        inverted: Error that inverted residuals add.
        extra: What else the error depends on.
        own: Standard deviation of what is each network's own.
        slow: By how much a doubling of the depth, and of the width, slows learning; relative.
    """

    depth: tuple[float, float] = (0.02, 1.0)
    width: tuple[float, float] = (0.02, 1.0)
    side: tuple[float, float] = (0.02, 1.0)
    inverted: float = 0.005
    extra: Callable[[Place], float] = lambda place: 0.0
    own: float = 0.003
    slow: tuple[float, float] = (0.05, 0.0)
    _known: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def error(self, candidate: Candidate, images: float) -> float:
        """The expected error of a network after a training of so many images."""
        end, pace = self.parts(candidate)
        left = end + pace * (images / LOAD.train) ** -0.6
        return (left**-BEND + GUESSING**-BEND) ** (-1 / BEND)

    def parts(self, candidate: Candidate) -> tuple[float, float]:
        """Where its error ends, and what of it is left after one pass over the images."""
        if candidate.key not in self._known:
            self._known[candidate.key] = self._parts(candidate)
        return self._known[candidate.key]

    def _parts(self, candidate: Candidate) -> tuple[float, float]:
        place = Place.of(candidate)
        terms = ((self.depth, place.depth), (self.width, place.width), (self.side, place.side))
        floor = 0.20 + sum(size * 2 ** (-power * doublings) for (size, power), doublings in terms)
        own = self.own * chance("own", candidate.key).standard_normal()
        end = floor + self.inverted * place.inverted + self.extra(place) + own
        return end, 0.39 * (1 + self.slow[0] * place.depth + self.slow[1] * place.width)


def _ridge(place: Place) -> float:
    """Deep networks ask for large images and small ones for shallow networks; neither alone is any good."""
    return 0.02 * (place.depth - 2.5 * place.side - 0.3) ** 2 + 0.03 * place.tilt**2


def _too_deep(place: Place) -> float:
    return 0.03 * max(place.depth - 1.0, 0.0) ** 2


SURFACES: Final[dict[str, Surface]] = {
    "depth": Surface(depth=(0.06, 0.8), width=(0.02, 0.7)),
    "width": Surface(width=(0.06, 0.8), depth=(0.01, 0.7)),
    "resolution": Surface(side=(0.10, 1.5), width=(0.02, 0.7), depth=(0.01, 0.7)),
    "interaction": Surface(extra=_ridge),
    "flat": Surface((0.003, 1.0), (0.003, 1.0), (0.003, 1.0), 0.0, own=0.0015, slow=(0.01, 0.0)),
    "flip": Surface(depth=(0.06, 0.8), width=(0.015, 0.7), extra=_too_deep, slow=(0.22, -0.05)),
    "rough": Surface(own=0.012),
}


def chance(*what: object) -> np.random.Generator:
    """Chance that depends on nothing but these."""
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


def field_of(seed: int, draws: int) -> Field:
    """The rules and so many networks, as ``fit`` draws them."""
    return make_field(SPACE, draws, seed=seed)


class SurfaceMachine:
    """Trains on a surface, in no time but with an account of it.

    Of what makes an image hard for a run two fifths are the image, one fifth the image for this network, the rest the
    run. A seed shifts the accuracy by as much as the pilot in the reference shows.

    Args:
        surface: The truth.
        seed: Of everything that is chance here.

    Attributes:
        load: What a training goes through.
        now: Seconds spent so far.
        trainings: How many were done.
    """

    def __init__(self, surface: Surface, seed: int) -> None:
        self.surface, self.seed, self.load = surface, seed, LOAD
        self.now, self.trainings = 0.0, 0
        self._hardness = chance("hardness", seed).standard_normal(LOAD.test)

    def clock(self) -> float:
        """Seconds spent so far."""
        return self.now

    def pace(self, candidate: Candidate) -> float:
        """Seconds per training image; networks of equal cost differ by several times."""
        place = Place.of(candidate)
        spread = math.exp(0.25 * chance("pace", candidate.key).standard_normal())
        return PACE * 2 ** (0.3 * place.depth) * (1.8 if place.inverted else 0.8) * spread

    def time(self, candidate: Candidate) -> float:
        """Measure the pace."""
        self.now += 1.0
        return self.pace(candidate) * chance("timed", self.seed, candidate.key).uniform(0.95, 1.05)

    def accuracy(self, candidate: Candidate, images: float) -> float:
        """The truth."""
        return 1 - self.surface.error(candidate, images)

    def train(self, work: Work) -> Outcome:
        """A training of the search judged by its loss, or a final with its bits."""
        candidate, images = work.candidate, work.images
        rng = chance("run", self.seed, candidate.key, images, work.seed, work.final)
        seconds = LOAD.seconds(self.pace(candidate) * rng.uniform(0.95, 1.05), images, work.final)
        self.now += seconds
        self.trainings += 1
        epochs = images / LOAD.train
        by_seed = max(0.006 * (epochs / 12) ** -0.35, 0.003) * rng.standard_normal()
        truth = min(max(self.accuracy(candidate, images) + by_seed, 0.02), 0.98)
        if not work.final:
            by_images = math.sqrt(0.6 * truth * (1 - truth) / LOAD.select) * rng.standard_normal()
            # A mean of losses varies less from image to image than a count of errors.
            loss = 0.185 + 2.4 * (1 - truth - 0.55 * by_images)
            return Outcome(truth + by_images, max(loss, 1e-3), seconds, images, None, LOAD.select)
        own = chance("images", self.seed, candidate.key).standard_normal(LOAD.test)
        score = math.sqrt(0.4) * self._hardness + math.sqrt(0.2) * own + math.sqrt(0.4) * rng.standard_normal(LOAD.test)
        right = score < NormalDist().inv_cdf(truth)
        mean = float(right.mean())
        return Outcome(mean, 0.185 + 2.4 * (1 - mean), seconds, images, np.packbits(right).tobytes(), LOAD.test)


def best_of(surface: Surface, candidates: Sequence[Candidate], images: float) -> Candidate:
    """The truly best network after a training of so many images."""
    parts = np.array([surface.parts(candidate) for candidate in candidates])
    return candidates[int(np.argmin(parts[:, 0] + parts[:, 1] * (images / LOAD.train) ** -0.6))]
