"""What a curve is said to do holds for curves whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from convsmith.search.candidate import Outcome, Training, Work
from convsmith.search.saturation import gain, saturation

MARGIN = 0.005


def curve(candidate, truths, *, images=20_000, seeds=4, number=0):
    """Trainings whose test images are right with the given probabilities, harder images first for all of them."""
    rng = np.random.default_rng(number)
    hardness = rng.random(images)
    points = []
    for place, truth in enumerate(truths):
        trainings = []
        for seed in range(1, seeds + 1):
            noise = rng.random(images)
            right = np.where(noise < 0.5, hardness, rng.random(images)) < truth
            outcome = Outcome(float(right.mean()), 1.0, 1.0, 10, np.packbits(right).tobytes(), images)
            trainings.append(Training(Work(candidate(place, "draw:1", "depth"), 10, seed, True), outcome))
        points.append(trainings)
    return points


def test_a_curve_that_rises_to_the_end_pays(candidate):
    found = saturation(curve(candidate, [0.70, 0.75, 0.80, 0.85]), MARGIN)
    assert (found.kind, found.at) == ("pays", 3)
    assert all(gain.low > 0 for gain in found.gains)
    assert [gain.difference for gain in found.gains] == pytest.approx([0.05] * 3, abs=0.012)


@pytest.mark.slow
def test_a_curve_that_is_flat_from_a_point_on_stops_there(candidate):
    found = saturation(curve(candidate, [0.70, 0.80, 0.80, 0.80], images=200_000), MARGIN)
    assert (found.kind, found.at) == ("stops", 1)


def test_a_curve_that_falls_stops_at_its_top_and_one_that_only_falls_at_the_base(candidate):
    assert saturation(curve(candidate, [0.70, 0.80, 0.75, 0.72]), MARGIN).at == 1
    found = saturation(curve(candidate, [0.80, 0.75, 0.72]), MARGIN)
    assert (found.kind, found.at) == ("stops", 0)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_single_test_image_tells_nothing_at_all(candidate, seeds):
    found = saturation(curve(candidate, [0.0, 1.0], images=1, seeds=seeds), MARGIN)
    assert found.kind == "unclear"
    assert found.gains[0].difference == 1
    assert found.gains[0].low < -1 < 1 < found.gains[0].high


def test_few_images_tell_nothing_and_it_says_so(candidate):
    found = saturation(curve(candidate, [0.70, 0.80, 0.805, 0.81], images=300, seeds=2), MARGIN)
    assert found.kind == "unclear"
    assert found.at in (0, 1)


@pytest.mark.slow
def test_slow_gains_that_add_up_are_not_called_a_stop(candidate):
    """Each step is within the margin, all of them together are not."""
    found = saturation(curve(candidate, [0.800, 0.804, 0.808, 0.812, 0.816], images=400_000), MARGIN)
    assert found.kind == "pays" or found.at == 3


def test_one_point_says_nothing(candidate):
    assert saturation(curve(candidate, [0.7]), MARGIN).kind == "short"
    assert saturation([], MARGIN).kind == "short"


@pytest.mark.slow
def test_flat_curves_are_rarely_said_to_pay(candidate):
    """The last step of a flat curve looks like a gain about once in forty."""
    kinds = [saturation(curve(candidate, [0.8, 0.8], images=1_000, seeds=3, number=n), MARGIN).kind for n in range(120)]
    assert kinds.count("pays") <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("images", "deviation"), [(2_000, 0.015), (5_000, 0.005)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_an_interval_of_a_gain_misses_the_truth_about_once_in_twenty(candidate, images, deviation, seeds):
    """Both networks are equally good, and each of their trainings is a little luckier or unluckier than the truth."""
    chance, work, missed, repeats = np.random.default_rng(1), candidate(3, "draw:1", "depth"), 0, 150
    for _ in range(repeats):
        hardness = chance.standard_normal(images)
        points = []
        for _ in range(2):
            trainings = []
            for seed in range(seeds):
                bar = norm.ppf(0.8 + deviation * chance.standard_normal())
                right = (hardness + chance.standard_normal(images)) / math.sqrt(2) < bar
                outcome = Outcome(float(right.mean()), 1.0, 1.0, 10, np.packbits(right).tobytes(), images)
                trainings.append(Training(Work(work, 10, seed, True), outcome))
            points.append(trainings)
        found = gain(*points)
        missed += not found.low <= 0 <= found.high
    assert missed <= 0.12 * repeats


def test_a_gain_is_paired_by_seed_and_never_surer_than_its_images(candidate):
    first, second = curve(candidate, [0.8, 0.8], seeds=3, images=300)
    same = gain(first, first)
    assert (same.difference, same.low, same.high) == pytest.approx((0, -0.01, 0.01))
    assert gain(first, second[1:]).seeds == 2
    assert gain(first, second[1:]).difference == pytest.approx(
        np.mean([one.outcome.accuracy for one in first[1:]]) - np.mean([one.outcome.accuracy for one in second[1:]])
    )


def test_one_seed_tells_nothing(candidate):
    found = saturation(curve(candidate, [0.5, 0.9], seeds=1), MARGIN)
    assert found.kind == "unclear"
