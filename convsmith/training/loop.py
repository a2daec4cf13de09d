"""The training loop: batch, forward, backward, update, until the budget is spent.

It keeps no state that a checkpoint does not hold. Order and augmentation follow from the number of images seen, the
module's own chance (dropout) from the number of the step, rate and weight average from the share of the budget. A run
that is stopped, by Ctrl-C or by losing its power, and resumed therefore ends with the same bits as one that was not,
given the same machine, library versions and setup and a budget in images or epochs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from convsmith.errors import RunError, TrainingError
from convsmith.files import make_folder
from convsmith.training.average import WeightAverage
from convsmith.training.batches import Batches, TrainingSet
from convsmith.training.budget import Budget, Meter
from convsmith.training.checkpoint import Checkpoint, load_latest, save
from convsmith.training.evaluate import EvaluationSet, logits
from convsmith.training.events import EventLog
from convsmith.training.interrupt import held_interrupt
from convsmith.training.metrics import accuracy
from convsmith.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer
from convsmith.training.progress import Point, Progress, Trained
from convsmith.training.recipe import Recipe
from convsmith.training.schedule import learning_rate
from convsmith.training.setup import Setup

POINTS: Final = 100  # of the training curve
EVALUATIONS: Final = 4  # on the selection set, the last at the end
AVERAGE_EVERY: Final = 4  # steps: the half-life is many times longer, and the average is not free
LOSS_WEIGHT: Final = 0.05  # of the newest loss in the smoothed one


def train(
    module: nn.Module,
    data: TrainingSet,
    *,
    recipe: Recipe,
    budget: Budget,
    seed: int,
    setup: Setup,
    events: EventLog | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    select: EvaluationSet | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint_seconds: float = 30.0,
) -> Trained:
    """Train ``module`` in place until the budget is spent.

    Args:
        module: The network, (N, C, H, W) to (N, classes), with its first weights set (see ``initialise``).
        data: Images and labels.
        recipe: How to train.
        budget: How long to train.
        seed: Fixes order, augmentation and dropout. The caller's random state is left as it was.
        setup: Number type, layout and threads.
        events: Receives ``train``, ``point``, ``checkpoint`` and ``trained`` events.
        checkpoints: Folder for checkpoints: one at each interval, at Ctrl-C and at the end.
        resume: Go on from the newest checkpoint in the folder, or start where there is none.
        select: Images whose accuracy is followed; they never influence the weights.
        progress: Called after every step.
        checkpoint_seconds: Time between checkpoints.

    Raises:
        TrainingError: If the loss or the gradient stops being finite, or a resumed run differs in recipe, budget, seed
            or images from the one that was stopped.
        RunError: If checkpoints cannot be written, or a new run would overwrite those of an older one.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint of the last full step.
    """
    with torch.random.fork_rng(devices=[]), setup.threads_set(), _denormals_flushed(), held_interrupt() as interrupt:
        run = _Run(module, data, recipe, budget, seed, setup, events, select)
        keeper = _Keeper(run, checkpoints, resume, checkpoint_seconds)
        run.log("train", **run.identity, recipe_values=recipe.to_dict(), setup=setup.to_dict(), images=run.meter.images)
        while run.fraction < 1.0:
            run.step()
            try:
                run.follow()
                if progress is not None:
                    progress(run.progress())
                interrupt()
            except KeyboardInterrupt:
                keeper.keep()
                raise
            keeper.keep_when_due()
        return run.finish()


class _Run:
    """A training under way: what a checkpoint holds, and how one step changes it."""

    def __init__(
        self,
        module: nn.Module,
        data: TrainingSet,
        recipe: Recipe,
        budget: Budget,
        seed: int,
        setup: Setup,
        events: EventLog | None,
        select: EvaluationSet | None,
    ) -> None:
        self.module = setup.place(module).train()
        self.data, self.recipe, self.seed, self.setup = data, recipe, seed, setup
        self.events, self.select = events, select
        self.identity: dict[str, Any] = {
            "recipe": recipe.digest, "budget": budget.to_dict(), "seed": seed, "data": data.digest
        }  # fmt: skip
        self.batches = Batches(data, recipe.policy, seed)
        self.meter = Meter(budget, len(data.labels), recipe.batch)
        self.optimizer = make_optimizer(module, recipe)
        self.average = WeightAverage(module, recipe.ema) if recipe.ema else None
        self.fraction = self.before = 0.0  # shares of the budget spent after the last step and the one before
        self.rate = 0.0
        self.loss = 0.0
        self.accuracy: float | None = None
        self.history: list[Point] = []

    def step(self) -> None:
        """One batch forward, backward and into the weights."""
        recipe, meter, size = self.recipe, self.meter, self.meter.next_batch()
        self.rate = recipe.learning_rate * learning_rate(self.fraction, recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        torch.default_generator.manual_seed((self.seed * 0x9E3779B97F4A7C15 + meter.steps) % 2**63)
        images, labels = self.batches.at(meter.images, size)
        scores = self.setup.forward(self.module, images)
        if scores.shape != (size, self.data.classes):
            rule = f"the network must give {self.data.classes} scores for each image"
            raise TrainingError(rule, received=tuple(scores.shape), remedy="set the classes of its head")
        loss = functional.cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing)
        self._check_finite("loss", loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip_norm:
            norm = nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip_norm, foreach=True)
            self._check_finite("gradient norm", norm)
        self.optimizer.step()
        meter.add(size)
        self.loss += max(LOSS_WEIGHT, 1.0 / meter.steps) * (loss.item() - self.loss)
        self.before, self.fraction = self.fraction, meter.progress()
        if self.average is not None and (meter.steps % AVERAGE_EVERY == 0 or self.fraction >= 1.0):
            self.average.update(self.fraction)

    def _check_finite(self, what: str, value: torch.Tensor) -> None:
        if math.isfinite(value.item()):
            return
        raise TrainingError(
            f"the {what} must stay finite, {_culprit(self.module)}",
            received=value.item(),
            where=f"step {self.meter.steps + 1}, learning rate {self.rate:.4g}",
            remedy=f"lower the recipe's learning_rate, now {self.recipe.learning_rate:g}",
        )

    def follow(self) -> None:
        """Judge the selection set and add to the curve, at even shares of the budget."""
        if self.select is not None and self._crossed(EVALUATIONS):
            with self.average.loaded() if self.average is not None else contextlib.nullcontext():
                scores = logits(self.module, self.select.pixels, self.data.normalisation, self.setup)
            self.accuracy = accuracy(scores, self.select.labels)
        if self._crossed(POINTS):
            point = Point(self.fraction, self.meter.images, self.rate, self.loss, self.accuracy)
            self.history.append(point)
            self.log("point", **dataclasses.asdict(point))

    def _crossed(self, parts: int) -> bool:
        return int(self.before * parts) != int(self.fraction * parts)

    def progress(self) -> Progress:
        seconds = self.meter.seconds
        return Progress(
            fraction=self.fraction,
            images=self.meter.images,
            images_per_second=self.meter.images / seconds,
            seconds_left=seconds / self.fraction - seconds,
            loss=self.loss,
            accuracy=self.accuracy,
        )

    def finish(self) -> Trained:
        """Load the averaged weights and say what was done."""
        if self.average is not None:
            self.average.load()
        self.module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
        meter, seconds = self.meter, self.meter.seconds
        self.log("trained", sync=True, images=meter.images, steps=meter.steps, seconds=seconds, loss=self.loss)
        return Trained(
            module=self.module.eval(),
            images_seen=meter.images,
            steps=meter.steps,
            seconds=seconds,
            images_per_second=meter.images / seconds,
            loss=self.loss,
            accuracy=self.accuracy,
            history=tuple(self.history),
        )

    def snapshot(self) -> Checkpoint:
        """The state between two steps."""
        average = self.average
        return Checkpoint(
            model=self.module.state_dict(),
            average=average.tensors if average is not None else {},
            optimizer=optimizer_tensors(self.optimizer, self.module),
            identity=self.identity,
            steps=self.meter.steps,
            images=self.meter.images,
            seconds=self.meter.seconds,
            curve={
                "loss": self.loss,
                "accuracy": self.accuracy,
                "average_progress": average.progress if average is not None else 0.0,
                "history": [dataclasses.asdict(point) for point in self.history],
            },
        )

    def restore(self, saved: Checkpoint) -> None:
        """Go on from a snapshot of the same training."""
        for key, value in self.identity.items():
            if saved.identity[key] != value:
                rule = f"a resumed run must keep its {key}, which was {saved.identity[key]!r}"
                raise TrainingError(rule, received=value, remedy="give the same, or start a new run")
        mine, theirs = ({n: tuple(t.shape) for n, t in d.items()} for d in (self.module.state_dict(), saved.model))
        if mine != theirs:
            changed = sorted(dict(mine.items() ^ theirs.items()))[0]
            raise TrainingError("a resumed run must keep its network", received=changed, remedy="start a new run")
        self.module.load_state_dict(saved.model)
        restore_optimizer(self.optimizer, self.module, saved.optimizer)
        if self.average is not None:
            self.average.restore(saved.average, saved.curve["average_progress"])
        self.meter.restore(images=saved.images, steps=saved.steps, seconds=saved.seconds)
        self.fraction = self.meter.progress()
        self.loss, self.accuracy = saved.curve["loss"], saved.curve["accuracy"]
        self.history = [Point(**point) for point in saved.curve["history"]]

    def log(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        if self.events is not None:
            self.events.write(event, sync=sync, **fields)


def _culprit(module: nn.Module) -> str:
    """Which parameter to look at when a loss is not finite."""
    for name, parameter in module.named_parameters():
        gradient = parameter.grad if parameter.grad is not None else parameter
        if not (parameter.isfinite().all() and gradient.isfinite().all()):
            return f"first non-finite parameter {name!r}"
    largest = max(module.named_parameters(), key=lambda pair: pair[1].abs().max().item())[0]
    return f"the parameters are finite, the largest is in {largest!r}"


class _Keeper:
    """Writes the checkpoints of a run, where a folder was given for them."""

    def __init__(self, run: _Run, folder: Path | None, resume: bool, seconds: float) -> None:
        self._run, self._folder, self._seconds = run, folder, seconds
        self._last = time.monotonic()
        assert folder is not None or not resume, "there is no folder to resume from"
        saved = load_latest(make_folder(folder)) if folder is not None else None
        if saved is not None and not resume:
            remedy = "resume that run, or choose another folder"
            raise RunError("the folder holds the checkpoints of another run", where=str(folder), remedy=remedy)
        if saved is not None:
            run.restore(saved)

    def keep_when_due(self) -> None:
        if self._run.fraction >= 1.0 or time.monotonic() - self._last >= self._seconds:
            self.keep()

    def keep(self) -> None:
        if self._folder is not None:
            path = save(self._folder, self._run.snapshot())
            self._run.log("checkpoint", sync=True, file=path.name, images=self._run.meter.images)
            self._last = time.monotonic()


@contextlib.contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38 count as zero: the momentum of a dead filter would otherwise slow every step down."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
