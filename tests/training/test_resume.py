from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import training_toy
from training_toy import POLICY, SETUP, network, run

from convsmith.errors import RunError, TrainingError
from convsmith.training.budget import Budget
from convsmith.training.checkpoint import load_latest
from convsmith.training.progress import Progress, Trained
from convsmith.training.recipe import Recipe


def stop_after(steps: int) -> Callable[[Progress], None]:
    calls: list[Progress] = []

    def stop(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == steps:
            raise KeyboardInterrupt

    return stop


def interrupted(folder: Path, steps: int, **arguments: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(checkpoints=folder, progress=stop_after(steps), **arguments)


def assert_same(a: Trained, b: Trained) -> None:
    mine, theirs = a.module.state_dict(), b.module.state_dict()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert (a.images_seen, a.steps, a.loss, a.history) == (b.images_seen, b.steps, b.loss, b.history)


RECIPES = {
    "sgd": Recipe(batch=16, policy=POLICY, ema=0.1),
    "adamw": Recipe(batch=16, policy=POLICY, ema=0.1, optimizer="adamw", learning_rate=0.01),
    "plain": Recipe(batch=16, policy=None, ema=0.0, momentum=0.0, clip_norm=0.0),
}


@pytest.mark.parametrize("layout", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("budget", [Budget(images=640), Budget(epochs=3.1)], ids=["images", "epochs"])
@pytest.mark.parametrize("name", list(RECIPES))
def test_a_resumed_run_is_bit_for_bit_the_run_that_was_not_stopped(
    name: str, budget: Budget, layout: bool, tmp_path: Path
) -> None:
    setup = dataclasses.replace(SETUP, channels_last=layout)
    arguments: dict[str, Any] = {"recipe": RECIPES[name], "budget": budget, "setup": setup}
    straight = run(**arguments)
    interrupted(tmp_path, 17, **arguments)  # 272 images: within the second epoch, between two updates of the average
    interrupted(tmp_path, 9, **arguments, resume=True, module=network(seed=8))
    resumed = run(**arguments, checkpoints=tmp_path, resume=True, module=network(seed=9))
    assert_same(straight, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_run_is_exact_with_several_threads_and_in_bfloat16(dtype: Any, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "setup": dataclasses.replace(SETUP, threads=2, dtype=dtype),
        "budget": Budget(images=320),
    }
    straight = run(**arguments)
    interrupted(tmp_path, 7, **arguments)
    assert_same(straight, run(**arguments, checkpoints=tmp_path, resume=True, module=network(seed=9)))


def test_a_finished_run_resumes_to_its_result(tmp_path: Path) -> None:
    first = run(checkpoints=tmp_path)
    assert_same(first, run(checkpoints=tmp_path, resume=True, module=network(seed=9)))


def test_a_killed_process_resumes_to_the_same_weights(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, training_toy.__file__, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while int(child.stdout.readline()) < 40 * 16:
        pass
    child.kill()
    child.communicate()
    assert child.returncode == -9
    saved = load_latest(tmp_path)
    assert saved is not None
    assert 39 <= saved.steps < 100
    assert_same(run(), run(checkpoints=tmp_path, resume=True, module=network(seed=9)))
    assert not list(tmp_path.glob("*.part"))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(damage: str, tmp_path: Path) -> None:
    budget = Budget(images=320)
    interrupted(tmp_path, 5, budget=budget, checkpoint_seconds=0.0)
    older, newest = sorted(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    newest.write_bytes({"cut": content[:-200], "flip": content, "empty": b""}[damage])
    saved = load_latest(tmp_path)
    assert saved is not None
    assert older.name == f"step-{saved.steps:09d}.safetensors"
    assert_same(run(budget=budget), run(budget=budget, checkpoints=tmp_path, resume=True, module=network(seed=9)))


def test_checkpoints_that_are_all_damaged_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        run(checkpoints=tmp_path, resume=True)


def test_resuming_without_a_checkpoint_starts(tmp_path: Path) -> None:
    assert_same(run(), run(checkpoints=tmp_path / "new", resume=True))


def test_a_new_run_does_not_take_over_the_folder_of_another(tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    with pytest.raises(RunError, match="another run"):
        run(checkpoints=tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"recipe": Recipe(batch=32)}, "recipe"),
        ({"budget": Budget(images=3200)}, "budget"),
        ({"seed": 6}, "seed"),
        ({"module": network(width=9)}, "network"),
    ],
)
def test_a_resumed_run_that_is_another_run_is_refused(changes: dict[str, Any], what: str, tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    with pytest.raises(TrainingError, match=f"must keep its {what}"):
        run(checkpoints=tmp_path, resume=True, **changes)
