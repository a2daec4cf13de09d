"""Everything about a built set but its pixels, as it lies beside them in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.frame import Frame
from convsmith.data.listing import Item, Rejected

FACTS: Final = "images.json"
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, eq=False)
class Facts:
    """A built set; see ``Images``.

    Attributes:
        root: The folder that paths are relative to, or the name of a named set.
        classes: Class names.
        paths: Of the images, in the order of their pixels.
        labels: Their labels.
        splits: The splits that they declare, or None.
        hashes: 64 bits of each image that tell images with different pixels apart, as a signed integer.
        rejected: Files left out.
        frame: What all images were brought to.
        digest: SHA-256 of pixels, labels and classes, in hex.
    """

    root: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: tuple[str | None, ...]
    hashes: NDArray[np.int64]
    rejected: tuple[Rejected, ...]
    frame: Frame
    digest: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the pixels that belong to these facts."""
        return len(self.paths), self.frame.side, self.frame.side, self.frame.channels

    @staticmethod
    def of(
        root: str,
        classes: tuple[str, ...],
        items: Sequence[Item],
        rejected: Sequence[Rejected],
        frame: Frame,
        digests: bytes | bytearray,
    ) -> Facts:
        """Facts from what ``pixel_digest`` gave for each image, end to end."""
        labels = np.array([item.label for item in items], np.int64)
        whole = hashlib.sha256(digests)
        whole.update(labels.astype("<i8").tobytes())
        whole.update(json.dumps([list(classes), len(items), frame.side, frame.channels]).encode())
        starts = np.frombuffer(digests, "<i8").reshape(len(items), _DIGEST_BYTES // 8)[:, 0]
        return Facts(
            root=root,
            classes=classes,
            paths=tuple(item.path for item in items),
            labels=labels,
            splits=tuple(item.split for item in items),
            hashes=starts.astype(np.int64),
            rejected=tuple(rejected),
            frame=frame,
            digest=whole.hexdigest(),
        )

    def to_json(self) -> str:
        """As JSON in ASCII, which keeps file names that are not valid UTF-8; a list per column is a third as long."""
        return json.dumps(
            {
                "root": self.root,
                "classes": self.classes,
                "paths": self.paths,
                "labels": self.labels.tolist(),
                "splits": self.splits,
                "hashes": self.hashes.tolist(),
                "rejected": [(entry.path, entry.reason) for entry in self.rejected],
                "frame": asdict(self.frame),
                "digest": self.digest,
            }
        )

    @staticmethod
    def from_json(text: str) -> Facts:
        """Read what ``to_json`` wrote; KeyError, TypeError or ValueError if it is something else."""
        stored = json.loads(text)
        return Facts(
            root=stored["root"],
            classes=tuple(stored["classes"]),
            paths=tuple(stored["paths"]),
            labels=np.array(stored["labels"], np.int64),
            splits=tuple(stored["splits"]),
            hashes=np.array(stored["hashes"], np.int64),
            rejected=tuple(Rejected(*entry) for entry in stored["rejected"]),
            frame=Frame(**stored["frame"]),
            digest=stored["digest"],
        )


def pixel_digest(row: NDArray[np.uint8]) -> bytes:
    """SHA-256 of one image's pixels, which must be contiguous.

    One pass gives both the image's hash and its share of the set's digest.
    """
    return hashlib.sha256(row.data).digest()
