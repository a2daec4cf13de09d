"""The page and the picture of curves show every figure, with gaps and hostile names in the data."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from convsmith.report.curves import render_curves
from convsmith.report.curves_png import draw_curves
from convsmith.report.efficientnet import FIGURE
from tests.report.sample import NASTY_CLASSES

AXES = ("depth", "width", "resolution", "compound")


def network(name, macs, accuracy):
    interval = None if accuracy is None else [accuracy - 0.01, accuracy + 0.02]
    return {
        "key": name, "name": name, "design": "", "input": [3, 16, 16], "macs": macs, "params": 1_000,
        "factors": {"depth": 1.5, "width": 1.0, "resolution": 1.0}, "accuracy": accuracy, "ci95": interval, "seeds": 3,
    }  # fmt: skip


def report(accuracies=(0.7, 0.8, None, 0.9)):
    curves = {
        axis: {
            "points": [network(f"net-{n}<b>", 10**6 * 2**n, value) for n, value in enumerate(accuracies)],
            "gains": [{"from": 10**6, "to": 2 * 10**6, "difference": 0.1, "low": 0.05, "high": 0.15, "seeds": 3}],
            "verdict": "pays", "at": 8 * 10**6, "sentence": f"{axis} & more", "stop": "no more <i>pixels</i>",
        }
        for axis in AXES
    }  # fmt: skip
    return {
        "name": "base <1>", "kind": "curves", "sentence": "From 1M to 8M: depth <still> pays.", "unfinished": False,
        "curves": curves, "published": FIGURE, "notes": ["one <note>"], "plan": {"images": 20_000, "seeds": 3},
        "data": {"source": "cats/<script>", "images": 100, "classes": NASTY_CLASSES}, "seconds": {"total": 60.0},
        "budget": {"macs": 8 * 10**6, "minutes": 1.0}, "reused": {"trainings": 0}, "recipe": {},
        "setup": {"threads": 1}, "machine": {"cpu": "c"}, "versions": {"python": "3"},
    }  # fmt: skip


def figure(page):
    return json.loads(re.search(r'id="chart-curves-data">(.*?)</script>', page, re.DOTALL)[1])


def test_measured_points_and_their_intervals_stand_beside_the_published_ones():
    drawn = figure(render_curves(report()))["data"]
    assert len(drawn) == 8
    for axis, ours, theirs in zip(AXES, drawn[:4], drawn[4:], strict=True):
        assert ours["x"] == [1_000_000, 2_000_000, 8_000_000]
        assert ours["y"] == [0.7, 0.8, 0.9]
        assert ours["error_y"]["arrayminus"] == pytest.approx([0.01] * 3)
        assert ours["error_y"]["array"] == pytest.approx([0.02] * 3)
        assert (theirs["x"], theirs["y"]) == (FIGURE["curves"][axis]["macs"], FIGURE["curves"][axis]["accuracy"])
        assert theirs["xaxis"] == "x2"


def test_names_are_shown_and_not_obeyed():
    page = render_curves(report())
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    for text in (
        "base &lt;1&gt;",
        "net-0&lt;b&gt;",
        "depth &lt;still&gt; pays",
        "no more &lt;i&gt;pixels",
        "+10.0 (+5.0 to +15.0)",
    ):
        assert text in shown
    assert "<note>" not in shown
    assert "70.0 %" in shown
    assert "+10.0 (+5.0 to +15.0)" in shown
    assert shown.count("–") > 4  # what was not measured


@pytest.mark.slow
@pytest.mark.parametrize("accuracies", [(0.7, 0.8, None, 0.9), (None, None), (0.5,)])
def test_the_picture_has_its_size_and_nothing_runs_over_an_edge(accuracies, tmp_path):
    with Image.open(draw_curves(report(accuracies), tmp_path / "results.png")) as picture:
        assert picture.size == (1600, 900)
        pixels = np.asarray(picture.convert("RGB"))
    ink = (pixels < 250).any(axis=2)
    assert 0.01 < ink.mean() < 0.5
    assert not ink[:, :4].any()
    assert not ink[:, -4:].any()
    assert not ink[:4].any()
    assert not ink[-4:].any()


def test_the_published_figure_is_the_one_of_the_paper():
    """Corners of figure 3 and the rows of table 7 that the paper prints."""
    curves = FIGURE["curves"]
    assert {curve["accuracy"][0] for axis, curve in curves.items() if axis != "compound"} == {0.761}
    assert {curve["macs"][0] for axis, curve in curves.items() if axis != "compound"} == {0.5e9}
    assert dict(zip(curves["depth"]["macs"], curves["depth"]["accuracy"], strict=True))[1.8e9] == 0.790
    assert curves["compound"] == {"macs": [1.8e9], "accuracy": [0.811]}
    for curve in curves.values():
        assert curve["macs"] == sorted(curve["macs"])
        assert len(curve["macs"]) == len(curve["accuracy"])
