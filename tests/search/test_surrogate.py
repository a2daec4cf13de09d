from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from convsmith.scaling import Limits
from convsmith.scaling.axes import Factors, scale, with_resolution
from convsmith.search.space import Space, make_field
from convsmith.search.surrogate import Surrogate, matern
from tests.search.power_law import FULL, log_loss, trained

EARLY = 20_000
"""Images before depth and parameters are thought to tell."""


@pytest.fixture(scope="module")
def networks():
    space = Space(Limits(macs=1_000_000), channels=3, native=32, classes=10)
    return make_field(space, 60, seed=3).candidates


@pytest.mark.slow
def test_networks_never_trained_are_ranked(networks):
    seen, unseen = networks[:30], networks[30:]
    rng = np.random.default_rng(0)
    done = [trained(one, FULL, log_loss(one, FULL) * math.exp(0.02 * rng.standard_normal())) for one in seen]
    made = Surrogate(done, FULL)
    mean, covariance = made.predict(unseen)
    truth = np.log([log_loss(one, FULL) for one in unseen])
    assert spearmanr(mean, truth).statistic > 0.9
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.4 * np.std(truth)
    off = (mean - truth) / np.sqrt(np.diag(covariance))
    assert np.mean(np.abs(off) < 2) > 0.8
    assert made.expected(unseen) == pytest.approx(dict(zip([c.key for c in unseen], np.exp(mean), strict=True)))


def later_from_sooner(networks, loss):
    """How well the rank after a full training is told by the loss after a tenth of it, and by what is expected."""
    short = FULL // 10
    early, late = ([loss(one, images) for one in networks] for images in (short, FULL))
    done = [trained(one, short, value) for one, value in zip(networks, early, strict=True)]
    done += [trained(one, 4 * short, loss(one, 4 * short)) for one in networks[::6]]
    found = Surrogate(done, FULL).expected(networks)
    return [spearmanr(values, late).statistic for values in (early, list(found.values()))]


def test_what_short_trainings_rank_wrongly_is_seen_from_a_few_longer_ones(networks):
    """Deep networks end lower but learn more slowly: the rank at a tenth of the length is no guide."""
    early, expected = later_from_sooner(networks, lambda one, images: log_loss(one, images, slow=-0.15))
    assert expected > max(early + 0.1, 0.9)


def test_a_family_that_is_ahead_only_in_short_trainings_is_seen_from_a_few_longer_ones(networks):
    def loss(one, images):
        inverted = one.design.stage[0].block == "inverted_residual"
        return log_loss(one, images) * (images / FULL) ** (0.2 if inverted else 0.0)

    early, expected = later_from_sooner(networks, loss)
    assert expected > max(early + 0.1, 0.9)


def test_what_is_ahead_only_in_short_trainings_is_known_before_there_is_a_longer_one(networks):
    """Depthwise convolutions and low resolution, where networks end as near to each other as real ones do."""

    def loss(one, images):
        speed = 0.03 * (one.design.stage[-1].block == "inverted_residual") - 0.05 * math.log2(one.design.input[1] / 32)
        return log_loss(one, EARLY) ** 0.15 * (images / EARLY) ** (speed - 0.3)

    short = EARLY // 40
    early, late = ([loss(one, images) for one in networks] for images in (short, EARLY))
    done = [trained(one, short, value) for one, value in zip(networks, early, strict=True)]
    expected = list(Surrogate(done, EARLY).expected(networks).values())
    assert spearmanr(early, late).statistic < 0.75
    assert spearmanr(expected, late).statistic > 0.85


def test_deep_and_large_networks_are_expected_to_gain_most_from_long_training(networks):
    dense = [one for one in networks if all(stage.block == "residual" for stage in one.design.stage)]
    base = dense[0]
    deep = dataclasses.replace(base, key="deep", design=scale(base.design, Factors(depth=2)))
    large = dataclasses.replace(base, key="large", params=4 * base.params)
    for better in (deep, large):
        done = [trained(one, EARLY, 1.0) for one in (*dense, better)]
        soon, late, later = (Surrogate(done, end).expected([base, better]) for end in (EARLY, 180_000, 1_000_000))
        assert soon[better.key] == pytest.approx(soon[base.key], rel=1e-3)
        assert late[better.key] < 0.99 * late[base.key]
        assert later[better.key] / later[base.key] == pytest.approx(late[better.key] / late[base.key], rel=1e-3)


def test_pixels_beyond_those_of_the_images_are_not_thought_to_teach_more(networks):
    dense = [one for one in networks if all(stage.block == "residual" for stage in one.design.stage)]
    least, *_, most = sorted(dense, key=lambda one: one.design.input[1])
    done = [trained(one, EARLY // 10, 1.0) for one in dense]
    seen = Surrogate(done, EARLY).expected([least, most])
    assert seen[most.key] < 0.97 * seen[least.key]
    alike = Surrogate(done, EARLY, side=least.design.input[1]).expected([least, most])
    assert alike[most.key] == pytest.approx(alike[least.key], rel=1e-6)


def test_what_higher_resolution_was_worth_is_not_carried_beyond_the_images(networks):
    done = [trained(one, FULL, log_loss(one, FULL) / math.log(one.design.input[1])) for one in networks[:40]]
    inside, beyond = (
        dataclasses.replace(networks[-1], key=key, design=with_resolution(networks[-1].design, side, side))
        for key, side in (("inside", 32), ("beyond", 64))
    )
    found = Surrogate(done, FULL, side=32).expected([inside, beyond])
    assert found["beyond"] == pytest.approx(found["inside"], rel=1e-9)
    assert Surrogate(done, FULL).expected([beyond])["beyond"] < 0.99 * found["inside"]


def test_noise_is_smoothed_over_what_networks_have_in_common(networks):
    truth = np.array([log_loss(one, FULL) for one in networks])
    gains = []
    for seed in range(5):
        noisy = truth * np.exp(0.2 * np.random.default_rng(seed).standard_normal(len(truth)))
        done = [trained(one, FULL, loss) for one, loss in zip(networks, noisy, strict=True)]
        found = [*Surrogate(done, FULL).expected(networks).values()]
        gains.append(spearmanr(found, truth).statistic - spearmanr(noisy, truth).statistic)
    assert np.mean(gains) > 0.04
    assert min(gains) > 0


def test_proposals_are_good_different_and_repeatable(networks):
    seen, pool = networks[:30], networks[30:]
    made = Surrogate([trained(one, FULL, log_loss(one, FULL)) for one in seen], FULL)
    found = made.propose(pool, 6, seed=1)
    assert len({one.key for one in found}) == 6
    assert found == made.propose(pool, 6, seed=1)
    truth = sorted(log_loss(one, FULL) for one in pool)
    assert np.mean([log_loss(one, FULL) for one in found]) < truth[len(truth) // 3]
    assert made.propose(pool[:2], 6, seed=1) in ([pool[0], pool[1]], [pool[1], pool[0]])
    assert made.propose([], 3, seed=1) == []


def test_failed_trainings_and_networks_that_are_all_alike_do_no_harm(networks):
    failed = trained(networks[0], FULL, math.inf)
    done = [failed, *(trained(networks[1], FULL, 0.5) for _ in range(8))]
    assert Surrogate(done, FULL).expected(networks[1:2])[networks[1].key] == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("length", [0.5, 2.0])
def test_the_kernel_is_that_of_scikit_learn(length):
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    assert matern(a, b, length) == pytest.approx(Matern(length, nu=2.5)(a, b))


def test_what_is_a_networks_own_is_told_from_chance_by_a_second_training(networks):
    rng = np.random.default_rng(0)
    own = 0.1 * rng.standard_normal(len(networks))
    law = np.log([log_loss(one, FULL) for one in networks])
    done = [
        trained(one, images, log_loss(one, images) * math.exp(value + 0.05 * rng.standard_normal()))
        for one, value in zip(networks, own, strict=True)
        for images in (FULL // 4, FULL)
    ]
    found = np.log([*Surrogate(done, FULL).expected(networks).values()])
    assert 0.6 < np.polyfit(own, found - law, 1)[0] < 1


def test_networks_of_another_budget_say_which_shapes_are_good(networks):
    """Half as good again is told from what a budget changes by a few trainings of its own."""
    space = Space(Limits(macs=2_000_000), channels=3, native=32, classes=10)
    larger = make_field(space, 60, seed=4).candidates
    there = [trained(one, FULL, log_loss(one, FULL)) for one in larger]
    here = [trained(one, FULL, 1.5 * log_loss(one, FULL)) for one in networks[:8]]
    unseen, truth = networks[8:], [log_loss(one, FULL) for one in networks[8:]]
    alone = Surrogate(here, FULL).expected(unseen)
    both = Surrogate([*there, *here], FULL, budgets=True).expected(unseen)
    ranks = [spearmanr([found[one.key] for one in unseen], truth).statistic for found in (alone, both)]
    assert ranks[1] > max(0.9, ranks[0])
    assert np.median([both[one.key] for one in unseen]) == pytest.approx(1.5 * np.median(truth), rel=0.1)
