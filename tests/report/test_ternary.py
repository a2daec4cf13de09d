"""Shares become places on the map, and names do not cover each other there."""

from __future__ import annotations

import itertools
import math

import pytest

from convsmith.report.ternary import CORNERS, bounds, place, place_labels


def test_corners_and_middle():
    for axis, corner in CORNERS.items():
        assert place({name: float(name == axis) for name in CORNERS}) == pytest.approx(corner)
    middle = place(dict.fromkeys(CORNERS, 1 / 3))
    assert len({round(math.dist(middle, corner), 9) for corner in CORNERS.values()}) == 1


def test_the_distance_to_a_side_is_the_share_even_below_zero():
    height = math.sqrt(3) / 2
    for depth in (-0.5, 0.0, 0.25, 1.3):
        assert place({"depth": depth, "width": 0.4, "resolution": 0.6 - depth})[1] == pytest.approx(depth * height)


def test_names_of_one_place_are_joined_and_the_others_stand_apart():
    names = [((0.5, 0.3), "first"), ((0.5, 0.3), "second"), ((0.55, 0.3), "third"), ((0.5, 0.33), "fourth")]
    labels = [label for label in place_labels(names, [at for at, _ in names]) if label.side != (0, 0)]
    assert [label.text for label in labels] == ["first, second", "third", "fourth"]
    assert len({(label.at, label.side) for label in labels}) == 3
    right = [label for label in labels if label.side == (1, 0)]
    assert all(
        abs(a.at[1] - b.at[1]) > 0.02 or abs(a.at[0] - b.at[0]) > 0.1 for a, b in itertools.combinations(right, 2)
    )


def test_a_name_does_not_cover_a_dot_if_there_is_room():
    names, dots = [((0.5, 0.3), "name")], [(0.5, 0.3), (0.56, 0.3)]
    (label,) = (label for label in place_labels(names, dots) if label.text == "name")
    assert label.side != (1, 0)


def test_everything_lies_within_the_bounds():
    dots = [(-0.4, -0.5), (1.4, 0.2)]
    labels = place_labels([((1.4, 0.2), "a name of some length")], dots)
    (left, right), (bottom, top) = bounds(dots, labels)
    for x, y in [*dots, *CORNERS.values(), *(label.at for label in labels)]:
        assert left < x < right
        assert bottom < y < top
