"""``predict``: labels with probabilities for picture files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Unreadable
from convsmith.data.listing import shown
from convsmith.errors import DataError
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.step import Show, Step, ignore
from convsmith.training.evaluate import logits
from convsmith.training.metrics import log_probabilities
from convsmith.training.setup import Setup

_BATCH: Final = 256


@dataclass(frozen=True)
class Prediction:
    """A picture's likeliest labels with their probabilities, likeliest first."""

    path: str
    labels: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"path": self.path, "labels": [{"label": label, "probability": share} for label, share in self.labels]}


@dataclass(frozen=True)
class Predictions:
    """What a network says of some files.

    Attributes:
        predictions: Of the files that could be read, in the order given.
        unreadable: The other files, with the reason.
    """

    predictions: tuple[Prediction, ...]
    unreadable: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        return {
            "predictions": [one.to_dict() for one in self.predictions],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
        }

    def check(self) -> None:
        """Refuse a result without a single prediction.

        Raises:
            DataError: If no file could be read.
        """
        if not self.predictions:
            path, reason = self.unreadable[0]
            remedy = f"so are all {len(self.unreadable)} files" if len(self.unreadable) > 1 else ""
            raise DataError(f"not a readable picture: {reason}", where=shown(path), remedy=remedy)


def predict(
    run: str | Path, files: str | Path | Sequence[str | Path], *, top: int = 3, show: Show = ignore
) -> Predictions:
    """Say what is on pictures.

    Args:
        run: A finished run folder.
        files: One picture file or several: JPEG, PNG, WEBP, BMP, GIF or TIFF.
        top: How many labels for each.
        show: Told of the progress.

    Raises:
        RunError: If the folder is not a finished run.
        DataError: If ``top`` is not at least one.
    """
    if top < 1:
        raise DataError("the number of labels must be at least 1", received=top)
    files = [files] if isinstance(files, str | Path) else files
    network = RunFolder(Path(run)).read_network()
    predictions: list[Prediction] = []
    unreadable: list[tuple[str, str]] = []
    for start in range(0, len(files), _BATCH):
        batch = list(_read(network.preparation, files[start : start + _BATCH]))
        unreadable += [(str(path), found.reason) for path, found in batch if isinstance(found, Unreadable)]
        read = [(path, found) for path, found in batch if not isinstance(found, Unreadable)]
        if read:
            pixels = network.preparation.resample(np.stack([image for _, image in read]))
            scores = logits(network.module, pixels, network.preparation.normalisation, Setup())
            shares = np.exp(log_probabilities(scores))
            predictions += [
                Prediction(str(path), _labels(row, network.classes, top))
                for (path, _), row in zip(read, shares, strict=True)
            ]
        done = min(start + _BATCH, len(files))
        if len(files) > _BATCH:
            show(Step("predicting", done / len(files), f"{done:,} of {len(files):,} files"))
    return Predictions(tuple(predictions), tuple(unreadable))


def _read(
    preparation: Preparation, files: Sequence[str | Path]
) -> Iterator[tuple[str | Path, NDArray[np.uint8] | Unreadable]]:
    for path in files:
        try:
            yield path, preparation.read(Path(path))
        except Unreadable as error:
            yield path, error


def _labels(shares: NDArray[np.float64], classes: tuple[str, ...], top: int) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-shares, kind="stable")[:top]
    return tuple((classes[index], float(shares[index])) for index in order)
