"""A training that diverges goes back to its last good state and on at half the rate, three times at most."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from training_toy import POLICY, Crash, assert_same, logged, network, run, stop_after, told, training_set

from convsmith.errors import TrainingError
from convsmith.training.batches import Batches
from convsmith.training.budget import Budget
from convsmith.training.events import read_events
from convsmith.training.guard import GOOD_EVERY, SPIKE, Guard
from convsmith.training.recipe import OPTIMIZERS, Recipe
from convsmith.training.schedule import learning_rate

PLAIN = Recipe(batch=16, policy=None, ema=0.0, clip_norm=0.0, momentum=0.0, weight_decay=0.0)


class Upset(nn.Module):
    """A network that gives scores times ``factor`` in one of its forward passes, as a bad batch may make it."""

    def __init__(self, at: int, factor: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(432, 2))
        nn.init.zeros_(self.net[1].weight)
        nn.init.zeros_(self.net[1].bias)
        self.at, self.factor, self.calls = at, factor, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.net(images) * (self.factor if self.calls == self.at else 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e4])
def test_the_rest_is_learnt_at_half_the_rate_from_the_last_good_state(factor: float, tmp_path: Path) -> None:
    """Held against a loop of plain torch."""
    trained = logged(tmp_path, module=Upset(70, factor), recipe=PLAIN, budget=Budget(images=90 * 16))
    net = Upset(0, 1.0)
    batches = Batches(training_set(), None, seed=5)
    for step in range(90):
        images, labels = batches.at(step * 16, 16)
        functional.cross_entropy(net(images), labels, label_smoothing=PLAIN.label_smoothing).backward()
        rate = PLAIN.learning_rate * learning_rate(step / 90, PLAIN) * (1.0 if step < 64 else 0.5)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= rate * parameter.grad
                parameter.grad = None
    for found, expected in zip(trained.module.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    assert trained.module.calls == 70 + 90 - 64
    (incident,) = trained.incidents
    assert (incident.kind, incident.step) == ("rollback", 70)
    assert "went on from step 64 with 0.5 of" in incident.sentence
    assert ("the loss jumped from about" if math.isfinite(factor) else "the loss was nan") in incident.cause
    events = told(tmp_path)
    (event,) = [event for event in events if event["event"] == "rollback"]
    assert (event["step"], event["to_step"], event["rate_factor"]) == (70, 64, 0.5)
    assert event["cause"] == incident.cause
    points = [event["images"] for event in events if event["event"] == "point"]
    assert points == [point.images for point in trained.history] == sorted(set(points))


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A training that diverges of itself, three times, as a jump is defined here."""
    monkeypatch.setattr("convsmith.training.guard.GOOD_EVERY", 4)
    monkeypatch.setattr("convsmith.training.guard.SPIKE", 1.3)
    recipe = Recipe(optimizer="sgd", batch=16, policy=POLICY, learning_rate=3.0, clip_norm=0.0, ema=0.1)
    return {"recipe": recipe, "budget": Budget(images=24 * 16)}


@pytest.mark.slow
def test_a_resumed_run_rolls_back_as_one_that_was_not_stopped_at_every_step(
    restless: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    steps: list[int] = []
    straight = logged(tmp_path / "whole", **restless, progress=lambda p: steps.append(p.images))
    assert [incident.kind for incident in straight.incidents] == ["rollback"] * 3
    assert len(steps) > straight.steps == 24  # some were done again
    for step in range(1, len(steps) + 1):
        folder = tmp_path / str(step)
        folder.mkdir()
        with pytest.raises(Crash):
            logged(folder, **restless, progress=stop_after(step, Crash), checkpoint_seconds=0.0)
        module = network(seed=step if step > 1 else 0)
        assert_same(straight, logged(folder, **restless, resume=True, module=module))
        assert told(folder) == told(tmp_path / "whole")


def test_after_three_rollbacks_the_cause_ends_the_training(tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = dataclasses.replace(PLAIN, learning_rate=1e30, schedule="cosine", warmup=0.0)
    with pytest.raises(TrainingError, match=r"after going back 3 times to half the rate: the loss must") as caught:
        logged(tmp_path, recipe=recipe, tell=lines.append)
    assert "lower the recipe's learning_rate" in str(caught.value)
    events = read_events(tmp_path / "events.ndjson")
    assert [event["event"] for event in events if event["event"] != "point"][1:] == ["rollback"] * 3 + ["diverged"]
    assert [event["rate_factor"] for event in events if event["event"] == "rollback"] == [0.5, 0.25, 0.125]
    assert len(lines) == 3
    assert all(line.startswith("warning: Step 2: the loss ") for line in lines)


def test_without_rollbacks_the_first_divergence_ends_the_training_and_jumps_are_let_be(tmp_path: Path) -> None:
    recipe = dataclasses.replace(PLAIN, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"^step 2, learning rate 1\.45e\+29: the loss must stay finite"):
        run(recipe=recipe, rollbacks=0)
    trained = run(module=Upset(70, 1e4), recipe=PLAIN, rollbacks=0)
    assert trained.incidents == ()


@pytest.mark.slow
def test_the_schedule_of_a_budget_in_seconds_does_not_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def noted(share: float, recipe: Recipe) -> float:
        asked.append(share)
        return learning_rate(share, recipe)

    monkeypatch.setattr("convsmith.training.learner.learning_rate", noted)
    trained = run(module=Upset(67, math.nan), recipe=PLAIN, budget=Budget(seconds=2.0))
    assert len(trained.incidents) == 1
    assert asked == sorted(asked)
    assert len(asked) == trained.steps + 67 - 64


def test_a_state_is_good_only_once_a_step_from_it_went_well() -> None:
    """The step after the 64th fails, so the state of step 64 is not trusted."""
    trained = run(module=Upset(GOOD_EVERY + 1, math.nan), recipe=PLAIN)
    assert "went on from step 0 " in trained.incidents[0].remedy


def test_a_jump_is_measured_by_the_running_loss_or_by_guessing() -> None:
    guard = Guard(10, active=True)
    guessing = math.log(10)
    assert guard.spike(SPIKE * guessing * 1.001, 0.1) == SPIKE * guessing
    assert guard.spike(SPIKE * guessing * 0.999, 0.1) is None
    assert guard.spike(12.1, 3.0) == 12.0
    assert guard.spike(1e9, None) is None  # the first loss has nothing to be measured by
    assert Guard(10, active=False).spike(1e9, 1.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_back_restores_all_that_a_checkpoint_does(
    optimizer: Any, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Average, optimizer and running loss too: as a run that is stopped at that step and goes on at half the rate."""
    recipe = Recipe(batch=16, policy=POLICY, ema=0.1, optimizer=optimizer, learning_rate=0.05, momentum=0.9)
    upset = run(module=Upset(step + 6, math.nan), recipe=recipe)
    if step:
        with pytest.raises(KeyboardInterrupt):
            run(module=Upset(0, 1.0), recipe=recipe, checkpoints=tmp_path, progress=stop_after(step))
    monkeypatch.setattr("convsmith.training.learner.rate_factor", lambda rollbacks: 0.5)
    expected = run(module=Upset(0, 1.0), recipe=recipe, checkpoints=tmp_path, resume=True)
    assert_same(dataclasses.replace(upset, incidents=()), expected)
