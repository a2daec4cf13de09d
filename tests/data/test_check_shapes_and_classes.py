"""Odd sizes and shapes, and how even the classes are, against plain loops."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from convsmith.data.checks.balance import count_classes
from convsmith.data.checks.shapes import odd_shapes, odd_sizes


def arrays(sizes):
    return (np.array(column, np.int64) for column in zip(*sizes, strict=True))


def test_odd_sizes_and_shapes_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    usual = [tuple(random.integers(20, 60, 2).tolist()) for _ in range(50)]
    sizes = [*usual, (8, 9), (200, 190), (6, 200), *[(0, 0)] * 60]
    real = [size for size in sizes if all(size)]
    middle = statistics.median(math.sqrt(height * width) for height, width in real)
    shape = statistics.median(max(size) / min(size) for size in real)
    wanted = [bool(h * w) and not middle / 4 <= math.sqrt(h * w) <= middle * 4 for h, w in sizes]
    assert odd_sizes(*arrays(sizes)).tolist() == wanted
    assert wanted[50:54] == [True, True, False, False]
    wanted = [bool(h * w) and not shape / 2 <= max(h, w) / min(h, w) <= shape * 2 for h, w in sizes]
    assert odd_shapes(*arrays(sizes)).tolist() == wanted
    assert wanted[50:54] == [False, False, True, False]


def test_lying_and_standing_photographs_are_of_one_shape():
    assert not odd_shapes(*arrays([(300, 400)] * 9 + [(400, 300)])).any()


def test_a_square_among_long_ones_is_odd():
    assert odd_shapes(*arrays([(10, 50)] * 9 + [(20, 20)])).tolist() == [False] * 9 + [True]


@pytest.mark.parametrize("sizes", [[(0, 0)], [(0, 0), (5, 5)]])
def test_what_has_no_size_is_not_odd(sizes):
    assert not odd_sizes(*arrays(sizes)).any()
    assert not odd_shapes(*arrays(sizes)).any()


def test_classes_are_counted_by_split():
    labels = np.array([0, 0, 0, 1, 1, 3, 0])
    declared = ["train", "train", "test", "train", None, "val", "train"]
    found = count_classes(labels, declared, ["a", "b", "empty", "d"])
    assert found.splits == ("train", "val", "test", "undeclared")
    for row, name in enumerate(found.classes):
        for column, split in enumerate(found.splits):
            pairs = zip(labels, declared, strict=True)
            wanted = sum(found.classes[label] == name and (one or "undeclared") == split for label, one in pairs)
            assert found.counts[row, column] == wanted
    assert found.totals.tolist() == [4, 2, 0, 1]
    assert found.ratio == 4
    assert found.majority == 4 / 7
    assert ("a", "val") in found.missing
    assert ("d", "train") in found.missing
    assert not any(name == "empty" for name, _ in found.missing)


def test_effective_classes_are_e_to_the_entropy():
    found = count_classes(np.array([0] * 6 + [1] * 3 + [2]), [None] * 10, ["a", "b", "c"])
    assert found.effective_classes == pytest.approx(math.exp(-sum(p * math.log(p) for p in (0.6, 0.3, 0.1))))
    even = count_classes(np.arange(5), [None] * 5, list("abcde"))
    assert even.effective_classes == pytest.approx(5)
    assert (even.ratio, even.missing, even.splits) == (1, (), ("undeclared",))
