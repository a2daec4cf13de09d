"""A training under way: what a checkpoint holds, and how one step changes it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from typing import Any, Final

import torch
from torch import nn

from convsmith.errors import TrainingError
from convsmith.training.average import WeightAverage
from convsmith.training.batches import Batches, TrainingSet, class_weights
from convsmith.training.budget import Budget, Meter, Outside
from convsmith.training.checkpoint import Checkpoint, State
from convsmith.training.conditions import conditions
from convsmith.training.device import seed_all
from convsmith.training.distributed import Group
from convsmith.training.evaluate import EvaluationSet, logits
from convsmith.training.events import Journal
from convsmith.training.guard import Divergence, Guard, culprit, rate_factor
from convsmith.training.metrics import accuracy
from convsmith.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer, set_rate
from convsmith.training.parts import Parts
from convsmith.training.progress import Incident, Point, Progress, Trained
from convsmith.training.recipe import Recipe
from convsmith.training.schedule import learning_rate
from convsmith.training.setup import Setup
from convsmith.training.whitening import whiten_first_layer

POINTS: Final = 100  # of the training curve
EVALUATIONS: Final = 4  # on the selection set, the last at the end
AVERAGE_EVERY: Final = 4  # steps: the half-life is many times longer, and the average is not free
WHITENING_IMAGES: Final = 512  # whose patches the first layer is set by
LOSS_WEIGHT: Final = 0.05  # of the newest loss in the smoothed one


class Learner:
    """Trains a module step by step; see ``train`` for the arguments.

    Attributes:
        fraction: Share of the budget spent after the last step.
        judged_best: Whether the last step was followed by a judgement that was the best so far.
    """

    def __init__(
        self,
        module: nn.Module,
        data: TrainingSet,
        *,
        recipe: Recipe,
        budget: Budget,
        seed: int,
        setup: Setup,
        journal: Journal | None = None,
        select: EvaluationSet | None = None,
        rollbacks: int = 0,
        group: Group | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.group = group or Group()
        self.module = setup.place(module).train()
        self.data, self.recipe, self.seed, self.setup = data, recipe, seed, setup
        self.journal, self.select = journal or Journal(), self.group.own(select)
        self.identity: dict[str, Any] = {
            "recipe": recipe.digest, "budget": budget.to_dict(), "seed": seed, "data": data.digest
        }  # fmt: skip
        self.group.check_same({**self.identity, "network": repr(module)})
        self.conditions = {**conditions(setup), "processes": self.group.world}
        self.batches = Batches(data, recipe.policy, seed)
        weights = class_weights(data.labels, data.classes, recipe.balance) if recipe.balance else None
        self.parts = Parts(module, setup, recipe.batch, data.classes, recipe.label_smoothing, self.group, weights)
        if recipe.whiten:
            whiten_first_layer(module, Batches(data, None, seed).at(0, min(WHITENING_IMAGES, len(data.labels)))[0])
        self.parts.settle(*data.pixels.shape[1:])
        self.group.wait()  # so that the clock of all begins when the last is ready
        self._outside = outside or Outside()
        self.meter = Meter(
            budget, len(data.labels), recipe.batch, clock=self.group.clock, outside=self._outside.seconds()
        )
        self.optimizer = make_optimizer(module, recipe)
        self.average = WeightAverage(module, recipe.ema) if recipe.ema else None
        self.guard = Guard(data.classes, active=rollbacks > 0)
        self._most_rollbacks = rollbacks
        self.fraction = self._before = 0.0  # shares of the budget spent after the last step and the one before
        self.rate = self.loss = 0.0
        self.accuracy: float | None = None
        self.best: float | None = None
        self.judged_best = False
        self.history: list[Point] = []
        self.incidents: list[Incident] = []

    def tell_start(self, *, resumable: bool) -> None:
        """Tell that a training begins; what one told that was killed before its first checkpoint is taken back."""
        self.journal.write(
            "train",
            **({"kept": 0} if resumable else {}),
            **self.identity,
            recipe_values=self.recipe.to_dict(),
            setup=self.setup.to_dict(),
            images=self.meter.images,
            conditions=self.conditions,
        )

    def step(self, rate: float | None = None) -> float:
        """One batch forward, backward and into the weights; returns its loss.

        Args:
            rate: The learning rate of this step, in place of the schedule's.

        Raises:
            Divergence: If the loss or the gradient stops being finite, or the loss jumps; see ``roll_back``.
        """
        recipe, meter, size = self.recipe, self.meter, self.meter.next_batch()
        scheduled = recipe.learning_rate * learning_rate(self.fraction, recipe) * rate_factor(self.rollbacks)
        self.rate = scheduled if rate is None else rate
        set_rate(self.optimizer, self.rate)
        if self.guard.is_due(meter.steps):
            self.guard.offer(self._state())
        start, count = self.group.take(size)
        loss = self._gradients(*self.batches.at(meter.images + start, count, size))
        self._check_spike(loss)
        scaler = self.parts.scaler
        scaler.unscale_(self.optimizer)
        if recipe.clip_norm:
            norm = nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip_norm, foreach=True)
            if scaler.get_scale() <= 1.0:  # above it an overflow only says that the scale is too large
                self._check_finite("gradient norm", norm.item())
        scaler.step(self.optimizer)
        scaler.update()
        self.guard.confirm()
        meter.add(size)
        self.loss += max(LOSS_WEIGHT, 1.0 / meter.steps) * (loss - self.loss)
        self._before, self.fraction = self.fraction, max(self.fraction, meter.progress())
        if self.average is not None and (meter.steps % AVERAGE_EVERY == 0 or self.fraction >= 1.0):
            self.average.update(self.fraction)
        return loss

    def follow(self) -> None:
        """Judge the selection set and add to the curve, at even shares of the budget."""
        self.judged_best = False
        if self.select is not None and self._crossed(EVALUATIONS):
            labels, start = self.select.labels, time.perf_counter()
            with self.average.loaded() if self.average is not None else contextlib.nullcontext():
                scores = logits(self.module, self.select.pixels, self.data.normalisation, self.setup)
            self.meter.outside = self._outside.seconds(self.group.share(time.perf_counter() - start) / len(labels))
            self.accuracy = self.group.mean(accuracy(scores, labels), len(labels))
            self.judged_best = self.best is None or self.accuracy > self.best
            self.best = self.accuracy if self.judged_best else self.best
        if self._crossed(POINTS):
            point = Point(self.fraction, self.meter.images, self.rate, self.loss, self.accuracy)
            self.history.append(point)
            self.journal.write("point", **dataclasses.asdict(point))

    def roll_back(self, error: Divergence) -> None:
        """Go back to the last good state, and on from there at half the learning rate.

        Raises:
            Divergence: If there is no such state, or as many rollbacks as are allowed did not help.
        """
        good, failed, spent = self.guard.reject(), self.meter.steps + 1, self.fraction
        if good is None or self.rollbacks >= self._most_rollbacks:
            self.journal.note("diverged", step=failed, cause=error.cause)
            raise error
        self._load(good, self.meter.seconds)
        self.fraction = min(spent, self.meter.progress())  # the schedule of a budget in seconds does not go back
        factor = rate_factor(self.rollbacks + 1)
        remedy = f"went on from step {good.steps:,} with {factor:g} of the recipe's learning rate"
        incident = Incident("rollback", failed, error.cause, remedy)
        about = {"to_step": good.steps, "images": self.meter.images, "rate_factor": factor}
        self._mended(incident, kept=good.figures["events"], **about)

    def progress(self) -> Progress:
        """The state after a step, for whoever watches."""
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
        self.module.to("cpu", memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
        meter, seconds = self.meter, self.meter.seconds
        self.journal.write(
            "trained", sync=True, images=meter.images, steps=meter.steps, seconds=seconds, loss=self.loss
        )
        return Trained(
            module=self.module.eval(),
            images_seen=meter.images,
            steps=meter.steps,
            seconds=seconds,
            images_per_second=meter.images / seconds,
            loss=self.loss,
            accuracy=self.accuracy,
            history=tuple(self.history),
            incidents=tuple(self.incidents),
        )

    def checkpoint(self) -> Checkpoint:
        """The training between two steps; its tensors are those of the training, not copies."""
        course = {
            "seconds": self.meter.seconds,
            "rollbacks": self.rollbacks,
            "micro_batch": self.parts.size,
            "incidents": [dataclasses.asdict(incident) for incident in self.incidents],
            "history": [dataclasses.asdict(point) for point in self.history],
        }
        return Checkpoint(self._state(), self.guard.good, self.identity, self.conditions, course, best=self.judged_best)

    def restore(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint of the same training.

        Raises:
            TrainingError: If it is that of another training.
        """
        for key, value in self.identity.items():
            if saved.identity[key] != value:
                rule = f"a resumed run must keep its {key}, which was {saved.identity[key]!r}"
                raise TrainingError(rule, received=value, remedy="give the same, or start a new run")
        model, course = saved.state.part("model"), saved.course
        mine, theirs = ({n: tuple(t.shape) for n, t in d.items()} for d in (self.module.state_dict(), model))
        if mine != theirs:
            changed = sorted(dict(mine.items() ^ theirs.items()))[0]
            raise TrainingError("a resumed run must keep its network", received=changed, remedy="start a new run")
        self.history = [Point(**point) for point in course["history"]]
        self.incidents = [Incident(**incident) for incident in course["incidents"]]
        self.parts.size = course["micro_batch"]
        self.guard.good = saved.good
        self.journal.count = saved.state.figures["events"]
        self._load(saved.state, course["seconds"])

    @property
    def rollbacks(self) -> int:
        """How often the training went back so far."""
        return sum(incident.kind == "rollback" for incident in self.incidents)

    def checkpoint_bytes(self) -> int:
        """About how much of a disk a checkpoint takes, once the optimizer has its state."""
        state = sum(tensor.nbytes for tensor in self._state().tensors.values())
        slots = 0 if self.optimizer.state else 1 + (self.recipe.optimizer == "adamw")
        state += slots * sum(parameter.nbytes for parameter in self.module.parameters())
        return state * (2 if self._most_rollbacks else 1)

    def _state(self) -> State:
        average = self.average
        parts = {
            "model": self.module.state_dict(),
            "average": average.tensors if average is not None else {},
            "optimizer": optimizer_tensors(self.optimizer, self.module),
        }
        return State(
            {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()},
            {
                "steps": self.meter.steps,
                "images": self.meter.images,
                "fraction": self.fraction,
                "loss": self.loss,
                "accuracy": self.accuracy,
                "best": self.best,
                "average_progress": average.progress if average is not None else 0.0,
                "points": len(self.history),
                "events": self.journal.count,
                "scaler": self.parts.scaler.state_dict(),
            },
        )

    def _load(self, state: State, seconds: float) -> None:
        figures = state.figures
        self.module.load_state_dict(state.part("model"))
        if figures.get("scaler"):
            self.parts.scaler.load_state_dict(figures["scaler"])
        self.optimizer.state.clear()
        restore_optimizer(self.optimizer, self.module, state.part("optimizer"))
        if self.average is not None:
            self.average.restore(state.part("average"), figures["average_progress"])
        self.meter.restore(images=figures["images"], steps=figures["steps"], seconds=seconds)
        self.fraction, self.loss = figures["fraction"], figures["loss"]
        self.accuracy, self.best = figures["accuracy"], figures["best"]
        del self.history[figures["points"] :]

    def _gradients(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        while True:
            chance = self.seed * 0x9E3779B97F4A7C15 + self.meter.steps + self.group.rank * 0xD1B54A32D192ED03
            seed_all(self.setup.device, chance % 2**63)
            loss = self.parts.gradients(images, labels, lambda value: self._check_finite("loss", value))
            if loss is not None:
                return loss
            size = self.parts.size
            norms = ", whose batch norms see one part at a time: not the same computation, but close"
            remedy = f"batches are done in parts of at most {size} images" + norms * self.parts.has_batch_norm
            cause = "memory did not suffice"
            self._mended(Incident("smaller_parts", self.meter.steps + 1, cause, remedy), micro_batch=size)

    def _mended(self, incident: Incident, **about: Any) -> None:
        self.incidents.append(incident)
        self.journal.write(
            incident.kind, sync=True, step=incident.step, cause=incident.cause, remedy=incident.remedy, **about
        )
        self.journal.tell(f"warning: {incident.sentence}")

    def _check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            where = culprit(self.module)
            self._diverge(f"the {what} was {value}, {where}", f"the {what} must stay finite, {where}", value)

    def _check_spike(self, loss: float) -> None:
        limit = self.guard.spike(loss, self.loss if self.meter.steps else None)
        if limit is not None:
            cause = f"the loss jumped from about {self.loss:.4g} to {loss:.4g}"
            self._diverge(cause, f"the loss must not jump from about {self.loss:.4g} to above {limit:.4g}", loss)

    def _diverge(self, cause: str, rule: str, value: float) -> None:
        before = f", after going back {self.rollbacks} times to half the rate" if self.rollbacks else ""
        raise Divergence(
            cause,
            rule,
            received=value,
            where=f"step {self.meter.steps + 1}, learning rate {self.rate:.4g}{before}",
            remedy=f"lower the recipe's learning_rate, now {self.recipe.learning_rate:g}",
        )

    def _crossed(self, parts: int) -> bool:
        return int(self._before * parts) != int(self.fraction * parts)
