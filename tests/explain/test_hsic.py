"""CKA against its definition as a sum over quadruples of different images, written as a plain loop."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.explain.hsic import batch_sizes, cka, gram, hsic
from convsmith.explain.stages import contrast

RANDOM = np.random.default_rng(0)


def by_quadruples(first, second):
    """The U-statistic of the criterion (Song et al. 2012, theorem 3), over all ordered quadruples of indices."""
    a, b = first @ first.T, second @ second.T
    rows = list(permutations(range(len(first)), 4))
    return np.mean([a[i, j] * b[i, j] + a[i, j] * b[q, r] - 2 * a[i, j] * b[i, q] for i, j, q, r in rows])


def table(*layers):
    return hsic(np.stack([gram(layer) for layer in layers]))


def test_the_criterion_is_the_mean_over_quadruples_of_images():
    layers = [RANDOM.normal(5, 3, (7, size)) for size in (3, 10, 4)]
    layers[2] = layers[0] @ RANDOM.normal(size=(3, 4))
    found = table(*layers)
    for i in range(3):
        for j in range(3):
            assert found[i, j] == pytest.approx(by_quadruples(layers[i], layers[j]), rel=1e-9, abs=1e-9)


def test_batches_have_the_expectation_of_the_whole():
    """The mean over all batches of four out of seven images is that of the seven: the estimate has no bias."""
    layers = [RANDOM.normal(size=(7, 6)), RANDOM.normal(size=(7, 5))]
    batches = [table(*(layer[list(some)] for layer in layers)) for some in combinations(range(7), 4)]
    np.testing.assert_allclose(np.mean(batches, axis=0), table(*layers), rtol=1e-9)


def test_cka_ignores_rotation_scale_and_shift_and_sees_other_maps():
    first = RANDOM.normal(size=(40, 6))
    turned = 3 * first @ np.linalg.qr(RANDOM.normal(size=(6, 6)))[0] + 7
    squashed = first @ np.diag([9, 1, 1, 1, 1, 0.1])
    found = cka(table(first, turned, squashed))
    assert found[0, 1] == pytest.approx(1, abs=1e-9)
    assert found[0, 2] < 0.8
    np.testing.assert_allclose(np.diagonal(found), 1, rtol=1e-12)


def test_layers_that_have_nothing_in_common_are_near_zero_where_the_plain_estimate_is_near_one():
    first, second = RANDOM.normal(size=(32, 5000)), RANDOM.normal(size=(32, 5000))
    grams = [rows @ rows.T for rows in (first - first.mean(0), second - second.mean(0))]
    plain = np.sum(grams[0] * grams[1]) / np.sqrt(np.sum(grams[0] ** 2) * np.sum(grams[1] ** 2))
    assert plain > 0.9
    tables = [table(RANDOM.normal(size=(32, 50)), RANDOM.normal(size=(32, 50))) for _ in range(50)]
    assert abs(cka(np.mean(tables, axis=0))[0, 1]) < 0.02


def test_a_layer_that_does_not_vary_has_no_similarity_and_spoils_no_other():
    alive = RANDOM.normal(size=(8, 4))
    constant = np.full((8, 30), np.float32(123.456)) + np.float32(0)
    found = cka(table(alive, constant, alive))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert found[0, 2] == pytest.approx(1)


@given(st.integers(4, 400), st.integers(1, 64))
def test_batches_hold_every_image_once_and_none_is_too_small(images, batch):
    sizes = batch_sizes(images, batch)
    assert sum(sizes) == images
    assert min(sizes) >= 4
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch, 7)


def blocks(noise, batches=20):
    """Criteria of two stages of three layers: one signal each, and so much of their own."""
    made = []
    for _ in range(batches):
        signals = RANDOM.normal(size=(2, 16, 4))
        made.append(table(*(signals[stage] + noise * RANDOM.normal(size=(16, 4)) for stage in (0, 0, 0, 1, 1, 1))))
    return np.stack(made)


STAGES = ["stage1"] * 3 + ["stage2"] * 3


def test_the_claim_is_seen_where_it_is_true_and_its_interval_holds_the_figure():
    found = contrast(blocks(0.5), STAGES, seed=0)
    assert found.within > 0.5
    assert abs(found.between) < 0.1
    low, high = found.interval
    assert 0 < low < found.difference < high
    assert found.at_same_distance_interval[0] > 0.3


def test_the_claim_is_not_seen_where_layers_do_not_follow_the_stages():
    names = ["stage1", "stage1", "stage2", "stage1", "stage2", "stage2"]
    found = contrast(blocks(0.5), names, seed=0)
    assert found.interval[0] < 0
    assert found.at_same_distance < 0.2
    alternating = contrast(blocks(0.5), ["stage1", "stage2"] * 3, seed=0)
    assert alternating.at_same_distance is None  # one kind of pairs at every distance


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_chain_that_forgets_evenly_has_no_border(seed):
    """CKA that falls with distance alone: within is more alike than between, at the same distance it is not."""
    similar = 0.8 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    found = contrast(np.repeat(similar[None], 9, axis=0), STAGES, seed=seed)
    assert found.difference > 0.2
    assert found.at_same_distance == pytest.approx(0, abs=1e-12)


def test_without_stages_or_batches_nothing_is_claimed():
    assert contrast(blocks(0.5), ["stage1"] * 6, seed=0) is None
    assert contrast(blocks(0.5), [""] * 6, seed=0) is None
    assert contrast(blocks(0.5, batches=3), STAGES, seed=0).interval is None
