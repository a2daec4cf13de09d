"""How a training is told to run: by a recipe file, a range test, or a time for everything."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from jobs_small_fit import PLENTY, quick

from convsmith.cli.main import run as command
from convsmith.data import Normalisation, open_images, split_images
from convsmith.design import lower, read_design
from convsmith.errors import TrainingError
from convsmith.interop.torch_module import build
from convsmith.jobs.fit import fit
from convsmith.jobs.train import train
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget, Outside
from convsmith.training.events import read_events
from convsmith.training.initialise import initialise
from convsmith.training.learner import Learner
from convsmith.training.rate_finder import HIGHEST, LOWEST, find_rate
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

SETUP = Setup(threads=1)


@pytest.fixture
def digits():
    images = open_images("digits")
    learn = split_images(images, seed=0).train
    normalisation = Normalisation.of(images, learn)
    return TrainingSet(images.rows(learn), images.labels[learn], normalisation, len(images.classes))


def module(design):
    return initialise(build(lower(read_design(design))), 0)


@pytest.mark.slow
def test_a_recipe_file_changes_what_it_names_and_nothing_else(design, tmp_path, capsys):
    (tmp_path / "recipe.toml").write_text("batch = 32\n[policy]\ncutout = 2\n")
    options = ["--epochs", "1", "--out", str(tmp_path / "run"), "--recipe", str(tmp_path / "recipe.toml"), "--json"]
    assert command(["train", str(design), "digits", *options]) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    assert (recipe["batch"], recipe["policy"]["cutout"]) == (32, 2)
    assert recipe["policy"]["translate"] == 1  # the default for images of 8 pixels
    assert recipe["learning_rate"] == Recipe().learning_rate


@pytest.mark.slow
def test_fit_trains_every_network_by_the_recipe_of_a_file(tmp_path, capsys, monkeypatch):
    quick(monkeypatch)
    (tmp_path / "recipe.toml").write_text("batch = 32\nlabel_smoothing = 0.0\n[policy]\ncutout = 2\n")
    options = ["--macs", "50k", "--minutes", str(PLENTY), "--out", str(tmp_path / "run"), "--json"]
    assert command(["fit", "digits", *options, "--recipe", str(tmp_path / "recipe.toml")]) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    assert (recipe["batch"], recipe["label_smoothing"], recipe["policy"]["cutout"]) == (32, 0.0, 2)
    trained = [event for event in read_events(tmp_path / "run" / "events.ndjson") if event["event"] == "train"]
    assert trained
    for event in trained:
        assert (event["recipe_values"]["batch"], event["recipe_values"]["policy"]["cutout"]) == (32, 2)
        assert event["recipe_values"]["policy"]["translate"] in (0, 1)  # by the size of each network's images
    assert recipe["policy"]["translate"] == 1


def test_a_recipe_file_that_cannot_be_is_refused_before_images_are_read(design, tmp_path, monkeypatch):
    (tmp_path / "recipe.toml").write_text("learning_rat = 1\n")
    monkeypatch.setattr("convsmith.jobs.train.open_images", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(TrainingError, match=r"recipe\.toml.*did you mean 'learning_rate'"):
        train(design, "digits", out=tmp_path / "run", recipe=tmp_path / "recipe.toml")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_the_rate_of_a_range_test_learns_more_than_rates_at_both_ends(design, digits, optimizer):
    recipe = Recipe(optimizer=optimizer, ema=0.0)
    found = find_rate(module(design), digits, recipe=recipe, seed=0, setup=SETUP)
    assert LOWEST < found.rate < HIGHEST
    assert list(found.rates) == sorted(found.rates)

    def loss(rate):
        recipe_now = dataclasses.replace(recipe, learning_rate=rate)
        learner = Learner(module(design), digits, recipe=recipe_now, budget=Budget(images=6400), seed=0, setup=SETUP)
        try:
            while learner.fraction < 1.0:
                learner.step()
        except TrainingError:
            return math.inf
        return learner.loss

    assert loss(found.rate) < 0.7 * min(loss(LOWEST), loss(HIGHEST))


@pytest.mark.slow
def test_a_range_test_leaves_the_network_and_chance_as_they_were_and_repeats(design, digits):
    tried, chance = module(design), torch.get_rng_state()
    first, second = (find_rate(tried, digits, recipe=Recipe(), seed=0, setup=SETUP) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), chance)
    for one, other in zip(tried.state_dict().values(), module(design).state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_found_rate_is_twice_that_at_which_half_of_the_fall_was_done(design, digits):
    found = find_rate(module(design), digits, recipe=Recipe(), seed=0, setup=SETUP)
    done = [(found.losses[0] - loss) / (found.losses[0] - min(found.losses)) for loss in found.losses]
    below = max(rate for rate, share in zip(found.rates, itertools.accumulate(done, max), strict=True) if share < 0.5)
    assert 1 < found.rate / (2 * below) < 1.2


def test_labels_that_nothing_can_learn_from_are_named(design, digits, monkeypatch):
    monkeypatch.setattr(Learner, "step", lambda self, rate: 1.0 + rate)
    with pytest.raises(TrainingError, match=r"the loss must fall at some learning rate from 0\.0001 to 10"):
        find_rate(module(design), digits, recipe=Recipe(), seed=0, setup=SETUP)


@pytest.mark.slow
def test_the_found_rate_is_told_reported_and_kept_when_the_training_goes_on(design, tmp_path, monkeypatch):
    def stop(step):
        if step.task == "training" and step.fraction >= 0.4:
            raise KeyboardInterrupt

    lines = []
    options = {"out": tmp_path / "run", "epochs": 1, "find_rate": True}
    with pytest.raises(KeyboardInterrupt):
        train(design, "digits", **options, tell=lines.append, show=stop)
    (line,) = [line for line in lines if "range test" in line]
    monkeypatch.setattr("convsmith.jobs.settings.find_rate", lambda *_, **__: pytest.fail("tried again"))
    done = train(design, "digits", **options, resume=True)
    rate = done.report["recipe"]["learning_rate"]
    assert line == f"the range test suggests a learning rate of {rate:g}"
    assert rate != Recipe().learning_rate


@pytest.mark.slow
def test_minutes_cover_reading_judging_and_exporting(design, tmp_path, monkeypatch):
    """The training is told what of the time is not its own, by what the end of the run took when it was tried."""
    told = []
    real = Learner.__init__

    def spy(self, *arguments, **options):
        told.append(options)
        real(self, *arguments, **options)

    monkeypatch.setattr(Learner, "__init__", spy)
    done = train(design, "digits", out=tmp_path / "run", minutes=0.1)
    (options,) = told
    outside = options["outside"]
    assert options["budget"] == Budget(seconds=6.0)
    assert outside.before > 0
    assert outside.after > 1.5
    assert outside.images >= done.report["data"]["test"] + done.report["data"]["select"]
    assert 0 < done.report["seconds"]["final"] < 6.0


@pytest.mark.slow
def test_too_few_minutes_are_refused_with_the_least_that_work(design, tmp_path):
    with pytest.raises(TrainingError, match=r"minutes must leave time to train.*give at least \d.*kept"):
        train(design, "digits", out=tmp_path / "run", minutes=0.02)
    done = train(design, "digits", out=tmp_path / "run", epochs=0.2)
    assert np.isfinite(done.report["accuracy"]["test"])


class Clock:
    """Time that passes only while images are judged."""

    now = 0.0

    def __call__(self):
        return self.now


def test_the_time_kept_for_judging_follows_what_judging_takes(design, digits, monkeypatch):
    from convsmith.training import learner as of_learner
    from convsmith.training.evaluate import EvaluationSet

    clock = Clock()
    monkeypatch.setattr(of_learner.time, "perf_counter", clock)

    def judge(*_, **__):
        clock.now += 20.0
        return np.zeros((100, 10), np.float32)

    monkeypatch.setattr(of_learner, "logits", judge)
    select = EvaluationSet(digits.pixels[:100], digits.labels[:100])
    learner = Learner(
        module(design), digits, recipe=Recipe(), budget=Budget(images=640), seed=0, setup=SETUP, select=select,
        outside=Outside(before=3, after=2, images=1000, pace=0.001),
    )  # fmt: skip
    assert learner.meter.outside == pytest.approx(6.0)
    while learner.fraction < 1.0:
        learner.step()
        learner.follow()
    assert learner.meter.outside == pytest.approx(3 + 2 + 1000 * 0.2)


def test_a_search_is_not_started_many_times_over_by_torchrun(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match=r"fit runs in one process \(received 2\); start it without torchrun"):
        fit("digits", macs=100_000, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
