from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score
from sklearn.metrics import log_loss as sklearn_log_loss

from convsmith.training import metrics


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 2, (400, 5)) + 2.5 * np.eye(5)[labels]
    return logits.astype(np.float32), labels


def test_the_metrics_agree_with_scikit_learn(scored: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = scored
    predicted = logits.argmax(axis=1)
    exponentials = np.exp(logits.astype(np.float64))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    confused = metrics.confusion(logits, labels)
    assert metrics.accuracy(logits, labels) == accuracy_score(labels, predicted)
    assert metrics.log_loss(logits, labels) == pytest.approx(sklearn_log_loss(labels, probabilities), rel=1e-12)
    assert np.array_equal(confused, confusion_matrix(labels, predicted))
    assert metrics.recalls(confused) == pytest.approx(recall_score(labels, predicted, average=None))


def test_log_loss_is_finite_where_a_probability_underflows() -> None:
    assert metrics.log_loss(np.array([[0.0, 2000.0]]), np.array([0])) == pytest.approx(2000.0)


def test_a_class_without_images_has_no_recall() -> None:
    found = metrics.recalls(metrics.confusion(np.eye(3)[[0, 0]], np.array([0, 1])))
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(correct: int, n: int, low: float, high: float) -> None:
    assert metrics.wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.slow
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_in_the_unit_interval_around_the_share(pair: tuple[int, int]) -> None:
    low, high = metrics.wilson(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1.0


def test_calibration_of_a_hand_made_table() -> None:
    # Two images at confidence 0.89, one right; two at 0.61, both right: 0.5 |0.89 - 0.5| + 0.5 |0.61 - 1| = 0.39
    logits = np.log([[0.89, 0.11], [0.89, 0.11], [0.61, 0.39], [0.39, 0.61]])
    found = metrics.calibration(logits, np.array([0, 1, 0, 1]))
    assert found.error == pytest.approx(0.39)
    rows = [(row.low, row.high, row.count, row.confidence, row.accuracy) for row in found.bins]
    np.testing.assert_allclose(rows, [(0.6, 0.7, 2, 0.61, 1.0), (0.8, 0.9, 2, 0.89, 0.5)])
