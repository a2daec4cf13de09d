"""The laboratory of a search on its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jobs_digits import TINY
from torch import nn

from convsmith.data import open_images, split_images
from convsmith.design import parse_design
from convsmith.errors import TrainingError
from convsmith.jobs.fit_progress import Narrator
from convsmith.jobs.lab import Lab
from convsmith.search.candidate import Candidate, Work, design_key
from convsmith.search.statistics import right
from convsmith.training.events import EventLog, read_events
from convsmith.training.recipe import Recipe

PLAN = {
    "rungs": [{"images": 64, "candidates": 1, "seconds": 1.0}],
    "finals": {"images": 64, "candidates": 1, "seeds": 1},
}


@pytest.fixture(scope="module")
def images():
    return open_images("digits")


@pytest.fixture
def candidate():
    design = parse_design(TINY)
    return Candidate(design_key(design), design, "draw:1", (0.2, 0.3, 0.5), 1, 1)


def test_a_candidate_that_diverges_has_failed_at_once_and_is_not_tried_at_a_lower_rate(
    images, candidate, tmp_path: Path
):
    steps: list[object] = []
    with EventLog(tmp_path / "events.ndjson") as events:
        recipe = Recipe(learning_rate=1e30, clip_norm=0.0)
        lab = Lab(images, split_images(images, seed=0), lambda *_: recipe, tmp_path / "weights", events, steps.append)
        outcome = lab.train(Work(candidate, images=64 * 100, seed=0, final=False))
    assert outcome.failed
    assert "must stay finite" in outcome.failure
    assert len(steps) == 1
    told = [event["event"] for event in read_events(tmp_path / "events.ndjson")]
    assert told[-1] == "diverged"
    assert "rollback" not in told


def test_a_candidate_whose_last_step_destroys_it_has_failed_and_is_told_as_any_other(images, candidate, tmp_path):
    lines: list[str] = []
    with EventLog(tmp_path / "events.ndjson") as events:
        recipe = Recipe(learning_rate=1e30, clip_norm=0.0)
        lab = Lab(images, split_images(images, seed=0), lambda *_: recipe, None, events, print_nothing)
        outcome = lab.train(Work(candidate, images=64, seed=0, final=False))
        about = {"candidate": candidate.key, "origin": "draw:1", "images": 64, "seed": 0, "final": False}
        narrator = Narrator(events, lines.append, print_nothing, [candidate], started=0.0, seconds=1.0)
        narrator.hear("plan", {"plan": PLAN})
        narrator.hear("training", {**about, "reused": False, "outcome": outcome.to_dict()})
    assert outcome.failed
    assert "not finite" in lines[-1]


@pytest.mark.slow
def test_a_network_that_no_image_gets_through_is_refused_while_it_is_timed(
    images, candidate, tmp_path: Path, monkeypatch
):
    """Its last activation is dead, so only the bias of the head is left."""
    with EventLog(tmp_path / "events.ndjson") as events:
        lab = Lab(
            images, split_images(images, seed=0), lambda *_: Recipe(), tmp_path / "weights", events, print_nothing
        )
        assert 0 < lab.seconds_per_image(candidate) < 1
        monkeypatch.setattr("convsmith.jobs.lab.train", killed)
        with pytest.raises(TrainingError, match="different scores"):
            lab.seconds_per_image(candidate)


def print_nothing(_: object) -> None:
    pass


def killed(module, data, *, progress, **_):
    """A training after which the head sees nothing."""
    for _ in range(3):
        progress(None)
    head = [one for one in module.modules() if isinstance(one, nn.Linear)][-1]
    with torch.no_grad():
        head.weight.zero_()


def test_trainings_of_the_search_keep_which_select_images_were_right(tmp_path: Path):
    images = open_images("digits")
    split = split_images(images, seed=0)
    design = parse_design(TINY)
    candidate = Candidate(design_key(design), design, "draw:1", (0.2, 0.3, 0.5), 1, 1)
    with EventLog(tmp_path / "events.ndjson") as events:
        lab = Lab(images, split, lambda *_: Recipe(), tmp_path / "weights", events, print_nothing)
        outcome = lab.train(Work(candidate, images=64 * 20, seed=0, final=False))
    assert outcome.correct is not None
    assert outcome.total == len(split.select)
    assert right(outcome).mean() == pytest.approx(outcome.accuracy)
    assert not list((tmp_path / "weights").glob("*"))


def test_a_plan_counts_the_images_that_batch_norms_are_computed_from_few_in_rungs_and_more_in_finals(
    images, candidate, tmp_path
):
    split = split_images(images, seed=0)
    passed: dict[bool, dict[nn.Module, int]] = {False: {}, True: {}}

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d) and module.training and not torch.is_grad_enabled():
            passed[final][module] = passed[final].get(module, 0) + len(inputs[0])

    with EventLog(tmp_path / "events.ndjson") as events:
        lab = Lab(images, split, lambda *_: Recipe(), tmp_path / "weights", events, print_nothing)
        with nn.modules.module.register_module_forward_pre_hook(count):
            for final in (False, True):
                lab.train(Work(candidate, images=64, seed=0, final=final))
    load = lab.load(epoch=len(split.train))
    assert set(passed[False].values()) == {load.recalibrated} == {256}
    (final_images,) = set(passed[True].values())
    assert load.recalibrated_final - 128 < final_images <= load.recalibrated_final  # whole batches
    assert load.seconds(1e-3, 1000, True) == pytest.approx(
        1e-3 * (1000 + (len(split.test) + load.recalibrated_final) / 3)
    )
    assert load.seconds(1e-3, 1000, False) == pytest.approx(1e-3 * (1000 + (len(split.select) + 256) / 3))
    assert load.pace(load.seconds(1e-3, 1000, False), 1000, False) == pytest.approx(1e-3)
