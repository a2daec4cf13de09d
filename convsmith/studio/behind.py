"""The images behind the figures of a run: which were taken for what, and how often its confidence was right."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from convsmith.data.decode import convert_channels
from convsmith.errors import RunError
from convsmith.jobs.evaluate import OWN_TEST, Judged, judge_images
from convsmith.quantities import format_percent
from convsmith.studio.bodies import StudioError
from convsmith.studio.plot import Axis, Line, Point, chart
from convsmith.studio.runs import report_now, written
from convsmith.training.metrics import calibration, log_probabilities, wilson

MOST: Final = 60
"""Images of a cell that are shown; those that the network was surest of come first."""


def behind(path: Path, true: str, answer: str) -> dict[str, Any]:
    """The test images of one class that the network takes for another, or for itself, the surest first.

    Args:
        path: A finished run.
        true: Name of the class that they are of.
        answer: Name of the class that the network says.

    Raises:
        RunError: If the run is not finished, or its images are no longer those that it was trained on.
        DataError: If its images cannot be read.
        StudioError: If the run knows no such class.
    """
    found = _judged(path)
    classes = found.network.classes
    for name in (true, answer):
        if name not in classes:
            raise StudioError("the run knows no such class", received=name)
    said, target = found.scores.argmax(axis=1), classes.index(answer)
    shares = np.exp(log_probabilities(found.scores))[:, target]
    inside = np.flatnonzero((found.truth == classes.index(true)) & (said == target))
    order = inside[np.argsort(-shares[inside], kind="stable")]
    images = [
        {
            "image": int(number),
            "name": found.images.names[found.chosen[number]],
            "text": format_percent(float(shares[number])),
        }
        for number in order[:MOST]
    ]
    return {"count": len(inside), "images": images}


def reliability(path: Path) -> dict[str, Any]:
    """How often the network is right on the test images of which it is so and so sure, and the mean gap between both.

    Raises:
        RunError: If the run is not finished, or its images are no longer those that it was trained on.
        DataError: If its images cannot be read.
    """
    judged = _judged(path)
    found = calibration(judged.scores, judged.truth)
    points = [
        Point(
            one.confidence,
            one.accuracy,
            f"{format_percent(one.confidence)} → {format_percent(one.accuracy)}, {one.count:,} ×",
            wilson(round(one.accuracy * one.count), one.count),
        )
        for one in found.bins
    ]
    ends = [Point(end, end, format_percent(end, 0)) for end in (0.0, 1.0)]
    lines = [Line("believed", "end", ends), Line("bins", "chosen", points, joined=False)]
    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    x, y = (Axis(name, 0.0, 1.0, lambda value: format_percent(value, 0), marks=marks) for name in ("sure", "test"))
    return {
        "chart": chart("calibration", x, y, lines),
        "gap": format_percent(found.error),
        "images": f"{len(judged.truth):,}",
    }


def image(path: Path, number: int) -> bytes | None:
    """A test image of a run as PNG, as the cache has it; None if there is none of that number."""
    found = _judged(path)
    if not 0 <= number < len(found.chosen):
        return None
    target = io.BytesIO()
    pixels = np.asarray(found.images.pixels[found.chosen[number]])
    Image.fromarray(convert_channels(pixels, 3)).save(target, format="PNG")
    return target.getvalue()


def _judged(path: Path) -> Judged:
    report = report_now(path)
    if report.get("unfinished") or "confusion" not in report:
        rule, remedy = "only a finished run has images behind its matrix", "wait for its end, or go on by --resume"
        raise RunError(rule, where=str(path), remedy=remedy)
    return _judged_at(path, written(path), report["data"]["source"])


@lru_cache(maxsize=2)
def _judged_at(path: Path, at: int, source: str) -> Judged:
    found = judge_images(path, source)
    if found.judged_on != OWN_TEST:
        rule, remedy = "the images are no longer those that the run was trained on", "put them back as they were"
        raise RunError(rule, where=source, remedy=remedy)
    return found
