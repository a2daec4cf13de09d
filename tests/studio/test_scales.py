"""The scale view's answers: costs that the ledger gives too, rules that keep their budget, curves of equal cost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, zoo
from convsmith.errors import ConvsmithError
from convsmith.quantities import format_count, parse_count
from convsmith.scaling.rules import RULES
from convsmith.studio import scales
from tests.studio.conftest import SMALL

FACTORS = some.floats(0.4, 2.5)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(depth=FACTORS, width=FACTORS, resolution=FACTORS)
def test_what_is_shown_of_a_scaled_design_is_what_its_layers_cost(depth, width, resolution):
    found = scales.scaled({"text": SMALL, "depth": depth, "width": width, "resolution": resolution, "macs": ""})
    made, base = cost(lower(parse_design(found["design"]))), cost(lower(parse_design(SMALL)))
    assert found["after"] == {"macs": format_count(made.macs), "params": format_count(made.params)}
    assert found["before"]["macs"] == format_count(base.macs)
    assert found["times"]["macs"] == f"{made.macs / base.macs:.3g}"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
@pytest.mark.parametrize("budget", ["150M", "1.2G"])
def test_every_rule_keeps_the_budget_and_is_a_dot_where_its_shares_are(name, budget):
    found = scales.scaled({"text": zoo.text(name), "macs": budget})
    assert [row["name"] for row in found["rules"]] == list(RULES)
    for row in found["rules"]:
        if row["ok"]:
            macs = cost(lower(parse_design(row["design"]))).macs
            assert 0.97 * parse_count(budget) <= macs <= parse_count(budget)
            assert row["cells"][0] == format_count(macs)
        else:
            assert row["error"]["rule"]
    good = [row for row in found["rules"] if row["ok"]]
    assert len(good) >= 6
    dots = [mark["at"] for mark in found["map"]["marks"] if mark["kind"] == "rule"]
    corners = {"depth_only": (0.5, 3**0.5 / 2), "width_only": (0.0, 0.0), "resolution_only": (1.0, 0.0)}
    for row, at in zip(good, dots, strict=True):
        assert at == pytest.approx(corners.get(row["name"], at))


def test_a_curve_of_equal_cost_spends_the_budget_everywhere_and_falls_with_depth():
    found = scales.iso_cost({"text": zoo.text("resnet18"), "macs": "1G"})["chart"]
    assert len(found["lines"]) == 3
    for line in found["lines"]:
        spent = [parse_count(point["text"].rpartition(" · ")[2]) for point in line["points"]]
        assert all(0.97e9 <= macs <= 1.0005e9 for macs in spent)  # four digits are shown
        depths, heights = zip(*(point["at"] for point in line["points"]), strict=True)
        assert len(depths) > 4
        assert list(depths) == sorted(set(depths))
        assert list(heights) == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"depth": 0}, "depth"), ({"width": -1}, "width"), ({"depth": True}, "number"), ({"depth": "2"}, "number"),
     ({"macs": "lots"}, "lots"), ({"text": "="}, "TOML"), ({"resolution": 0.01}, "input|1x1|below")],
)  # fmt: skip
def test_what_does_not_fit_is_said(changes, said):
    with pytest.raises(ConvsmithError, match=said):
        scales.scaled({"text": SMALL, **changes})
