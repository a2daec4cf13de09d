"""The picture is a picture of the promised size, whatever the names are and whatever is missing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from convsmith.report.drawing import CHOSEN
from convsmith.report.png import render_png
from tests.report.sample import fit_report, train_report


@pytest.mark.slow
@pytest.mark.parametrize(
    "report",
    [
        fit_report(),
        train_report(),
        fit_report(classes=[f"{number} 猫 \U0001f408 $x$ \n" * 3 for number in range(60)], draws=1),
    ],
    ids=["fit", "train", "many strange classes"],
)
def test_it_is_a_picture_of_1600_by_900(report, tmp_path):
    with Image.open(render_png(report, tmp_path / "results.png")) as picture:
        assert (picture.format, picture.size) == ("PNG", (1600, 900))
        pixels = np.asarray(picture.convert("RGB"))
    ink = (pixels < 250).any(axis=2)
    assert 0.02 < ink.mean() < 0.6
    assert not ink[:, :4].any()  # nothing runs over an edge
    assert not ink[:, -4:].any()
    assert not ink[:4].any()
    assert not ink[-4:].any()


@pytest.mark.slow
def test_the_chosen_network_is_marked_on_the_map(tmp_path):
    report = fit_report()
    red = [int(CHOSEN[at : at + 2], 16) for at in (1, 3, 5)]

    def marked():
        with Image.open(render_png(report, tmp_path / "results.png")) as picture:
            return np.argwhere((np.asarray(picture.convert("RGB")) == red).all(axis=2)[:, :760])

    first = marked()
    report["chosen"]["shares"] = {"depth": 1.0, "width": 0.0, "resolution": 0.0}
    assert len(first) > 50
    assert marked().mean(axis=0)[0] < first.mean(axis=0)[0] - 100  # the corner of depth is at the top
