"""``data``: what is wrong with a data set, before hours are spent on it.

The Python name is ``check_data``; ``convsmith.data`` is the layer below. Nothing of the user's is changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import NAMED_SETS, Images, Listing, Rejected, cache_folder, list_images, open_images
from convsmith.data.checks.balance import Balance, count_classes
from convsmith.data.checks.copies import Cluster, find_copies
from convsmith.data.checks.headers import Headers, count_kinds, read_headers, uniform_headers
from convsmith.data.checks.suspects import SWAPPED, LabelCheck, check_labels
from convsmith.data.checks.tone import measure_tone
from convsmith.errors import DataError
from convsmith.jobs.finding import Finding, gravest_first
from convsmith.jobs.findings import Readable, how_sure, of_classes, of_files
from convsmith.jobs.step import Show, Step, ignore, reading

SCHEMA: Final = "convsmith/data/1"

_SIZES: Final = 50
_NOT_ASKED: Final = "Labels were not judged, as asked."
_TOO_FEW: Final = "Labels were not judged: that takes 50 images, and 5 different ones of a class."
_NOT_READ: Final = "Labels were not judged, because too many images cannot be read."


@dataclass(frozen=True, eq=False)
class DataCheck:
    """A data set checked.

    Attributes:
        source: What was asked for.
        root: The folder that paths are relative to, or the name of a named set.
        images: The images as training gets them; None where too few can be read.
        headers: What the files of the readable images say of themselves.
        balance: Images by class and split.
        findings: What is wrong or worth knowing, the gravest first.
        labels: Labels held against a classifier; None where they were not judged.
        labels_told: How far that can be believed, or why it was not done.
        seconds: What it took.
    """

    source: str
    root: str
    images: Images | None
    headers: Headers
    balance: Balance
    findings: tuple[Finding, ...]
    labels: LabelCheck | None
    labels_told: str
    seconds: float

    @property
    def count(self) -> int:
        """Number of readable images."""
        return int(self.balance.totals.sum())

    @property
    def actions(self) -> tuple[str, ...]:
        """What to do, the most urgent first."""
        return tuple(one.action for one in self.findings)

    def picture(self, path: str) -> NDArray[np.uint8] | None:
        """The pixels of an image (side, side, channels) by its path; None where it could not be read."""
        if self.images is None:
            return None
        place = self._places.get(path)
        return None if place is None else np.asarray(self.images.pixels[place])

    @cached_property
    def _places(self) -> dict[str, int]:
        names = () if self.images is None else self.images.names
        return {name: index for index, name in enumerate(names)}

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        images, balance = self.images, self.balance
        return {
            "schema": SCHEMA,
            "source": self.source,
            "root": self.root,
            "images": self.count,
            "splits": dict(zip(balance.splits, balance.counts.sum(axis=0).tolist(), strict=True)),
            "classes": [
                {"name": name, "images": sum(counts), "splits": dict(zip(balance.splits, counts, strict=True))}
                for name, counts in zip(balance.classes, balance.counts.tolist(), strict=True)
            ],
            "balance": {
                "ratio": balance.ratio,
                "majority": balance.majority,
                "effective_classes": balance.effective_classes,
            },
            "files": _files(self.headers),
            "frame": images and {"side": images.side, "channels": images.channels, "fit": images.fit},
            "digest": images and images.digest,
            "labels": self.labels and _labels(self.labels),
            "labels_told": self.labels_told,
            "findings": [one.to_dict() for one in self.findings],
            "actions": list(self.actions),
            "seconds": self.seconds,
        }


def check_data(images: str | Path, *, labels: bool = True, seed: int = 0, show: Show = ignore) -> DataCheck:
    """Check a data set: what is in it, what is wrong with it, what to do.

    Looked for are files that cannot be read, copies of pictures (the very pixels, or saved again, resized, brighter),
    also between splits and between classes, blank, dark and flat images, odd sizes and shapes, uneven, small or
    absent classes, and likely wrong labels. Nothing of the set is changed; what is decoded lies in the user's cache.

    Args:
        images: Labelled images: a folder of class folders, a CSV manifest, tar archives, or a named set.
        labels: Whether to hold the labels against a classifier that has not seen them, which takes the most time.
        seed: Decides the folds and the patterns of that classifier, and the labels it is tried on.
        show: Told of the progress.

    Raises:
        DataError: If the source is no set of labelled images, or has fewer than two classes.
        RunError: If the cache cannot be written.
    """
    started = time.monotonic()
    if seed < 0:
        raise DataError("the seed must not be negative", received=seed, where="data")
    try:
        pictures = open_images(images, progress=reading(show))
    except DataError as error:
        if images in NAMED_SETS:
            raise
        return _check_files(str(images), list_images(images), error, show, started)
    found = Readable(pictures, _headers(pictures, show))
    balance = count_classes(pictures.labels, pictures.declared, pictures.classes)
    clusters = find_copies(pictures, progress=_passing(show, "comparing images", "pairs"))
    verdict = _judge(pictures, clusters, seed, show) if labels else None
    findings = (
        *of_files(pictures.rejected),
        *of_classes(balance),
        *found.of_copies(clusters),
        *found.of_tone(measure_tone(pictures.pixels, pictures.fit)),
        *found.of_headers(),
        *(found.of_labels(verdict) if verdict else ()),
    )
    return DataCheck(
        source=str(images),
        root=pictures.root,
        images=pictures,
        headers=found.headers,
        balance=balance,
        findings=gravest_first(findings),
        labels=verdict,
        labels_told=how_sure(verdict) if verdict else _TOO_FEW if labels else _NOT_ASKED,
        seconds=time.monotonic() - started,
    )


def _check_files(source: str, listing: Listing, error: DataError, show: Show, started: float) -> DataCheck:
    """What can be said of a set of which too little can be read to train on it; which files those are, first of all."""
    names = [item.path for item in listing.items]
    every = read_headers(listing.root, names, whole=True, progress=_passing(show, "reading images", "files"))
    good = np.flatnonzero(every.readable)
    damaged = [Rejected(names[index], every.reasons[index]) for index in np.flatnonzero(~every.readable).tolist()]
    items = [listing.items[index] for index in good.tolist()]
    labels = np.array([item.label for item in items], np.int64)
    balance = count_classes(labels, [item.split for item in items], listing.classes)
    if 2 * len(damaged) <= len(names) and balance.totals.all():  # it was something else
        raise error
    unusable = Finding(
        "unusable",
        "error",
        len(damaged),
        f"{error.rule}.",
        "Repair the unreadable images first: until then nothing can be trained on them, and pixels are not checked.",
    )
    return DataCheck(
        source=source,
        root=listing.root,
        images=None,
        headers=every.at(good),
        balance=balance,
        findings=gravest_first((unusable, *of_files([*listing.rejected, *damaged]), *of_classes(balance))),
        labels=None,
        labels_told=_NOT_READ,
        seconds=time.monotonic() - started,
    )


def _headers(images: Images, show: Show) -> Headers:
    if images.root in NAMED_SETS:
        return uniform_headers(len(images), *images.pixels.shape[1:])
    return read_headers(images.root, images.names, progress=_passing(show, "reading headers", "files"))


def _judge(images: Images, clusters: Sequence[Cluster], seed: int, show: Show) -> LabelCheck | None:
    """The labels judged, copies of a picture together."""
    groups = images.groups.copy()
    for cluster in clusters:
        groups[list(cluster.members)] = cluster.members[0]
    progress = _passing(show, "judging labels", "images")
    return check_labels(images, groups, seed=seed, folder=cache_folder(), progress=progress)


def _passing(show: Show, task: str, what: str) -> Callable[[int, int], None]:
    return lambda done, total: show(Step(task, done / max(total, 1), f"{done:,} of {total:,} {what}"))


def _files(headers: Headers) -> dict[str, Any]:
    sizes = headers.count_sizes()
    shown = [{"height": height, "width": width, "images": count} for (height, width), count in sizes[:_SIZES]]
    return {
        "bytes": int(headers.size.sum()),
        "formats": count_kinds(headers.formats),
        "modes": count_kinds(headers.modes),
        "height": _range(headers.height),
        "width": _range(headers.width),
        "distinct_sizes": len(sizes),
        "sizes": shown,
    }


def _range(values: NDArray[np.int64]) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"min": int(values.min()), "median": float(np.median(values)), "max": int(values.max())}


def _labels(check: LabelCheck) -> dict[str, Any]:
    return {
        "judged": check.judged,
        "accuracy": check.accuracy,
        "chance": check.chance,
        "swapped_share": SWAPPED,
        "swapped": check.trial.swapped,
        "skill": check.trial.skill,
        "coverage": check.trial.coverage,
        "wrong_at_most": check.trial.wrong,
        "precision_at_most": check.trial.precision,
    }
