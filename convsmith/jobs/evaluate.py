"""``evaluate``: how good a trained network is on labelled images, with how far that figure can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, open_images, split_images
from convsmith.errors import DataError
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.report_parts import is_same_data
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.step import Show, ignore, reading
from convsmith.training.device import available_device
from convsmith.training.evaluate import logits
from convsmith.training.metrics import Calibration, calibration, confusion, log_loss, recalls, wilson
from convsmith.training.setup import Setup

OWN_TEST: Final = "the run's own test images"
"""What images are called that are judged because the run kept them for that."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network judged.

    Attributes:
        run: The run folder.
        source: Where the images are from.
        judged_on: Which of them were judged.
        correct: How many of them it got right.
        interval: 95 % of the accuracy, by Wilson's score.
        log_loss: Mean negative log probability of the true class, in nats.
        calibration: How far its confidence may be believed.
        classes: The network's classes.
        confusion: Counts (classes, classes): row the true class, column the answer.
        rejected: Files that could not be read, with the reason.
        notes: What else a reader of the figures should know.
    """

    run: Path
    source: str
    judged_on: str
    correct: int
    interval: tuple[float, float]
    log_loss: float
    calibration: Calibration
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def images(self) -> int:
        """Number of images judged."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.correct / self.images

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        counts = self.confusion.sum(axis=1).tolist()
        rows = zip(self.classes, counts, recalls(self.confusion).tolist(), strict=True)
        return {
            "run": str(self.run),
            "source": self.source,
            "judged_on": self.judged_on,
            "images": self.images,
            "accuracy": self.accuracy,
            "ci95": list(self.interval),
            "log_loss": self.log_loss,
            "calibration": {"error": self.calibration.error, "bins": [asdict(one) for one in self.calibration.bins]},
            "classes": [
                {"name": name, "images": count, "recall": recall if count else None} for name, count, recall in rows
            ],
            "confusion": {"classes": list(self.classes), "matrix": self.confusion.tolist()},
            "rejected": [{"path": path, "reason": reason} for path, reason in self.rejected],
            "notes": list(self.notes),
        }


def evaluate(run: str | Path, images: str | Path, *, show: Show = ignore) -> Evaluation:
    """Judge the network of a run.

    The very images that the run was trained on are recognised, and then only its test images are judged, because the
    others flatter it. Of other images the declared test set is judged, or all where none is declared.

    Args:
        run: A finished run folder.
        images: Labelled images: a folder of class folders, a CSV manifest, tar archives, or a named set. Their
            classes must be among the network's, by name.
        show: Told of the progress.

    Raises:
        RunError: If the folder is not a finished run.
        DataError: If the images cannot be used or have classes that the network does not know.
    """
    found = judge_images(run, images, show=show)
    truth, scores, pictures, network = found.truth, found.scores, found.images, found.network
    confused = confusion(scores, truth)
    correct = int(np.trace(confused))
    return Evaluation(
        run=Path(run),
        source=str(images),
        judged_on=found.judged_on,
        correct=correct,
        interval=wilson(correct, len(truth)),
        log_loss=log_loss(scores, truth),
        calibration=calibration(scores, truth),
        classes=network.classes,
        confusion=confused,
        rejected=tuple((one.path, one.reason) for one in pictures.rejected),
        notes=_notes(network.preparation, pictures),
    )


@dataclass(frozen=True, eq=False)
class Judged:
    """What a network says of each image that it is judged by.

    Attributes:
        network: The network.
        images: All images of the source.
        judged_on: Which of them were judged, in words.
        chosen: (N,) which, as indices into ``images``.
        truth: (N,) their classes as the network numbers them.
        scores: (N, classes) float32 logits.
    """

    network: TrainedNetwork
    images: Images
    judged_on: str
    chosen: NDArray[np.int64]
    truth: NDArray[np.int64]
    scores: NDArray[np.float32]


def judge_images(run: str | Path, images: str | Path, *, show: Show = ignore) -> Judged:
    """The answers behind ``evaluate``, image by image; the images are chosen as it chooses them.

    Raises:
        RunError: If the folder is not a finished run.
        DataError: If the images cannot be used or have classes that the network does not know.
    """
    folder = RunFolder(Path(run))
    network = folder.read_network()
    preparation = network.preparation
    pictures = open_images(images, side=preparation.side, channels=preparation.channels, progress=reading(show))
    labels = _labels_for(network.classes, pictures)
    judged_on, chosen = _chosen(folder, pictures)
    pixels = pictures.rows(chosen, preparation.resolution)
    scores = logits(network.module, pixels, preparation.normalisation, Setup(device=available_device()))
    return Judged(network, pictures, judged_on, chosen, labels[chosen], scores)


def _labels_for(classes: tuple[str, ...], images: Images) -> NDArray[np.int64]:
    """The images' labels as the network numbers its classes."""
    number = {name: index for index, name in enumerate(classes)}
    for name in images.classes:
        if name not in number:
            known = ", ".join(classes[:10]) + (" ..." if len(classes) > 10 else "")
            remedy = f"it knows {known}"
            raise DataError("the network does not know this class", received=name, where=images.root, remedy=remedy)
    return np.array([number[name] for name in images.classes], np.int64)[images.labels]


def _chosen(folder: RunFolder, images: Images) -> tuple[str, NDArray[np.int64]]:
    """Which images are judged, in words and by index."""
    report, told = folder.read_report(), ""
    if report is not None and report["data"]["digest"] == images.digest:
        split = split_images(images, seed=report["seed"])
        if is_same_data(report["data"], images, split):
            return OWN_TEST, split.test
        told = ", of which the run may have learnt from any"
    declared = np.flatnonzero(np.array([split == "test" for split in images.declared]))
    words, chosen = ("the declared test images", declared) if len(declared) else ("all images", np.arange(len(images)))
    return words + told, chosen


def _notes(preparation: Preparation, images: Images) -> tuple[str, ...]:
    if preparation.fit == images.fit:
        return ()
    return (f"these images were brought to a square by {images.fit}, those of the training by {preparation.fit}",)
