"""The laboratory of a search: trains any candidate on the same images by the same recipe and judges it.

This is what ``fit`` hands to the race, which itself knows no training. Images are resampled once per resolution, into
a file where they are many (``Images.at``); the weights of finals are kept, so that the network that is exported is one
that was judged.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from convsmith.data import Images, Normalisation, Pixels, Rows, Split
from convsmith.design import Design, lower
from convsmith.errors import TrainingError
from convsmith.files import make_folder
from convsmith.interop.torch_module import build
from convsmith.interop.weights import Weights, load_weights, read_weights, weights_of, write_weights
from convsmith.ir import Graph
from convsmith.jobs.finish import PARITY_IMAGES, Measure
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.rehearsal import rehearse
from convsmith.jobs.run_folder import TrainedNetwork
from convsmith.jobs.settings import RecipeFor
from convsmith.search.candidate import Candidate, Outcome, Work
from convsmith.search.policy import Load
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import RANKING_IMAGES, RECALIBRATION_IMAGES, logits, recalibrate_batchnorm
from convsmith.training.events import Log
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.metrics import accuracy, log_loss
from convsmith.training.probe import choose_setup
from convsmith.training.progress import Progress
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup
from convsmith.training.unfold import unfold_norms

_TIMED_STEPS = 4
_LOOKED_AT = 64  # images
_RESOLUTIONS_KEPT = 3
_GENTLY = 0.1  # of the learning rate from scratch, which would undo what given weights know


class Lab:
    """Trains candidates; every one sees the same images in the same order for the same seed.

    Attributes:
        weights: The folder where finals keep theirs; without one they do not.
        recipe: For the images as they are.
        setup: How trainings are computed.

    ``starts`` holds the weights that candidates start from, by ``Candidate.start``.
    """

    def __init__(
        self,
        images: Images,
        split: Split,
        recipe_for: RecipeFor,
        weights: Path | None,
        events: Log | None,
        watch: Callable[[Progress], None],
        starts: Mapping[str, Weights] | None = None,
    ) -> None:
        self._images = images
        self._split = split
        self.weights = weights
        self._events = events
        self._watch = watch
        self._starts = starts or {}
        self._resampled: dict[int, Pixels] = {}
        self._both = np.sort(np.concatenate([split.train, split.select]))
        self._normalisation = Normalisation.of(images, split.train)
        self._recipe_for = recipe_for
        self.recipe = recipe_for(images.side, images.channels)
        self.setup = Setup()

    def load(self, epoch: int) -> Load:
        """What a training goes through, where an epoch has so many images."""
        return Load(
            train=epoch,
            select=len(self._split.select),
            test=len(self._split.test),
            side=self._images.side,
            recalibrated=_recalibrated(self._split.train, final=False),
            recalibrated_final=_recalibrated(self._both, final=True),
        )

    def choose_setup(self, design: Design) -> Setup:
        """Measure how this machine trains ``design`` fastest, and train everything so from now on."""
        graph = lower(design)
        self.setup = choose_setup(lambda: build(graph), design.input, self.recipe.batch)
        return self.setup

    def seconds_per_image(self, candidate: Candidate) -> float:
        """Pace of training, from a few steps: the median of all but the first.

        Raises:
            TrainingError: If these steps diverge, or the network gives all images the same scores after them.
        """
        times: list[float] = []
        data = self._training_set(candidate.design, self._split.train[: 64 * self.recipe.batch])
        module = initialise(build(lower(candidate.design)), 0)
        last = time.perf_counter()

        def tick(_: object) -> None:
            nonlocal last
            now = time.perf_counter()
            times.append(now - last)
            last = now

        budget = Budget(images=self.recipe.batch * (_TIMED_STEPS + 1))
        recipe = self._recipe(candidate.design)
        train(module, data, recipe=recipe, budget=budget, seed=0, setup=self.setup, progress=tick, rollbacks=0)
        self._check_alive(module, candidate.design)
        return statistics.median(times[1:]) / self.recipe.batch

    def train(self, work: Work) -> Outcome:
        """One training of the race, from the first weights to the judgement."""
        start = time.perf_counter()
        design = work.candidate.design
        learn, judge = (self._both, self._split.test) if work.final else (self._split.train, self._split.select)
        data = self._training_set(design, learn)
        module = initialise(build(lower(design)), work.seed)
        recipe = self._recipe(design)
        if work.candidate.start:
            load_weights(module, {**weights_of(module), **self._starts[work.candidate.start]})
            unfold_norms(module, data, self.setup)
            recipe = dataclasses.replace(recipe, learning_rate=_GENTLY * recipe.learning_rate, whiten=False)
        try:
            done = train(
                module,
                data,
                recipe=recipe,
                budget=Budget(images=work.images),
                seed=work.seed,
                setup=self.setup,
                events=self._events,
                progress=self._watch,
                rollbacks=0,  # a network that diverges by the recipe of all has failed
            )
        except TrainingError as error:
            seconds = time.perf_counter() - start
            return Outcome(0.0, float("inf"), seconds, 0, None, len(judge), failure=str(error))
        recalibrate_batchnorm(module, data, self.setup, images=_recalibrated(learn, final=work.final))
        scores = self.scores(module, design, judge)
        labels = self._images.labels[judge]
        right = np.packbits(scores.argmax(1) == labels).tobytes()
        if work.final and self.weights is not None:
            write_weights(self._weights_path(work.candidate, work.seed), weights_of(module), {})
        seconds = time.perf_counter() - start
        return Outcome(accuracy(scores, labels), log_loss(scores, labels), seconds, done.images_seen, right, len(judge))

    def _check_alive(self, module: nn.Module, design: Design) -> None:
        """Refuse a network that no image gets through."""
        scores = self.scores(module, design, self._split.train[:_LOOKED_AT])
        if np.ptp(scores, axis=0).max() == 0:
            rule = "a network must give different images different scores after its first steps"
            raise TrainingError(rule, received="the same for all", where=design.name)

    def scores(self, module: nn.Module, design: Design, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of the images at ``indices``."""
        pixels = Rows(self._pixels(design.input[1]), indices)
        return logits(module, pixels, self._normalisation, self.setup)

    @property
    def sample(self) -> NDArray[np.uint8]:
        """Real images, as an exported file takes them."""
        return np.asarray(self._images.pixels[self._split.test[:PARITY_IMAGES]])

    def network(self, candidate: Candidate, seed: int) -> TrainedNetwork:
        """The network of a final, as it was judged.

        Raises:
            ModelError: If its weights are no longer there.
        """
        graph = lower(candidate.design)
        module = build(graph)
        load_weights(module, read_weights(self._weights_path(candidate, seed)))
        return self._network(candidate.design, graph, module)

    def ending(self, candidate: Candidate, measure: Measure) -> float:
        """Seconds from the last final to the report, as the end is rehearsed with an untrained network.

        Raises:
            GateError: If the exported file does not give the network's answers.
        """
        design = candidate.design
        graph = lower(design)
        network = self._network(design, graph, initialise(build(graph), 0))
        judge = Rows(self._pixels(design.input[1]), self._split.test)
        began = time.monotonic()
        normalisation = self._normalisation
        outside = rehearse(network, self.sample, judge, normalisation, self.setup, started=began, measure=measure)
        return outside.seconds() - outside.before

    def weights_path(self, work: Work) -> Path:
        """Where the weights of a final are kept."""
        return self._weights_path(work.candidate, work.seed)

    def _network(self, design: Design, graph: Graph, module: nn.Module) -> TrainedNetwork:
        preparation = Preparation.of(self._images, design.input[1], self._normalisation)
        return TrainedNetwork(design, graph, module.eval(), self._images.classes, preparation)

    def _recipe(self, design: Design) -> Recipe:
        """The one recipe, its shifts in proportion to the size of the images."""
        return self._recipe_for(design.input[1], design.input[0])

    def _training_set(self, design: Design, indices: NDArray[np.int64]) -> TrainingSet:
        pixels = Rows(self._pixels(design.input[1]), indices)
        return TrainingSet(pixels, self._images.labels[indices], self._normalisation, len(self._images.classes))

    def _pixels(self, resolution: int) -> Pixels:
        """All images at a resolution; the last few resolutions are kept."""
        found = self._resampled.pop(resolution, None)
        self._resampled[resolution] = self._images.at(resolution) if found is None else found
        while len(self._resampled) > _RESOLUTIONS_KEPT:
            del self._resampled[next(iter(self._resampled))]
        return self._resampled[resolution]

    def _weights_path(self, candidate: Candidate, seed: int) -> Path:
        assert self.weights is not None, "a lab without a folder keeps no weights"
        return make_folder(self.weights) / f"{candidate.key}-{seed}.safetensors"


def _recalibrated(learn: NDArray[np.int64], *, final: bool) -> int:
    """Of how many of the images it learns from a network's batch norms are computed anew."""
    return min(len(learn), RECALIBRATION_IMAGES if final else RANKING_IMAGES)
