"""Channels compared and restored, against numpy's own correlation and least squares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.explain.ghost import ghostable
from convsmith.explain.moments import Moments, alike, sample_places, samples
from convsmith.explain.points import Point


def gathered(rows, parts=3):
    moments = Moments(rows.shape[1])
    for part in np.array_split(rows, parts):
        moments.add(part)
    return moments


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 5), st.floats(-1e4, 1e4))
def test_moments_of_parts_are_those_of_the_whole(seed, count, channels, shift):
    rows = np.random.default_rng(seed).normal(size=(count, channels)) + shift
    moments = gathered(rows, 2)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True).reshape(channels, channels), atol=1e-8)
    both = gathered(rows[: count // 2], 1).merged(gathered(rows[count // 2 :], 1))
    np.testing.assert_allclose(both.covariance, moments.covariance, atol=1e-8)


def test_channels_that_are_alike_are_grouped_up_to_their_sign_and_dead_ones_are_named():
    random = np.random.default_rng(1)
    free = random.normal(size=(500, 3))
    rows = np.column_stack([free[:, 0], free[:, 1], -2 * free[:, 0] + 5, np.full(500, 4.0), free[:, 2], free[:, 1] * 3])
    found = alike(gathered(rows))
    assert found.dead == (3,)
    assert found.groups[0] == found.groups[2]
    assert found.groups[1] == found.groups[5]
    assert len({found.groups[0], found.groups[1], found.groups[4]}) == 3
    assert found.redundant == 2
    alive = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(found.correlation[np.ix_(alive, alive)], np.corrcoef(rows[:, alive].T), atol=1e-9)
    assert not found.correlation[3].any()
    assert {frozenset(pair[:2]) for pair in found.pairs(2)} == {frozenset((0, 2)), frozenset((1, 5))}
    place = {channel: at for at, channel in enumerate(found.order.tolist())}
    assert abs(place[0] - place[2]) == abs(place[1] - place[5]) == 1
    assert sorted(found.order) == list(range(6))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_few_or_only_dead_channels_give_no_nan(channels):
    found = alike(gathered(np.full((20, channels), 2.5)))
    assert np.isfinite(found.correlation).all()
    assert found.mean is None
    assert found.dead == tuple(range(channels))


def test_samples_are_the_channels_at_the_drawn_places():
    values = np.arange(2 * 3 * 20 * 20).reshape(2, 3, 20, 20).astype(np.float32)
    places = sample_places(20, 20, np.random.default_rng(0))
    assert len(set(places.tolist())) == 64
    found = samples(values, places)
    expected = [[values[image, channel].flat[place] for channel in range(3)] for image in range(2) for place in places]
    np.testing.assert_array_equal(found, expected)
    assert sample_places(8, 8, np.random.default_rng(0)).tolist() == list(range(64))


def layer(channels, macs=9216):
    return Point("layer", "layer", "layer", "stage1", "stage", (channels, 4, 4), macs)


def restored(train, test):
    return ghostable(layer(train.shape[1]), gathered(train), gathered(test))


def drawn(seed, mixing, count=4000):
    return np.random.default_rng(seed).normal(size=(count, len(mixing))) @ mixing


def test_channels_that_follow_linearly_from_half_of_them_are_restored_whole():
    mixing = np.column_stack([np.eye(4), np.random.default_rng(5).normal(size=(4, 4))])
    found = restored(drawn(0, mixing), drawn(1, mixing))
    assert found.restored == pytest.approx(1, abs=1e-6)
    assert 0.2 < found.restored_single < 0.95
    twins = np.column_stack([np.eye(4), np.diag([3, -2, 0.5, 1])])
    assert restored(drawn(0, twins), drawn(1, twins)).restored_single == pytest.approx(1, abs=1e-6)


def test_channels_with_nothing_in_common_are_not_restored():
    found = restored(drawn(0, np.eye(8)), drawn(1, np.eye(8)))
    assert found.restored < 0.02
    assert found.restored_single < 0.02


def test_fitting_more_channels_than_there_are_samples_gives_no_gift():
    few = restored(drawn(0, np.eye(40), count=25), drawn(1, np.eye(40), count=4000))
    assert few.restored < 0.05


def test_the_restored_share_is_that_of_least_squares_on_other_samples():
    random = np.random.default_rng(7)
    mixing = random.normal(size=(3, 6))
    train, test = (drawn(seed, mixing) + random.normal(size=(4000, 6)) + 3 for seed in (0, 1))
    found = restored(train, test)
    best = 0.0
    for kept in ([a, b, c] for a in range(6) for b in range(a) for c in range(b)):
        left = [channel for channel in range(6) if channel not in kept]
        design = np.column_stack([train[:, kept], np.ones(len(train))])
        factors = np.linalg.lstsq(design, train[:, left], rcond=None)[0]
        missed = test[:, left] - np.column_stack([test[:, kept], np.ones(len(test))]) @ factors
        share = 1 - (missed**2).sum() / ((test[:, left] - test[:, left].mean(0)) ** 2).sum()
        if share == pytest.approx(found.restored, abs=1e-6):
            break
        best = max(best, share)
    else:
        pytest.fail(f"no choice of channels gives {found.restored}, the best {best}")


def test_what_is_saved_are_the_channels_less_the_map():
    found = restored(drawn(0, np.eye(8)), drawn(1, np.eye(8)))
    assert found.kept == 4
    assert found.macs_saved == 9216 // 2 - 16 * 4 * 4
    assert found.macs_saved_single == 9216 // 2 - 16 * 4
    odd = ghostable(layer(5, 5000), gathered(drawn(0, np.eye(5))), gathered(drawn(1, np.eye(5))))
    assert (odd.kept, odd.macs_saved) == (3, 2000 - 16 * 3 * 2)


def test_dead_channels_cost_nothing_and_give_no_nan():
    rows = np.column_stack([drawn(0, np.eye(3)), np.zeros((4000, 3))])
    found = restored(rows, rows)
    assert found.restored is None
    assert restored(np.zeros((50, 4)), np.zeros((50, 4))).restored is None
