from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from convsmith.search.candidate import Outcome, Training, Work
from convsmith.search.resampling import Spread
from convsmith.search.statistics import (
    cheapest,
    compare,
    estimate,
    judge,
    rank_agreement,
    right,
    spread_by_seed,
    verdict,
)  # fmt: skip


def table(rng, truth, seeds, images, hardness=None, seed_sd=0.0, own=0.5):
    """Zeros and ones with an effect of the image shared by all seeds, one of the seed, and the rest by chance."""
    hardness = rng.standard_normal(images) if hardness is None else hardness
    level = norm.ppf(truth)
    shift = seed_sd * rng.standard_normal((seeds, 1)) / norm.pdf(level)
    scale = math.sqrt(1 + (seed_sd / norm.pdf(level)) ** 2)  # keeps the mean over seeds at the truth
    score = math.sqrt(1 - own) * hardness + math.sqrt(own) * rng.standard_normal((seeds, images))
    return (score < level * scale + shift).astype(float)


def finals(candidate, rows, seeds=None):
    seeds = seeds or range(1, len(rows) + 1)
    return [
        Training(
            Work(candidate, 1000, seed, True),
            Outcome(row.mean(), 0.1, 1.0, 1000, np.packbits(row.astype(bool)).tobytes(), len(row)),
        )
        for seed, row in zip(seeds, rows, strict=True)
    ]


def assert_as_wide_as_needed(widths, means, most=1.2):
    """Intervals must be about as wide as the means they belong to really spread."""
    assert 0.85 <= np.median(widths) / (2 * 1.96 * np.std(means)) <= most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "seeds", "images", "seed_sd"),
    [(0.7, 1, 200, 0.0), (0.98, 1, 360, 0.0), (0.9, 3, 300, 0.01), (0.98, 3, 360, 0.003), (0.8, 5, 2000, 0.005)],
)
def test_intervals_of_an_accuracy_cover_the_truth(truth, seeds, images, seed_sd):
    rng = np.random.default_rng(1)
    tables = [table(rng, truth, seeds, images, seed_sd=seed_sd) for _ in range(300)]
    estimates = [estimate(one, seed=n) for n, one in enumerate(tables)]
    assert 0.91 <= np.mean([one.low <= truth <= one.high for one in estimates]) <= 0.995
    most = 1.3 if 1 < seeds < 5 else 1.2  # three seeds by themselves hardly tell how far seeds differ
    assert_as_wide_as_needed([one.high - one.low for one in estimates], [one.mean() for one in tables], most)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "images"), [(1, 400), (3, 400), (5, 1000)])
def test_intervals_of_a_paired_difference_cover_the_truth(candidate, seeds, images):
    rng = np.random.default_rng(2)
    one, two = candidate(0, "draw:0", "depth"), candidate(1, "draw:1", "depth")
    covered, widths, differences = [], [], []
    for n in range(300):
        hardness = rng.standard_normal(images)
        ours = finals(one, table(rng, 0.92, seeds, images, hardness, own=0.2))
        theirs = finals(two, table(rng, 0.90, seeds, images, hardness, own=0.2))
        third = finals(two, table(rng, 0.91, seeds, images, hardness, own=0.2))
        made = compare(ours, theirs, seed=n, by_seed=Spread.of([stacked(group) for group in (ours, theirs, third)]))
        covered.append(made.low <= 0.02 <= made.high)
        widths.append(made.high - made.low)
        differences.append(made.difference)
    assert_as_wide_as_needed(widths, differences, 1.3 if seeds == 3 else 1.2)
    assert 0.91 <= np.mean(covered) <= 0.995
    unpaired = 2 * 1.96 * math.sqrt((0.92 * 0.08 + 0.90 * 0.10) / images)
    assert np.median(widths) < 0.75 * unpaired


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3])
def test_intervals_of_few_seeds_that_differ_cover_the_truth(candidate, seeds):
    """With plain quantiles of the resamples it is 75 to 88 of 100: what few seeds say of their spread is little."""
    rng = np.random.default_rng(21)
    networks = [candidate(n, f"draw:{n}", "depth") for n in range(3)]
    images, truths = 4000, (0.92, 0.90, 0.90)
    pooled, alone, single = [], [], []
    for n in range(250):
        hardness = rng.standard_normal(images)
        groups = [
            finals(one, table(rng, truth, seeds, images, hardness, seed_sd=0.008))
            for one, truth in zip(networks, truths, strict=True)
        ]
        together = compare(groups[0], groups[1], seed=n, by_seed=spread_by_seed([t for g in groups for t in g]))
        pooled.append(together.low <= 0.02 <= together.high)
        by_two = compare(groups[0], groups[1], seed=n)
        alone.append(by_two.low <= 0.02 <= by_two.high)
        made = estimate(stacked(groups[0]), seed=n)
        single.append(made.low <= 0.92 <= made.high)
    assert 0.92 <= np.mean(pooled) <= 0.985
    assert np.mean(alone) >= 0.87
    assert np.mean(single) >= 0.87


def stacked(trainings):
    return np.stack([right(one.outcome) for one in trainings]).astype(float)


def test_the_interval_agrees_with_resampling_by_hand():
    rng = np.random.default_rng(3)
    values = table(rng, 0.75, 1, 500)
    means = [values[0, rng.integers(0, 500, 500)].mean() for _ in range(4000)]
    made = estimate(values)
    assert (made.low, made.high) == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.006)
    assert estimate(values) == made
    assert estimate(values, seed=1) != made


def test_seeds_that_differ_by_more_than_chance_widen_the_interval():
    rng = np.random.default_rng(7)
    calm = np.tile((rng.random(2000) < 0.9).astype(float), (3, 1))
    wild = calm * (rng.random((3, 2000)) < np.array([[1.0], [0.97], [0.94]]))
    # Three seeds 2.7 points apart have a standard error of 2.7 / sqrt(3) points, images or not.
    assert estimate(wild).high - estimate(wild).low > 2 * 1.96 * 0.027 / math.sqrt(3) * 0.95
    assert estimate(calm).high - estimate(calm).low == pytest.approx(2 * 1.96 * math.sqrt(0.09 / 2000), rel=0.1)


def test_a_perfect_score_is_not_certain():
    made = estimate(np.ones((3, 100)))
    assert made.mean == made.high == 1.0
    assert made.low == pytest.approx(100 / (100 + 1.96**2), abs=1e-4)


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_nearly_perfect_network_is_not_doubted_for_the_spread_of_others(wrong):
    ones = np.ones((3, 1000))
    ones[0, :wrong] = 0.0
    # Seeds of a deviation of 2 points alone allow for a mean that much lower, images alone for four wrong ones or so.
    made = estimate(ones, by_seed=Spread(0.02**2, 0.02**2, 1_000))
    assert 1 - made.low == pytest.approx(1.96 * 0.02 / math.sqrt(3), rel=0.08)
    assert made.high == 1.0


def test_probability_follows_the_difference(candidate):
    rng = np.random.default_rng(4)
    rows = table(rng, 0.9, 3, 400)
    one, two = candidate(0, "draw:0", "depth"), candidate(1, "draw:1", "depth")
    same = compare(finals(one, rows), finals(two, rows))
    assert (same.difference, same.low, same.high, same.probability) == (0, 0, 0, 0.5)
    worse = rows.copy()
    worse[:, :40] = 0
    forth, back = compare(finals(one, rows), finals(two, worse)), compare(finals(two, worse), finals(one, rows))
    assert forth.probability == 1.0
    assert back.probability == 0.0
    assert back.difference == pytest.approx(-forth.difference)


def test_only_common_seeds_are_compared(candidate):
    one, two = candidate(0, "draw:0", "depth"), candidate(1, "draw:1", "depth")
    good, bad = np.ones(100), np.zeros(100)
    made = compare(finals(one, [good, bad], [1, 2]), finals(two, [good], [1]))
    assert made.difference == 0
    made = compare(finals(one, [good], [1]), finals(two, [bad], [2]))
    assert made.difference == 1


def test_bits_of_any_count_survive():
    values = np.random.default_rng(5).random(361) < 0.5
    outcome = Outcome(values.mean(), 0.1, 1.0, 10, np.packbits(values).tobytes(), 361)
    assert np.array_equal(right(outcome), values)


def rows(images, wrong, seeds=3):
    """Every seed is wrong on the same first images."""
    values = np.ones((seeds, images))
    values[:, :wrong] = 0
    return values


def test_the_cheapest_of_the_close_ones_is_chosen_and_noise_is_called_a_tie(candidate):
    images = 1000
    best = finals(candidate(0, "draw:0", "depth", macs=900), rows(images, 20))
    close = finals(candidate(1, "draw:1", "depth", macs=800), rows(images, 23))
    noisy_rows = rows(images, 20)
    noisy_rows[:, 200:240] = 0
    noisy_rows[:, :36] = 1
    noisy = finals(candidate(2, "rule:dwr", "width", macs=100), noisy_rows)
    far = finals(candidate(3, "rule:regnet", "width", macs=50), rows(images, 90))
    made = judge([*far, *noisy, *close, *best])
    assert [one.candidate.macs for one in made.finalists] == [900, 800, 100, 50]
    assert [one.close for one in made.finalists] == [True, True, False, False]
    assert [one.tied for one in made.finalists] == [True, True, noisy_tied(made), False]
    assert made.chosen.candidate.macs == 800
    assert made.margin == 0.003
    assert made.best_rule.candidate.rule == "dwr"
    assert made.against_rule.difference == pytest.approx(made.chosen.accuracy.mean - 0.96)
    most = judge([*far, *noisy, *close, *best], cost=lambda one: (-one.macs,))
    assert most.chosen.candidate.macs == 900


def noisy_tied(made):
    behind = made.finalists[2].behind
    return behind.low <= 0 <= behind.high


def test_what_cannot_be_told_apart_ties(candidate):
    one = finals(candidate(0, "draw:0", "depth"), rows(150, 13, seeds=1))
    two = finals(candidate(1, "rule:dwr", "depth", macs=1), rows(150, 15, seeds=1)[:, ::-1])
    made = judge([*one, *two])
    assert len(made.ties) == 2
    assert not made.finalists[1].close
    assert made.chosen == made.finalists[0]


def test_the_margin_grows_with_the_error(candidate):
    assert judge(finals(candidate(0, "draw:0", "depth"), rows(100, 50))).margin == pytest.approx(0.01)


def test_equal_macs_are_decided_by_params(candidate):
    one, two = (candidate(n, f"draw:{n}", "depth", macs=500) for n in (1, 0))
    assert cheapest(two) < cheapest(one)
    assert judge([*finals(one, rows(100, 5)), *finals(two, rows(100, 5))]).chosen.candidate == two


def test_the_verdict_says_it_in_words(candidate):
    ours = finals(candidate(0, "draw:0", "depth", macs=10), rows(2000, 40))
    tie = finals(candidate(1, "draw:1", "depth"), rows(2000, 44))
    rule = finals(candidate(2, "rule:dwr", "width"), rows(2000, 100))
    text = verdict(judge([*ours, *tie, *rule]))
    assert text.startswith(
        "The network draw-0 reaches 98.0 % in the finals (97.3 % to 98.5 %; 3 seeds). It ties with draw-1."
    )
    assert text.endswith("The best rule is dwr, 3.0 points behind; the network beats it with probability > 99.9 %.")
    assert "It is clearly the best of the finals. It is what the rule dwr makes" in verdict(
        judge([*finals(candidate(2, "rule:dwr", "width"), rows(2000, 4)), *ours])
    )


def test_failed_finals_are_left_out(candidate):
    one = candidate(0, "draw:0", "depth")
    failed = Training(Work(one, 1000, 2, True), Outcome(0.0, math.inf, 1.0, 1000, None, 100, "no memory"))
    made = judge([*finals(one, rows(100, 5, seeds=1)), failed])
    assert made.chosen.accuracy.seeds == 1
    assert made.chosen.accuracy.mean == 0.95


def test_rank_agreement(candidate):
    def rung(losses):
        return [
            Training(Work(candidate(n, "draw:0", "depth"), 100, 0, False), Outcome(0.5, loss, 1.0, 100, None, 100))
            for n, loss in losses.items()
        ]

    first = rung({0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4})
    assert rank_agreement(first, rung({0: 1.0, 1: 2.0, 2: 3.0})) == pytest.approx(1)
    assert rank_agreement(first, rung({0: 3.0, 1: 2.0, 2: 1.0})) == pytest.approx(-1)
    assert rank_agreement(first, rung({0: 1.0, 1: 3.0, 2: 2.0})) == pytest.approx(1 / 3)
    assert rank_agreement(first, rung({0: 1.0})) is None
    assert rank_agreement(first, rung({0: 1.0, 1: 1.0})) is None


@pytest.mark.slow
def test_being_chosen_by_these_images_adds_nothing_to_the_accuracy(candidate):
    """Three networks that are equally good: the best of them by its finals is flattered, the reported one is not."""
    rng = np.random.default_rng(11)
    cells = [candidate(n, f"draw:{n}", "depth", macs=1000 - n) for n in range(3)]
    flattered, reported, covered = [], [], []
    for n in range(150):
        hardness = rng.standard_normal(800)
        trainings = [t for one in cells for t in finals(one, table(rng, 0.7, 2, 800, hardness, own=0.7))]
        made = judge(trainings, seed=n)
        flattered.append(made.chosen.accuracy.mean - 0.7)
        reported.append(made.accuracy.mean - 0.7)
        covered.append(made.accuracy.low <= 0.7 <= made.accuracy.high)
    error = np.std(reported) / math.sqrt(len(reported))
    assert np.mean(flattered) > 0.006
    assert abs(np.mean(reported)) < max(3 * error, 0.4 * np.mean(flattered))
    assert np.mean(covered) > 0.9


def test_one_finalist_is_reported_as_it_is(candidate):
    made = judge(finals(candidate(0, "draw:0", "depth"), rows(100, 5)))
    assert made.accuracy == made.chosen.accuracy


def test_costs_that_hardly_differ_do_not_decide(candidate):
    better = finals(candidate(0, "draw:0", "depth", macs=1000), rows(1000, 50))
    cheaper = finals(candidate(1, "draw:1", "depth", macs=975), rows(1000, 52))
    assert judge([*better, *cheaper]).chosen.candidate.macs == 1000
    much_cheaper = finals(candidate(1, "draw:1", "depth", macs=960), rows(1000, 52))
    assert judge([*better, *much_cheaper]).chosen.candidate.macs == 960


@pytest.mark.slow
def test_the_spread_from_seed_to_seed_is_found_beyond_that_of_the_images(candidate):
    rng = np.random.default_rng(12)
    for true in (0.0, 0.02):
        found = []
        for _ in range(60):
            trainings = [
                t
                for n in range(3)
                for t in finals(candidate(n, "draw:0", "depth"), table(rng, 0.8, 4, 1000, seed_sd=true))
            ]
            found.append(spread_by_seed(trainings))
        assert np.mean([one.genuine for one in found]) == pytest.approx(true**2, abs=0.006**2 + 0.25 * true**2)


@pytest.mark.slow
@pytest.mark.parametrize(("truths", "seed_sd"), [((0.52, 0.50, 0.50), 0.009), ((0.975, 0.97, 0.97), 0.003)])
def test_with_one_seed_each_the_intervals_assume_what_other_networks_showed(candidate, truths, seed_sd):
    """Counting images alone they would cover 60 to 85 of 100, as if every seed were alike."""
    rng = np.random.default_rng(31)
    networks = [candidate(n, f"draw:{n}", "depth") for n in range(3)]
    covered, by_images = [], []
    for n in range(250):
        hardness = rng.standard_normal(10_000)
        groups = [
            finals(one, table(rng, truth, 1, 10_000, hardness, seed_sd=seed_sd))
            for one, truth in zip(networks, truths, strict=True)
        ]
        spread = spread_by_seed([t for group in groups for t in group])
        made = compare(groups[0], groups[1], seed=n, by_seed=spread)
        covered.append(made.low <= truths[0] - truths[1] <= made.high)
        alone = compare(groups[0], groups[1], seed=n, by_seed=Spread(0.0, 0.0, 0))
        by_images.append(alone.low <= truths[0] - truths[1] <= alone.high)
    assert 0.92 <= np.mean(covered) <= 0.995
    assert np.mean(by_images) < 0.88


def test_nothing_is_assumed_before_the_finals():
    assert spread_by_seed([]) == Spread(0.0, 0.0, 0)


def test_one_seed_each_leaves_the_seeds_in_doubt(candidate):
    one = finals(candidate(0, "draw:0", "depth"), rows(1000, 50, seeds=1))
    two = finals(candidate(1, "draw:1", "depth"), rows(1000, 70, seeds=1))
    by_images, by_both = compare(one, two), compare(one, two, by_seed=Spread(0.02**2, 0.02**2, 1_000))
    assert by_images.probability > 0.99
    assert by_both.probability == pytest.approx(norm.cdf(0.02 / math.hypot(0.0044, math.sqrt(2) * 0.02)), abs=0.03)
    assert by_both.high - by_both.low > 2 * (by_images.high - by_images.low)


def test_the_spread_that_is_assumed_is_that_of_other_trainings(candidate):
    """Of the benchmarks with several seeds, over the deviation of a single image's answer."""
    results, found = Path(__file__).parents[2] / "benchmarks" / "results", {}
    for name in ("blocks", "recipe", "regularisation"):
        arms = defaultdict(list)
        for line in (results / f"{name}.ndjson").read_text().splitlines():
            row = json.loads(line)
            if "accuracy" in row:
                arms[row["arm"]].append(row["accuracy"])
        several = [values for values in arms.values() if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        variance = sum((len(values) - 1) * np.var(values, ddof=1) / (np.mean(values) * (1 - np.mean(values)))
                       for values in several) / freedom  # fmt: skip
        found[name] = math.sqrt(variance)
    assert found["blocks"] == pytest.approx(0.021, abs=0.0015)
    assert 0.012 <= min(found["recipe"], found["regularisation"]) <= max(found.values()) <= 0.0225
    assumed = spread_by_seed(finals(candidate(0, "draw:0", "depth"), rows(1000, 500, seeds=1)))
    assert assumed.deviation / 0.5 == pytest.approx(found["blocks"], rel=0.1)
