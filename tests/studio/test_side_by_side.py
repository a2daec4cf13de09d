"""The compare view's answers against the ledger of each design by itself."""

from __future__ import annotations

import json

import pytest

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, zoo
from convsmith.quantities import format_count
from convsmith.studio.side_by_side import side_by_side
from tests.studio.conftest import SMALL

DEEPER = SMALL.replace("depth = 2", "depth = 3")


@pytest.mark.parametrize(("first", "second"), [("resnet18", "resnet34"), ("vgg16", "mobilenet-v2")])
def test_sections_add_up_to_the_totals_of_each(first, second):
    found = side_by_side({"first": zoo.text(first), "second": zoo.text(second)})
    json.dumps(found, allow_nan=False)
    totals = {one["name"]: one["texts"] for one in found["totals"]}
    for number, name in enumerate((first, second)):
        ledger = cost(lower(zoo.load(name)))
        assert totals["macs"][number] == format_count(ledger.macs)
        assert totals["params"][number] == format_count(ledger.params)
    assert max(share for one in found["sections"] for share in one["shares"]) == 1


def test_a_design_is_like_itself_and_one_block_more_is_all_that_differs():
    same = side_by_side({"first": SMALL, "second": SMALL})
    assert (same["changed"], same["layers"]) == (0, [])
    more = side_by_side({"first": SMALL, "second": DEEPER})
    assert {one["change"] for one in more["layers"]} == {"added"}
    layers = [len(lower(parse_design(text)).nodes) for text in (SMALL, DEEPER)]
    assert more["same"] == same["same"]
    assert more["changed"] <= layers[1] - layers[0]
    assert {one["layers"][1][0].rsplit(".", 2)[0].split(".")[0] for one in more["layers"]} == {"stage1"}
