"""Trainings that the processes of ``torchrun`` do together; run as a script with a folder for the results."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from training_toy import POLICY, SETUP, Crash, blobs, logged, network, told

from convsmith.training import guard
from convsmith.training.budget import Budget
from convsmith.training.distributed import Group, joined
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.learner import Learner
from convsmith.training.progress import Trained
from convsmith.training.recipe import Recipe

STEPS, BATCH, LAST = 50, 17, 5
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {"recipe": {"learning_rate": 3.0, "clip_norm": 0.0}},  # which rolls back
    "adamw": {"recipe": {"optimizer": "adamw", "learning_rate": 3e-3}, "setup": replace(SETUP, dtype="bfloat16")},
    "muon": {"recipe": {"optimizer": "muon", "ema": 0.0, "policy": replace(POLICY, mixup=0.4)}},
}
LIVES = (1, 20, 0)  # their steps; the last one goes to the end


def without_dropout() -> nn.Module:
    """Dropout draws in each process anew, so one process and two cannot give the same losses with it."""
    return nn.Sequential(*(layer for layer in network() if not isinstance(layer, nn.Dropout)))


def losses_of(folder: Path, group: Group | None = None, **options: Any) -> tuple[Trained, list[float]]:
    """50 steps, the last of 5 images; and the loss of each."""
    losses: list[float] = []
    loss = Group.loss

    def recorded(self: Group, mine: float) -> float:
        losses.append(loss(self, mine))
        return losses[-1]

    folder.mkdir(exist_ok=True)
    Group.loss = recorded
    try:
        trained = logged(
            folder,
            module=options.pop("module", None) or without_dropout(),
            recipe=Recipe(**({"batch": BATCH, "policy": POLICY} | options.pop("recipe", {}))),
            budget=options.pop("budget", Budget(images=BATCH * (STEPS - 1) + LAST)),
            select=EvaluationSet(*blobs(31, seed=99)),
            group=group,
            **options,
        )
    finally:
        Group.loss = loss
    return trained, losses


def crashing(steps: int) -> None:
    """Let the next training of this process end after so many steps, without a save of the last one."""
    follow, left = Learner.follow, [steps]

    def crash(self: Learner) -> None:
        follow(self)
        left[0] -= 1
        if left[0] == 0:
            Learner.follow = follow
            raise Crash

    Learner.follow = crash


def resumes(folder: Path, group: Group, name: str) -> dict[str, Any]:
    """Whether a training that crashes twice ends as one that does not."""
    options = {**VARIANTS[name], "group": group, "checkpoint_seconds": 0.0}
    whole, _ = losses_of(folder / f"{name}-whole", module=network(), **options)
    broken = folder / f"{name}-broken"
    for steps in LIVES:
        if steps:
            crashing(steps)
        try:
            again, _ = losses_of(broken, module=network(), resume=True, **options)
        except Crash:
            continue
    mine, theirs = whole.module.state_dict(), again.module.state_dict()
    return {
        "differ": [key for key in mine if not torch.equal(mine[key], theirs[key])],
        "same course": [
            getattr(whole, key) == getattr(again, key) for key in ("loss", "steps", "history", "incidents")
        ],
        "rolls back": len(whole.incidents) > 0,
        "same events": not group.is_first or told(folder / f"{name}-whole") == told(broken),
    }


def stopped(folder: Path, group: Group) -> list[Any]:
    """What ends this process after SIGTERM came to the last one alone in its seventh step, and how far it was."""
    calls: list[int] = []
    follow = Learner.follow

    def followed(self: Learner) -> None:
        follow(self)
        calls.append(self.meter.steps)
        if group.rank == group.world - 1 and len(calls) == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    Learner.follow = followed
    try:
        losses_of(folder / "stopped", group)
    except KeyboardInterrupt as stop:
        return [type(stop).__name__, calls[-1]]
    finally:
        Learner.follow = follow
    return []


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # only a machine that fails would need it, and every step is saved
    with joined() as group:
        trained, losses = losses_of(folder / "losses", group)
        state = {key: tensor.contiguous() for key, tensor in trained.module.state_dict().items()}
        found = {"losses": losses, "accuracy": trained.accuracy, "resumes": {}}
        save_file(state, folder / f"weights-{group.rank}.safetensors")
        guard.GOOD_EVERY, guard.SPIKE = 4, 1.3
        for name in VARIANTS if group.world == 2 else ["sgd"]:
            found["resumes"][name] = resumes(folder, group, name)
        guard.GOOD_EVERY, guard.SPIKE = 64, 4.0
        found["stopped"] = stopped(folder, group)
        found["timed"] = losses_of(folder / "timed", group, budget=Budget(seconds=0.5))[0].steps
        crashing(STEPS // 2)
        with contextlib.suppress(Crash):
            losses_of(folder / "half", group, checkpoint_seconds=0.0)
        (folder / f"found-{group.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
