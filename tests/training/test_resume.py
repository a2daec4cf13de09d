from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from training_toy import POLICY, SETUP, Crash, assert_same, blobs, logged, network, run, stop_after, told

from convsmith.data.augment import Policy
from convsmith.errors import RunError, TrainingError
from convsmith.training.budget import Budget
from convsmith.training.checkpoint import load_latest
from convsmith.training.conditions import conditions
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.events import read_events
from convsmith.training.recipe import OPTIMIZERS, Recipe
from convsmith.training.schedule import learning_rate


def interrupted(folder: Path, steps: int, **arguments: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(checkpoints=folder, progress=stop_after(steps), **arguments)


SELECT = EvaluationSet(*blobs(40, seed=99))
MIXED = Policy(translate=1, mixup=0.4, cutmix=1.0)
RATES = {"sgd": 0.3, "adamw": 0.01}


@pytest.mark.slow
@pytest.mark.parametrize("policy", [POLICY, MIXED, None], ids=["augmented", "mixed", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("ema", [0.1, 0.0], ids=["averaged", "not averaged"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_run_is_bit_for_bit_the_run_that_was_not_stopped(
    optimizer: Any, ema: float, dtype: Any, policy: Policy | None, tmp_path: Path
) -> None:
    recipe = Recipe(batch=16, policy=policy, ema=ema, optimizer=optimizer, learning_rate=RATES.get(optimizer, 0.05))
    arguments: dict[str, Any] = {
        "recipe": recipe, "budget": Budget(images=330), "select": SELECT,
        "setup": dataclasses.replace(SETUP, dtype=dtype),
    }  # fmt: skip
    (tmp_path / "whole").mkdir()
    straight = logged(tmp_path / "whole", **arguments)
    for steps, how in ((1, Crash), (4, KeyboardInterrupt), (6, Crash)):  # the first before there is any checkpoint
        with pytest.raises(how):
            logged(tmp_path, **arguments, progress=stop_after(steps, how), checkpoint_seconds=0.0, resume=True)
    resumed = logged(tmp_path, **arguments, resume=True, module=network(seed=9))
    assert_same(straight, resumed)
    assert told(tmp_path) == told(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_resumed_run_is_exact_at_every_step(channels_last: bool, tmp_path: Path) -> None:
    """Also where no checkpoint was written at all, in both layouts, and over the ends of epochs."""
    arguments: dict[str, Any] = {
        "budget": Budget(epochs=1.8), "select": SELECT,
        "setup": dataclasses.replace(SETUP, channels_last=channels_last),
    }  # fmt: skip
    (tmp_path / "whole").mkdir()
    straight = logged(tmp_path / "whole", **arguments)
    assert straight.steps == 23
    for step in range(1, straight.steps + 1):
        folder = tmp_path / str(step)
        folder.mkdir()
        with pytest.raises(Crash):
            logged(folder, **arguments, progress=stop_after(step, Crash), checkpoint_seconds=0.0)
        module = network(seed=step if step > 1 else 0)  # the first crash comes before the first checkpoint
        assert_same(straight, logged(folder, **arguments, resume=True, module=module))
        assert told(folder) == told(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"torch": "1.0"}, "close, not exact: torch was '1.0' and is"),
        ({"processor": "6502"}, "close, not exact: processor was '6502'"),
        ({"instruction sets": "avx " * 50}, "close, not exact: instruction sets are others"),
        ({}, "going on from step 5, exactly"),
    ],
)
def test_what_makes_a_resumed_run_inexact_is_named_and_does_not_stop_it(
    changes: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("convsmith.training.learner.conditions", lambda setup: conditions(setup) | changes)
        with pytest.raises(KeyboardInterrupt):
            logged(tmp_path, progress=stop_after(5))
    lines: list[str] = []
    logged(tmp_path, resume=True, tell=lines.append)
    assert len(lines) == 1
    assert expected in lines[0]
    (event,) = [event for event in read_events(tmp_path / "events.ndjson") if event["event"] == "resumed"]
    assert (event["exact"], list(event["differs"])) == (not changes, list(changes))
    assert (event["step"], event["file"]) == (5, "step-000000005")


@pytest.mark.slow
def test_another_number_of_threads_makes_a_resumed_run_inexact(tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    lines: list[str] = []
    run(checkpoints=tmp_path, resume=True, setup=dataclasses.replace(SETUP, threads=2), tell=lines.append)
    assert "close, not exact: setup threads was 1 and is 2" in lines[0]


@pytest.mark.slow
def test_a_budget_in_seconds_is_exact_only_up_to_the_clock(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"budget": Budget(seconds=3)}
    with pytest.raises(KeyboardInterrupt):
        logged(tmp_path, **arguments, progress=stop_after(1))
    lines: list[str] = []
    trained = logged(tmp_path, **arguments, resume=True, tell=lines.append)
    assert lines == ["going on from step 1, exactly but for the clock, which the budget is in"]
    (event,) = [event for event in read_events(tmp_path / "events.ndjson") if event["event"] == "resumed"]
    assert not event["exact"]
    recipe = Recipe(batch=16, policy=POLICY)
    shares = [point.fraction for point in trained.history]
    assert shares == sorted(shares)
    for before, point in pairwise(trained.history):  # on the schedule all along: the rate of the step before the point
        shares = (before.fraction, point.fraction)
        low, high = sorted(recipe.learning_rate * learning_rate(share, recipe) for share in shares)
        assert low <= point.learning_rate <= high or before.fraction < recipe.warmup < point.fraction


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


@pytest.mark.slow
def test_a_finished_run_resumes_to_its_result(tmp_path: Path) -> None:
    first = run(checkpoints=tmp_path)
    assert_same(first, run(checkpoints=tmp_path, resume=True, module=network(seed=9)))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(damage: str, file: str, tmp_path: Path) -> None:
    budget = Budget(images=320)
    interrupted(tmp_path, 5, budget=budget, checkpoint_seconds=0.0)
    older, newest = sorted(tmp_path.iterdir())
    path = newest / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    path.write_bytes({"cut": content[:-20], "flip": content}.get(damage, b""))
    if damage == "gone":
        path.unlink()
    found = load_latest(tmp_path)
    assert found is not None
    assert (found.checkpoint.name, found.damaged) == (older.name, (newest.name,))
    assert_same(run(budget=budget), run(budget=budget, checkpoints=tmp_path, resume=True, module=network(seed=9)))


def test_checkpoints_that_are_all_damaged_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    interrupted(tmp_path, 5)
    for path in tmp_path.iterdir():
        (path / "state.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        run(checkpoints=tmp_path, resume=True)


@pytest.mark.slow
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
