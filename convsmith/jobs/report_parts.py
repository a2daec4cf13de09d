"""The parts that the reports of ``fit`` and ``train`` share, as plain values of ``report.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, Split
from convsmith.training.metrics import calibration, confusion, log_loss
from convsmith.training.progress import Incident

SCHEMA = "convsmith/report/1"
EVENTS = "convsmith/events/1"
"""What the events of a log mean; another number where an older reader would misread them."""


def data_report(images: Images, split: Split, source: str) -> dict[str, Any]:
    """The part of a report about the images."""
    return {
        "data": {
            "source": source,
            "images": len(images),
            "train": len(split.train),
            "select": len(split.select),
            "test": len(split.test),
            "classes": list(images.classes),
            "side": images.side,
            "channels": images.channels,
            "fit": images.fit,
            "native": images.native,
            "leaks": images.leaks,
            "digest": images.digest,
            "split": split.digest,
        },
        "rejected": [{"path": one.path, "reason": one.reason} for one in images.rejected],
    }


def is_same_data(told: Mapping[str, Any], images: Images, split: Split) -> bool:
    """Whether images are those that ``data_report`` told of, divided in the same way, as far as an older one says."""
    return told["digest"] == images.digest and told.get("split", split.digest) == split.digest


def quality_report(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """How far the probabilities of one network may be believed, on the test images."""
    return {"log_loss": log_loss(scores, labels), "calibration_error": calibration(scores, labels).error}


def confusion_report(scores: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """What one network takes for what, on the test images."""
    return {"confusion": {"classes": list(classes), "matrix": confusion(scores, labels).tolist()}}


def incidents_report(incidents: Sequence[Incident]) -> dict[str, Any]:
    """What went wrong in a training and was mended, as values and as notes that a reader meets."""
    return {
        "incidents": [dataclasses.asdict(incident) for incident in incidents],
        "notes": [incident.sentence for incident in incidents],
    }
