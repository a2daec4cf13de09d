"""The state of a training, from the first process to all others: they begin, and go on, from the same bits."""

from __future__ import annotations

from typing import Any

from safetensors.torch import load, save

from convsmith.training.checkpoint import Checkpoint, State, copies_of
from convsmith.training.distributed import Group
from convsmith.training.learner import Learner


def share_state(learner: Learner, group: Group) -> None:
    """Give every process the state of the first; only that one needs to see the checkpoints."""
    if group.is_alone:
        return
    group.wait()
    mine = learner.checkpoint()
    state, good = _shared(group, mine.state), _shared(group, mine.good)
    assert state is not None
    identity, conditions, course = group.share([mine.identity, mine.conditions, mine.course])
    if not group.is_first:
        learner.restore(Checkpoint(state, good, identity, conditions, course, best=False))


def _shared(group: Group, state: State | None) -> State | None:
    figures: dict[str, Any] | None = group.share(state.figures if state is not None else None)
    if figures is None:
        return None
    tensors = group.share_bytes(save(copies_of(state)) if group.is_first and state is not None else b"")
    return State(load(tensors), figures)
