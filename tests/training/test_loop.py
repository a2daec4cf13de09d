from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training_toy import NORMALISATION, POLICY, SETUP, blobs, network, run, training_set

from convsmith.errors import DataError, TrainingError
from convsmith.training.batches import Batches, TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import EvaluationSet, logits
from convsmith.training.events import EventLog, read_events
from convsmith.training.loop import train
from convsmith.training.metrics import accuracy
from convsmith.training.progress import Progress
from convsmith.training.recipe import Recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(batch=16, policy=POLICY),
        Recipe(batch=16, optimizer="adamw", learning_rate=0.01, schedule="cosine", ema=0.0, policy=None),
    ],
    ids=["default", "adamw"],
)
def test_blobs_are_learnt(recipe: Recipe) -> None:
    pixels, labels = blobs(300, seed=99)
    trained = run(recipe=recipe, select=EvaluationSet(pixels, labels))
    found = accuracy(logits(trained.module, pixels, NORMALISATION, SETUP), labels)
    assert found > 0.95
    assert trained.loss < trained.history[0].loss
    assert not trained.module.training


def test_the_selection_set_is_judged_with_the_weights_that_are_returned() -> None:
    pixels, _ = blobs(500, seed=99)
    labels = np.random.default_rng(0).integers(0, 2, 500)  # chance: any change of the weights shows
    select = EvaluationSet(pixels, labels)
    trained = run(recipe=Recipe(batch=16, ema=0.5), budget=Budget(images=96), select=select)
    assert trained.accuracy == accuracy(logits(trained.module, pixels, NORMALISATION, SETUP), labels)


@pytest.mark.slow
def test_the_curve_has_a_point_for_each_hundredth_and_an_evaluation_for_each_quarter() -> None:
    recipe, (pixels, labels) = Recipe(batch=4, policy=None), blobs(20, seed=99)
    history = run(recipe=recipe, budget=Budget(images=800), select=EvaluationSet(pixels, labels)).history
    np.testing.assert_allclose([point.fraction for point in history], np.linspace(0.01, 1, 100), atol=0.0051)
    assert all((point.accuracy is None) is (point.fraction < 0.25) for point in history)


@pytest.mark.slow
def test_bfloat16_learns_too() -> None:
    pixels, labels = blobs(300, seed=99)
    setup = dataclasses.replace(SETUP, dtype="bfloat16")
    trained = run(setup=setup)
    assert accuracy(logits(trained.module, pixels, NORMALISATION, setup), labels) > 0.95
    assert {p.dtype for p in trained.module.parameters()} == {torch.float32}


def test_a_run_depends_on_its_seed_and_not_on_the_callers_random_state() -> None:
    weights = []
    for callers_seed, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(callers_seed)
        weights.append(run(budget=Budget(images=160), seed=seed).module[0].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_run_leaves_the_process_as_it_was() -> None:
    module = network()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    run(module=module, budget=Budget(images=160), setup=dataclasses.replace(SETUP, threads=threads + 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert (torch.tensor([1e-40]) * 1).item() > 0  # denormal numbers are numbers again


def test_the_budget_in_images_is_met_exactly() -> None:
    seen: list[Progress] = []
    trained = run(budget=Budget(epochs=1.6), progress=seen.append)
    assert trained.images_seen == seen[-1].images == round(1.6 * 203)
    assert trained.steps == len(seen) == math.ceil(1.6 * 203 / 16)
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert seen[-1].fraction == 1.0
    assert seen[-1].seconds_left == 0.0
    assert trained.history[-1].images == trained.images_seen


def test_a_budget_in_seconds_ends_by_the_clock() -> None:
    trained = run(budget=Budget(seconds=0.3))
    assert trained.seconds >= 0.3
    assert trained.history[-1].fraction == 1.0


def test_batches_cross_epochs_and_show_every_image_once_in_each() -> None:
    pixels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    data = TrainingSet(pixels, np.arange(10) % 2, type(NORMALISATION)((0.0,), (1.0,)), 2)
    batches = Batches(data, None, seed=0)
    whole, labels = batches.at(0, 25)
    shown = whole[:, 0, 0, 0].int()
    assert sorted(shown[:10].tolist()) == sorted(shown[10:20].tolist()) == list(range(10))
    assert shown[:10].tolist() != shown[10:20].tolist()
    assert torch.equal(labels, shown.long() % 2)
    parts = [batches.at(start, 5)[0] for start in (15, 0, 20, 10, 5)]
    assert torch.equal(torch.cat([parts[i] for i in (1, 4, 3, 0, 2)]), whole)


def test_a_memory_map_trains_to_the_same_weights_as_an_array(tmp_path: Path) -> None:
    data = training_set()
    np.save(tmp_path / "pixels.npy", data.pixels)
    mapped = dataclasses.replace(data, pixels=np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    arguments: dict[str, Any] = {
        "recipe": Recipe(batch=16), "budget": Budget(images=320), "seed": 0, "setup": SETUP
    }  # fmt: skip
    expected = train(network(), data, **arguments)
    found = train(network(), mapped, **arguments)
    assert torch.equal(expected.module[0].weight, found.module[0].weight)


def test_layout_and_dtype_of_the_returned_module_do_not_betray_the_setup() -> None:
    trained = run(setup=dataclasses.replace(SETUP, channels_last=True), budget=Budget(images=64))
    assert all(tensor.is_contiguous() for tensor in trained.module.state_dict().values())


@pytest.mark.slow
def test_the_average_holds_weights_between_those_it_saw() -> None:
    plain = run(recipe=Recipe(batch=16, ema=0.0))
    averaged = run(recipe=Recipe(batch=16, ema=0.2))
    differ = [
        name
        for name, tensor in plain.module.state_dict().items()
        if not torch.equal(tensor, averaged.module.state_dict()[name])
    ]
    assert "0.weight" in differ
    assert "1.running_mean" in differ
    assert "1.num_batches_tracked" not in differ


def test_a_rate_that_is_too_high_is_named_as_the_cause() -> None:
    recipe = Recipe(batch=16, learning_rate=1e30, clip_norm=0.0)
    with pytest.raises(TrainingError) as caught:
        run(recipe=recipe)
    message = str(caught.value)
    for part in ("loss must stay finite", "step ", "learning rate", "parameter", "lower", "1e+30"):
        assert part in message
    assert "\n" not in message


def test_scores_that_overflow_finite_weights_name_the_largest_weight() -> None:
    module = network()
    with torch.no_grad():
        module[8].weight.fill_(3e38)
    with pytest.raises(TrainingError, match=r"parameters are finite, the largest is in '8\.weight'"):
        run(module=module)


def test_a_weight_that_is_not_a_number_is_named() -> None:
    module = network()
    with torch.no_grad():
        module[3].bias[2] = math.nan
    with pytest.raises(TrainingError, match=r"step 1, .*first non-finite parameter '3\.bias'"):
        run(module=module)


def test_a_head_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(TrainingError, match="2 scores for each image"):
        run(module=nn.Sequential(nn.Flatten(), nn.Linear(432, 3)))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"labels": np.array([0, 1, 2])}, "labels must be from 0 to 1"),
        ({"labels": np.array([0, 1])}, "3 integers"),
        ({"labels": np.array([0.0, 1.0, 1.0])}, "3 integers"),
        ({"pixels": np.zeros((3, 4, 4, 3), np.float32)}, "uint8"),
        ({"pixels": np.zeros((3, 4, 4), np.uint8)}, "uint8 of shape"),
        ({"classes": 1}, "classes must be at least 2"),
    ],
)
def test_a_set_that_cannot_be_trained_on_is_refused(changes: dict[str, Any], rule: str) -> None:
    fields = {"pixels": np.zeros((3, 4, 4, 3), np.uint8), "labels": np.array([0, 1, 1]), "classes": 2}
    with pytest.raises(DataError, match=rule):
        TrainingSet(**(fields | changes), normalisation=NORMALISATION)


def test_the_events_tell_the_whole_curve(tmp_path: Path) -> None:
    pixels, labels = blobs(50, seed=99)
    with EventLog(tmp_path / "events.ndjson") as log:
        trained = run(events=log, checkpoints=tmp_path, select=EvaluationSet(pixels, labels))
    events = read_events(tmp_path / "events.ndjson")
    assert [events[0]["event"], events[-1]["event"]] == ["train", "trained"]
    extra = ("event", "time", "number")
    points = [{k: v for k, v in e.items() if k not in extra} for e in events if e["event"] == "point"]
    assert points == [dataclasses.asdict(point) for point in trained.history]
    assert events[0]["recipe_values"]["batch"] == 16
    assert any(event["event"] == "checkpoint" for event in events)
