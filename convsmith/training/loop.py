"""The training loop: batch, forward, backward, update, until the budget is spent.

It keeps no state that a checkpoint does not hold. Order and augmentation follow from the number of images seen, the
module's own chance (dropout) from the number of the step, rate and weight average from the share of the budget. A run
that is stopped, by Ctrl-C or by losing its power, and resumed therefore ends with the same bits as one that was not,
under the conditions of ``docs/resume.md``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from convsmith.errors import TrainingError
from convsmith.training.allocator import memory_kept
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget, Outside
from convsmith.training.device import cards
from convsmith.training.distributed import Group
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.events import Journal, Log
from convsmith.training.guard import Divergence
from convsmith.training.interrupt import held_signals
from convsmith.training.keeper import Keeper
from convsmith.training.learner import Learner
from convsmith.training.parts import out_of_memory
from convsmith.training.progress import Progress, Trained
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup
from convsmith.training.shared_state import share_state
from convsmith.training.sync_norm import synchronised_norms


def train(
    module: nn.Module,
    data: TrainingSet,
    *,
    recipe: Recipe,
    budget: Budget,
    seed: int,
    setup: Setup,
    events: Log | None = None,
    opening: Callable[[], None] | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    select: EvaluationSet | None = None,
    progress: Callable[[Progress], None] | None = None,
    tell: Callable[[str], None] | None = None,
    checkpoint_seconds: float = 30.0,
    rollbacks: int = 3,
    group: Group | None = None,
    outside: Outside | None = None,
) -> Trained:
    """Train ``module`` in place until the budget is spent.

    Args:
        module: The network, (N, C, H, W) to (N, classes), with its first weights set (see ``initialise``).
        data: Images and labels.
        recipe: How to train.
        budget: How long to train.
        seed: Fixes order, augmentation and dropout. The caller's random state is left as it was.
        setup: Device, number type, layout and threads.
        events: Receives what happens; ``docs/resume.md`` lists the events.
        opening: Called before the first event, and never where the training is refused; may write one of its own.
        checkpoints: Folder for checkpoints: one at each interval, at Ctrl-C or SIGTERM, and at the end.
        resume: Go on from the newest checkpoint in the folder, or start where there is none.
        select: Images whose accuracy is followed; they never influence the weights.
        progress: Called after every step.
        tell: Told what a person should know, in lines.
        checkpoint_seconds: Least time between checkpoints; stretched where saving would take over half a percent of the
            time. With 0, every step is kept.
        rollbacks: How often a training whose loss or gradient stops being finite, or whose loss jumps, goes back to
            its last good state and on at half the rate. With 0 the first loss that is not finite ends it.
        group: The processes that train together (see ``distributed``), each with the same arguments. Only the first
            tells anything and writes events and checkpoints.
        outside: What a budget in seconds covers beside the training.

    Raises:
        TrainingError: If it diverges for good, memory does not suffice for the smallest batch, or a resumed run differs
            in recipe, budget, seed, images or network from the one that was stopped.
        RunError: If checkpoints cannot be written at the start, or a new run would overwrite those of an older one.
        KeyboardInterrupt: After Ctrl-C or, as ``Terminated``, SIGTERM, with a checkpoint of the last full step.
    """
    group = group or Group()
    journal = Journal(events, tell, opening) if group.is_first else Journal()
    with contextlib.ExitStack() as stack:
        for context in (
            torch.random.fork_rng(devices=cards(setup.device)),
            setup.threads_set(),
            _denormals_flushed(),
            _memory_named(),
            memory_kept(),
        ):
            stack.enter_context(context)
        stack.enter_context(group.failures_named())
        stack.enter_context(synchronised_norms(module, group))
        stop_if_asked = group.hears(stack.enter_context(held_signals()))
        learner = Learner(
            module,
            data,
            recipe=recipe,
            budget=budget,
            seed=seed,
            setup=setup,
            journal=journal,
            select=select,
            rollbacks=rollbacks,
            group=group,
            outside=outside,
        )
        keeper = Keeper(learner, checkpoints if group.is_first else None, checkpoint_seconds)
        resumed = keeper.resume(asked=resume and group.is_first)
        share_state(learner, group)
        if not group.share(resumed):
            learner.tell_start(resumable=checkpoints is not None)
        while learner.fraction < 1.0:
            try:
                learner.step()
            except Divergence as error:
                learner.roll_back(error)
                continue
            learner.follow()
            try:
                if progress is not None and group.is_first:
                    progress(learner.progress())
                stop_if_asked()
            except KeyboardInterrupt:
                keeper.keep()
                group.part_ways()
                raise
            keeper.keep_when_due()
        return learner.finish()


@contextlib.contextmanager
def _memory_named() -> Iterator[None]:
    """Where smaller parts of a batch are no help, say so in one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        remedy = "train a smaller network, or at a lower resolution"
        raise TrainingError("memory must suffice for the weights and a batch of images", remedy=remedy) from error


@contextlib.contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38 count as zero: the momentum of a dead filter would otherwise slow every step down."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
