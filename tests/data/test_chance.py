from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from convsmith.data.chance import Draws, Purpose, epoch_order, uniform


def splitmix(state: int) -> int:
    """The finaliser of SplitMix64 in plain integers."""
    word = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & word
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & word
    return state ^ (state >> 31)


@given(
    st.integers(0, 2**63 - 1),
    st.integers(-(2**40), 2**70),
    st.integers(0, 2**31),
    st.sampled_from(Purpose),
    st.integers(0, 100),
)
def test_draws_are_splitmix_of_what_they_are_for(
    sample: int, seed: int, epoch: int, purpose: Purpose, turn: int
) -> None:
    word, gamma = 2**64 - 1, 0x9E3779B97F4A7C15
    key = 0
    for part in (seed, epoch, purpose + turn * 2**32):
        key = splitmix((key + part + gamma) & word)
    expected = splitmix((splitmix((key + sample * gamma) & word) + gamma) & word)
    found = uniform(np.array([sample]), seed=seed, epoch=epoch, purpose=purpose, turn=turn)
    assert found[0] == (expected >> 11) / 2**53


def test_draws_are_uniform_and_purposes_turns_epochs_and_samples_unrelated() -> None:
    ids = np.arange(20_000)
    columns = [
        uniform(ids, seed=seed, epoch=epoch, purpose=purpose, turn=turn)
        for seed in (0, 1)
        for epoch in (0, 1)
        for purpose in (Purpose.SHIFT_X, Purpose.SHIFT_Y)
        for turn in (0, 1)
    ]
    for column in columns:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 0.03
    correlations = np.corrcoef(columns)
    assert np.abs(correlations - np.eye(len(columns))).max() < 0.03


def test_a_purpose_has_its_own_number() -> None:
    assert len({purpose.value for purpose in Purpose}) == len(Purpose.__members__)


def test_integers_below_and_numbers_within_are_even_in_their_range() -> None:
    draws = Draws(np.arange(20_000), 3, 4)
    whole = draws.below(7, Purpose.SHIFT_X)
    assert stats.chisquare(np.bincount(whole, minlength=7)).pvalue > 1e-4
    assert set(whole) == set(range(7))
    assert stats.kstest(draws.within(2.5, Purpose.HUE), "uniform", (-2.5, 5.0)).pvalue > 1e-4
    np.testing.assert_array_equal(draws.within(0.0, Purpose.HUE), np.zeros(20_000))


@given(st.integers(0, 300), st.integers(0, 2**40), st.integers(0, 1000))
def test_epoch_order_is_a_permutation_that_returns(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, epoch_order(count, seed, epoch))


def test_epoch_order_moves_with_seed_and_epoch_and_favours_no_place() -> None:
    orders = np.array([epoch_order(10, seed, epoch) for seed in range(60) for epoch in range(60)])
    assert len(np.unique(orders, axis=0)) > 3500
    counts = np.bincount(orders[:, 0], minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-4
