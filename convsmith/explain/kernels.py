"""What the kernels of a layer look for: orientation, frequency and colour, from their Fourier transform.

A kernel is taken as it stands in the network, a correlation; where images are normalised it is divided by the deviation
of each channel, so that it says what it does to pixels.

Its power spectrum is that of the kernel padded with zeros to 64 x 64, summed over its input channels:

- ``mean_share`` is the share of its energy in the mean of each plane. From a half on the kernel is called ``low-pass``:
  it blurs, or only weighs channels.
- ``coherence`` is (a - b) / (a + b) of the eigenvalues a >= b of the second moments of the spectrum, which is the
  structure tensor of the kernel (Bigün and Granlund, "Optimal Orientation Detection of Linear Symmetry", 1987). From
  0.4 on it is ``oriented``: ``angle`` is the direction of its edges or stripes in degrees, 0 for horizontal,
  90 for vertical, 45 for those that rise to the right. All others are a ``spot``. The edge (1, 0, -1) in three equal
  rows reaches 0.49; of kernels of random numbers one in six reaches 0.4 with 3 x 3, one in 27 with 5 x 5.
- ``frequency`` is where the spectrum without the mean is largest, in cycles per pixel, at most 0.5 along an axis.

The colour of a kernel with three input channels splits its energy in the part that weighs all three alike and the rest.
From a quarter on the rest counts as a colour: its strongest axis in the plane of hues, ``red-cyan``, ``yellow-blue`` or
``green-magenta``, whichever is nearest. Networks learn such kernels whatever they are trained on (Krizhevsky et al.,
"ImageNet Classification with Deep Convolutional Neural Networks", 2012, figure 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from convsmith.analysis import cost
from convsmith.errors import ModelError, did_you_mean
from convsmith.ir import Graph, Node

Array = NDArray[np.float64]
Pattern = Literal["low-pass", "oriented", "spot", "zero"]
Colour = Literal["grey", "red-cyan", "yellow-blue", "green-magenta"]

SPECTRUM: Final = 64
LOW_PASS: Final = 0.5
ORIENTED: Final = 0.4
COLOURED: Final = 0.25

_AXES: Final[tuple[Colour, ...]] = ("red-cyan", "yellow-blue", "green-magenta")
_CHROMA: Final = np.array([[2, -1, -1], [0, 3**0.5, -(3**0.5)]]) / 6**0.5
"""The plane of hues: red lies at 0 degrees, yellow at 60, green at 120."""


@dataclass(frozen=True)
class Tag:
    """What one kernel looks for; see the module.

    Attributes:
        channel: Its output channel.
        pattern: ``low-pass``, ``oriented``, ``spot``, or ``zero`` for a kernel of nothing.
        angle: Direction of its edges in degrees, 0 to 180; None unless oriented.
        frequency: Cycles per pixel; None for a kernel that is constant.
        coherence: 0 for no direction, 1 for one alone.
        mean_share: Share of the energy in the means.
        colour: None without three input channels.
        colour_share: Share of the energy that does not weigh the three channels alike; None without them.
        norm: Square root of the sum of squared weights.
    """

    channel: int
    pattern: Pattern
    angle: float | None
    frequency: float | None
    coherence: float
    mean_share: float
    colour: Colour | None
    colour_share: float | None
    norm: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Kernels:
    """The kernels of one layer with what they look for.

    Attributes:
        layer: Its name.
        weights: (out channels, in channels of a group, height, width), as they act on pixels where that is known.
        groups: Into how many groups the channels are divided.
        tags: One for each output channel.
    """

    layer: str
    weights: Array
    groups: int
    tags: tuple[Tag, ...]

    @property
    def spatial(self) -> bool:
        """Whether the kernels are larger than one pixel."""
        return max(self.weights.shape[2:]) > 1

    def order(self) -> list[int]:
        """Channels by pattern and angle, colour, and frequency."""
        rank = {"oriented": 0, "spot": 1, "low-pass": 2, "zero": 3}
        keys = [(rank[tag.pattern], tag.colour or "", tag.angle or 0, tag.frequency or 0) for tag in self.tags]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def count(self, attribute: Literal["pattern", "colour"]) -> dict[str, int]:
        """How many kernels there are of each kind, the most frequent first."""
        found = [str(getattr(tag, attribute)) for tag in self.tags if getattr(tag, attribute)]
        return dict(sorted(((kind, found.count(kind)) for kind in set(found)), key=lambda one: (-one[1], one[0])))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the weights."""
        return {
            "layer": self.layer,
            "shape": list(self.weights.shape),
            "groups": self.groups,
            "patterns": self.count("pattern"),
            "colours": self.count("colour"),
            "kernels": [tag.to_dict() for tag in self.tags],
        }


def kernel_layers(graph: Graph) -> list[Node]:
    """The layers whose weights are kernels: (out, in, height, width)."""
    ledger = zip(graph.nodes, cost(graph).layers, strict=True)
    taps = [node for node, row in ledger if row.terms.taps]
    return [node for node in taps if len(graph.param_shapes.get(f"{node.weights}.weight", ())) == 4]


def find_kernels(graph: Graph, name: str | None) -> Node:
    """The layer called ``name``, or the first with kernels larger than a pixel.

    Raises:
        ModelError: If it has none, with the nearest right spelling.
    """
    layers = kernel_layers(graph)
    if not layers:
        raise ModelError("the network has no convolution to look at", where=graph.name)
    if name is None:
        shapes = graph.param_shapes
        return next((one for one in layers if max(shapes[f"{one.weights}.weight"][2:]) > 1), layers[0])
    found = [one for one in layers if name == one.name] or [one for one in layers if one.name.startswith(f"{name}.")]
    if not found:
        remedy = did_you_mean(name, [one.name for one in layers], "`convsmith inspect MODEL --layers` lists them")
        raise ModelError("no convolution has this name", received=name, where=graph.name, remedy=remedy)
    return found[0]


def tag_kernels(layer: str, weights: NDArray[np.floating], groups: int, deviation: Sequence[float] = ()) -> Kernels:
    """Tag the kernels of a layer.

    Args:
        layer: Its name.
        weights: (out channels, in channels of a group, height, width).
        groups: Into how many groups the channels are divided.
        deviation: What the pixels of each input channel are divided by before they reach the layer, if they do.
    """
    kernels = weights.astype(np.float64)
    if len(deviation) == kernels.shape[1]:
        kernels = kernels * (np.mean(deviation) / np.array(deviation))[:, None, None]
    tags = tuple(_tag(channel, kernel) for channel, kernel in enumerate(kernels))
    return Kernels(layer, kernels, groups, tags)


def _tag(channel: int, kernel: Array) -> Tag:
    energy = float((kernel**2).sum())
    if not energy:
        return Tag(channel, "zero", None, None, 0.0, 0.0, None, None, 0.0)
    means = kernel.mean(axis=(1, 2), keepdims=True)
    mean_share = float((means**2).sum()) * kernel[0].size / energy
    angle, coherence = _direction(kernel)
    pattern = "low-pass" if mean_share >= LOW_PASS else "oriented" if coherence >= ORIENTED else "spot"
    colour, share = _colour(kernel) if len(kernel) == 3 else (None, None)
    return Tag(
        channel, pattern, angle if pattern == "oriented" else None, _frequency(kernel - means), coherence, mean_share,
        colour, share, energy**0.5,
    )  # fmt: skip


def _power(kernel: Array) -> Array:
    """Power spectrum, summed over the planes, (rows, columns) of ``SPECTRUM``."""
    return (np.abs(np.fft.fft2(kernel, (SPECTRUM, SPECTRUM))) ** 2).sum(axis=0)


def _direction(kernel: Array) -> tuple[float, float]:
    """Direction of the edges in degrees, counted as in mathematics with up as positive, and the coherence."""
    power, frequencies = _power(kernel), np.fft.fftfreq(SPECTRUM)
    down, right = frequencies[:, None], frequencies[None, :]
    high, wide, mixed = ((power * part).sum() for part in (down * down, right * right, down * right))
    spread = float(np.hypot(wide - high, 2 * mixed))
    across = 0.5 * np.degrees(np.arctan2(-2 * mixed, wide - high))  # where the brightness changes; rows count down
    return float((across + 90) % 180), spread / float(high + wide) if high + wide else 0.0


def _frequency(kernel: Array) -> float | None:
    power = _power(kernel)
    if power.max() <= 1e-20 * max(1.0, float((kernel**2).sum())):
        return None
    row, column = np.unravel_index(power.argmax(), power.shape)
    frequencies = np.fft.fftfreq(SPECTRUM)
    return float(np.hypot(frequencies[row], frequencies[column]))


def _colour(kernel: Array) -> tuple[Colour, float]:
    planes = kernel.reshape(3, -1)
    hues = _CHROMA @ planes
    share = float((hues**2).sum() / (planes**2).sum())
    if share < COLOURED:
        return "grey", share
    moments = hues @ hues.T
    axis = 0.5 * np.degrees(np.arctan2(2 * moments[0, 1], moments[0, 0] - moments[1, 1])) % 180
    return _AXES[round(axis / 60) % 3], share
