"""A map of scores is drawn where its places are."""

import io

import numpy as np
from PIL import Image

from convsmith.report.score_map import draw_score_map
from convsmith.report.tiles import color_values

SIDE = 600


def drawn(shares, centers, steps, window=(100, 100), place=(0, 0)):
    photograph = np.full((SIDE, SIDE, 3), 255, np.uint8)
    content = draw_score_map(
        photograph, np.array(shares), place=place, centers=centers, steps=steps, window=window, title="a place"
    )
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def panel(picture):
    """The photograph with the colours laid over it: the last square before the margin on the right."""
    return picture[40 : 40 + SIDE, -16 - SIDE : -16]


def test_every_pixel_has_the_colour_of_the_nearest_place():
    shown = panel(drawn([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]], (199.5, 99.5), (200.0, 200.0)))
    colors = color_values(np.array([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]]), "heat", 0.0, 0.5)[0].astype(int)
    for (row, column), number in {
        (20, 20): 0, (290, 190): 0, (20, 300): 1, (20, 590): 2, (310, 20): 3, (590, 220): 4, (320, 420): 5,
    }.items():  # fmt: skip
        expected = 0.4 * 255 + 0.6 * colors[number]
        assert np.abs(shown[row, column] - expected).max() <= 2, (row, column)


def test_the_frame_lies_around_the_place_that_is_named_and_stays_on_the_photograph():
    shown = panel(drawn([[0.0, 1.0]], (299.5, 149.5), (1.0, 300.0), place=(0, 1)))
    red = (shown[..., 0] > 180) & (shown[..., 1] < 60) & (shown[..., 2] < 90)
    rows, columns = np.nonzero(red)
    assert (rows.min(), rows.max()) == (250, 349)
    assert (columns.min(), columns.max()) == (400, 499)
    cut = panel(drawn([[1.0]], (0.0, 0.0), (1.0, 1.0)))
    assert ((cut[..., 0] > 180) & (cut[..., 1] < 60)).any()
