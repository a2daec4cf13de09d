from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.data import Images, Split, open_images, split_images
from convsmith.errors import DataError

DIGITS = open_images("digits")


def images_of(labels: list[int], declared: list[str | None] | None = None, groups: list[int] | None = None) -> Images:
    count = len(labels)
    return replace(
        DIGITS,
        labels=np.array(labels, np.int64),
        classes=tuple(f"class {label}" for label in range(max(labels) + 1)),
        declared=tuple(declared or [None] * count),
        groups=np.array(groups if groups else range(count), np.int64),
    )


def parts(split: Split) -> dict[str, list[int]]:
    return {"train": split.train.tolist(), "select": split.select.tolist(), "test": split.test.tolist()}


@pytest.mark.slow
@given(
    st.lists(st.integers(3, 60), min_size=2, max_size=5),
    st.integers(0, 2**40),
    st.floats(0.01, 0.45),
    st.floats(0.01, 0.45),
)
def test_split_is_a_stratified_deterministic_partition(
    counts: list[int], seed: int, select: float, test: float
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).tolist()
    images = images_of(labels)
    split = split_images(images, seed=seed, select=select, test=test)
    assert sorted(chain(*parts(split).values())) == list(range(len(labels)))
    for label, count in enumerate(counts):
        of_class = {name: sum(labels[index] == label for index in indices) for name, indices in parts(split).items()}
        assert min(of_class.values()) >= 1
        for name, fraction in (("select", select), ("test", test)):
            assert abs(of_class[name] - fraction * count) <= 1
    for indices in (split.train, split.select, split.test):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
    assert parts(split_images(images, seed=seed, select=select, test=test)) == parts(split)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=40, max_size=120), st.integers(0, 99))
def test_equal_pixels_never_straddle(rows: list[tuple[int, int]], seed: int) -> None:
    labels = [label for label, _ in rows] + [0, 1, 2] * 5  # groups may hold two classes: mislabelled twins
    groups = [group for _, group in rows] + list(range(100, 115))
    first = {group: groups.index(group) for group in groups}
    groups = [first[group] for group in groups]
    split = split_images(images_of(labels, groups=groups), seed=seed)
    sides = [{groups[index] for index in indices} for indices in parts(split).values()]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert all(sides)


def test_one_large_group_goes_to_train_and_no_part_stays_empty() -> None:
    groups = [0] * 30 + list(range(30, 36)) + list(range(36, 46))
    split = split_images(images_of([0] * 36 + [1] * 10, groups=groups), seed=1)
    assert set(range(30)) <= set(split.train.tolist())
    thrice = split_images(images_of([0] * 9 + [1] * 9, groups=[0, 0, 0, 3, 3, 3, 6, 6, 6, *range(9, 18)]), seed=1)
    assert all(min(indices) < 9 for indices in parts(thrice).values())


def test_seeds_differ_and_a_class_is_split_whatever_other_classes_do() -> None:
    a = split_images(DIGITS, seed=0)
    assert parts(a) != parts(split_images(DIGITS, seed=1))
    assert len(a.train) == pytest.approx(0.65 * 1797, abs=10)
    twins = split_images(images_of([0] * 20 + [1] * 20), seed=3).test.tolist()
    assert twins[:4] != [index - 20 for index in twins[4:]]
    few = split_images(images_of([0] * 20 + [1] * 5), seed=3)
    many = split_images(images_of([0] * 20 + [1] * 50), seed=3)
    assert [i for i in few.test if i < 20] == [i for i in many.test if i < 20]


def test_declared_splits_are_honoured() -> None:
    labels = [0, 1] * 30
    declared = ["train"] * 40 + ["val"] * 8 + ["test"] * 12
    split = split_images(images_of(labels, declared), seed=0)
    assert parts(split) == {"train": list(range(40)), "select": list(range(40, 48)), "test": list(range(48, 60))}


def test_the_digest_of_a_split_says_which_images_are_for_what() -> None:
    def digest(train: list[int], select: list[int], test: list[int]) -> str:
        return Split(*(np.array(part, np.int64) for part in (train, select, test))).digest

    same, *others = (
        digest([0, 1], [2], [3]), digest([0, 2], [1], [3]), digest([0, 1], [2, 3], []), digest([0, 1, 2], [], [3])
    )  # fmt: skip
    assert same == digest([0, 1], [2], [3])
    assert len({same, *others}) == 4


def test_what_is_not_declared_is_cut_from_train() -> None:
    labels = [0, 1] * 30
    without_val = split_images(images_of(labels, ["train"] * 40 + ["test"] * 20), seed=0)
    assert without_val.test.tolist() == list(range(40, 60))
    assert len(without_val.select) == 6
    assert without_val.select.max() < 40
    without_test = split_images(images_of(labels, [None] * 20 + ["train"] * 20 + ["val"] * 20), seed=0)
    assert without_test.select.tolist() == list(range(40, 60))
    assert len(without_test.test) == 8
    assert without_test.test.max() < 40


@pytest.mark.parametrize("count", [1, 2])
def test_small_classes_are_named_with_their_count(count: int) -> None:
    with pytest.raises(DataError, match=rf"class 'class 1' needs at least 3 usable images \(received {count}\)"):
        split_images(images_of([0] * 9 + [1] * count), seed=0)


def test_too_few_different_images_for_the_cuts() -> None:
    with pytest.raises(
        DataError, match=r"'class 1' has too few different images for train, test, select \(received 2\)"
    ):
        split_images(images_of([0] * 5 + [1] * 5, groups=[0, 1, 2, 3, 4, 5, 5, 5, 5, 9]), seed=0)
    with pytest.raises(DataError, match=r"'class 1' has too few different images for train \(received 0\)"):
        split_images(images_of([0] * 5 + [1] * 3, ["train"] * 3 + ["val", "test"] + ["val"] * 2 + ["test"]), seed=0)


@pytest.mark.parametrize(("select", "test"), [(0, 0.2), (0.2, 0), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)])
def test_impossible_fractions(select: float, test: float) -> None:
    with pytest.raises(DataError, match="fractions"):
        split_images(DIGITS, seed=0, select=select, test=test)
