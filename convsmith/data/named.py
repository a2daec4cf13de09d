"""Data sets known by name: their pixels come straight from an installed package, without image files."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from convsmith.errors import DataError

NAMED_SETS: Final = ("digits", "fashion-mnist", "mnist")

_DIGITS: Final = tuple("0123456789")
_FASHION: Final = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_FOLDER: Final = "datasets"
_REMEDIES: Final = {
    "fashion-mnist": "install the Debian package dataset-fashion-mnist (apt install dataset-fashion-mnist)",
    "mnist": "put its four idx files into datasets/mnist under a folder of XDG_DATA_DIRS",
}


@dataclass(frozen=True, eq=False)
class NamedImages:
    """The pixels of a named set.

    Attributes:
        pixels: (N, H, W, 1) uint8.
        labels: (N,) int64.
        classes: Class names by label.
        names: One per image; they name no file.
        declared: The split that each image belongs to by publication, or None.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    declared: tuple[str | None, ...]


def load_named(name: str) -> NamedImages:
    """Load one of ``NAMED_SETS``.

    ``digits`` is 1,797 scans of 8x8 grey pixels (UCI, in scikit-learn), undeclared. ``fashion-mnist`` and
    ``mnist`` are 60,000 training and 10,000 test images of 28x28 grey pixels in idx files, plain or
    gzipped, in ``datasets/NAME`` under a folder of ``XDG_DATA_DIRS``.

    Raises:
        DataError: If the files are not installed or are damaged.
    """
    if name == "digits":
        flat, labels = load_digits(return_X_y=True)
        pixels = np.rint(np.asarray(flat).reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
        return _named(name, pixels, np.asarray(labels), _DIGITS, (None,) * len(pixels))
    folder = _find_folder(name)
    train, test = (_read_idx(folder, f"{part}-images-idx3-ubyte", 3) for part in ("train", "t10k"))
    labels = np.concatenate([_read_idx(folder, f"{part}-labels-idx1-ubyte", 1) for part in ("train", "t10k")])
    pixels = np.concatenate([train, test])[..., None]
    if len(labels) != len(pixels) or labels.max(initial=0) > 9:
        raise DataError("images and labels do not belong together", where=str(folder), remedy=_REMEDIES[name])
    declared = ("train",) * len(train) + ("test",) * len(test)
    return _named(name, pixels, labels, _FASHION if name == "fashion-mnist" else _DIGITS, declared)


def _named(
    name: str, pixels: NDArray[np.uint8], labels: NDArray[np.integer], classes: tuple[str, ...],
    declared: tuple[str | None, ...],
) -> NamedImages:  # fmt: skip
    names = tuple(f"{name}/{index}" for index in range(len(pixels)))
    return NamedImages(pixels, labels.astype(np.int64), classes, names, declared)


def _find_folder(name: str) -> Path:
    for base in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
        folder = Path(base, _FOLDER, name)
        if base and folder.is_dir():
            return folder
    raise DataError(f"the data set {name} is not installed", remedy=_REMEDIES[name])


def _read_idx(folder: Path, stem: str, rank: int) -> NDArray[np.uint8]:
    """Read an idx file of bytes: two zeros, type 8, the rank, each size as big-endian uint32, the data."""
    path = next((path for path in (folder / f"{stem}.gz", folder / stem) if path.is_file()), None)
    if path is None:
        raise DataError(f"the file {stem} is missing", where=str(folder), remedy="install the data set again")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read the file: {error}", where=str(path), remedy="install it again") from error
    start = 4 + 4 * rank
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if content[:4] != bytes((0, 0, 8, rank)) or len(shape) != rank or len(content) - start != int(np.prod(shape)):
        raise DataError("not a complete idx file of bytes", where=str(path), remedy="install the data set again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
