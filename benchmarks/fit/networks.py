"""The networks of the experiment: what every named rule makes of a budget, published networks fitted to it, and draws.

Two data sets and two budgets are its cells, and a latency. Fashion-MNIST is read from the files of Debian's package
``dataset-fashion-mnist``; of its images 10,000 are for learning and the 10,000 of its test set for judging, as in
cifar10-20k.

Where a latency is the budget, every network is timed, and made smaller or wider until it fills it as measured.
Measured times differ from run to run, so those networks are made once and kept in ``results``.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.data import Images, Split, open_images, split_images
from convsmith.jobs.fit_budget import Allowance
from convsmith.jobs.fit_entry import Entry
from convsmith.scaling import Limits
from convsmith.search.candidate import Candidate
from convsmith.search.ready import with_ready_made
from convsmith.search.space import Space, make_field
from convsmith.search.space_file import default_space

FASHION = Path("/usr/share/datasets/fashion-mnist")
DRAWN = 24
SEED = 0
HOUR = 3600.0
LATENCY = 0.3e-3
"""Seconds of onnxruntime for one image, on one thread."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A data set and a budget.

    Attributes:
        name: Of the cell.
        allowance: The budget: multiply-adds, or seconds for one image.
        channels: Of the images.
        side: Of the images, in pixels.
    """

    name: str
    allowance: Allowance
    channels: int
    side: int

    @property
    def data(self) -> str:
        """``"photographs"`` or ``"fashion"``."""
        return self.name.partition(",")[0]


CELLS = {
    cell.name: cell
    for cell in (
        *(
            Cell(f"{data}, {macs // 1_000_000}M", Allowance(macs=macs), channels, side)
            for data, channels, side in (("photographs", 3, 32), ("fashion", 1, 28))
            for macs in (6_000_000, 24_000_000)
        ),
        Cell(f"photographs, {1e3 * LATENCY:g} ms", Allowance(latency=LATENCY), 3, 32),
    )
}


@functools.cache
def field_of(cell: Cell) -> dict[str, Candidate]:
    """The networks of a cell by their keys, rules first."""
    if cell.allowance.latency is None:
        space = Space(Limits(macs=cell.allowance.macs), cell.channels, cell.side, classes=10)
        found = with_ready_made(make_field(space, DRAWN, seed=SEED), space).candidates
    else:
        networks = json.loads(_path(cell).read_text(encoding="utf-8"))["networks"]
        found = [Candidate.from_dict(network) for network in networks]
    return {one.key: one for one in found}


def time_networks(cell: Cell, folder: Path) -> None:
    """Make the networks of a cell whose budget is a latency, unless there are any."""
    if cell.allowance.latency is None or _path(cell).exists():
        return
    images, split = images_of(cell, folder)
    entry = Entry(
        cell.allowance,
        default_space(),
        images,
        split,
        seed=SEED,
        seconds=HOUR,
        tell=lambda line: print(line, file=sys.stderr),
        show=lambda step: None,
    )
    field = entry.draw().candidates
    known, drawn = ([one for one in field if bool(known_as(one)) == named] for named in (True, False))
    settled = {one.key: one for one in entry.settle([*known, *drawn[:DRAWN]])}
    networks = [one.to_dict() for one in settled.values()]
    harness.write(_path(cell).stem, {"budget": cell.allowance.to_dict(), "networks": networks})


def known_as(candidate: Candidate) -> str:
    """The name of a network that nobody has to search for: of its rule, or of what was fitted; or nothing."""
    return candidate.rule or candidate.ready


def images_of(cell: Cell, folder: Path) -> tuple[Images, Split]:
    """Images and their split; ``folder`` holds the photographs, and where Fashion-MNIST may be unpacked."""
    images = open_images(folder if cell.data == "photographs" else _fashion(folder.parent / "fashion-mnist-20k"))
    return images, split_images(images, seed=SEED)


def _path(cell: Cell) -> Path:
    """Where the networks of a cell are kept whose budget is a latency."""
    return harness.RESULTS / f"{file_name(cell.name)}_networks.json"


def file_name(cell: str) -> str:
    """What the names of a cell's results begin with."""
    return f"fit_{cell.replace(', ', '_').replace(' ', '')}"


def _fashion(folder: Path) -> Path:
    """A folder of PNG files of the first 10,000 training images, and of all test images."""
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        for part, name in (("train", "train"), ("test", "t10k")):
            pixels, labels = (_idx(FASHION / f"{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
            for number, (image, label) in enumerate(zip(pixels[:10_000], labels[:10_000], strict=True)):
                place = partial / part / str(label)
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(place / f"{number}.png")
        partial.rename(folder)
    return folder


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the format of MNIST: two zeros, the type, the number of axes, their lengths, the values."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)
