"""The map of shares in characters."""

from __future__ import annotations

import pytest

from convsmith.report.ternary import place
from convsmith.report.ternary_text import draw_map


def spot(lines, mark):
    """Row and column of the only such mark."""
    ((row, column),) = [(r, c) for r, line in enumerate(lines[1:-1]) for c, one in enumerate(line) if one == mark]
    return row, column


def marked(**shares):
    return spot(draw_map([(place({"depth": 0.0, "width": 0.0, "resolution": 0.0} | shares), "*")]), "*")


def test_each_corner_has_its_name_beside_it():
    lines = draw_map([])
    assert lines[0].strip() == "depth"
    assert lines[-1].split() == ["width", "resolution"]
    assert {len(line) for line in lines} == {33}
    top, left, right = marked(depth=1.0), marked(width=1.0), marked(resolution=1.0)
    assert top[0] <= 1
    assert left[0] == right[0] > top[0]
    assert left[1] < top[1] < right[1]
    assert top[1] == pytest.approx((left[1] + right[1]) / 2, abs=1)


def test_more_of_one_axis_is_nearer_its_corner():
    rows = [marked(depth=part, width=(1 - part) / 2, resolution=(1 - part) / 2)[0] for part in (0.1, 0.4, 0.7, 0.95)]
    assert rows == sorted(rows, reverse=True)
    columns = [marked(resolution=part, width=1 - part)[1] for part in (0.1, 0.4, 0.7, 0.95)]
    assert columns == sorted(columns)
    assert len(set(columns)) == 4


def test_a_network_that_shrank_along_an_axis_lies_outside_and_one_far_out_at_the_border():
    inside, outside = marked(depth=0.0, width=0.5, resolution=0.5), marked(depth=-0.2, width=0.6, resolution=0.6)
    assert outside[0] > inside[0]
    assert marked(depth=-3.0, width=4.0, resolution=0.0)[1] == 0


def test_the_later_of_two_is_seen():
    at = place({"depth": 0.3, "width": 0.3, "resolution": 0.4})
    text = "".join(draw_map([(at, "o"), (at, "*")]))
    assert "*" in text
    assert text.count("o") == "depthwidthresolution".count("o")
