"""The ShuffleNetV2 block: half of the channels pass, the other half is worked on, and then the two are interleaved."""

from __future__ import annotations

from typing import Any

from convsmith.design.layers import Activation, Kernel, Norm, conv
from convsmith.errors import OpError
from convsmith.ir import Builder
from convsmith.ops import Concat, Gather, Slice


def shuffle(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> str:
    """Work on one half of the channels and mix the halves (Ma et al., "ShuffleNet V2", 2018, section 4).

    Where the map shrinks or the channels change, both halves are made from all channels.

    Raises:
        OpError: If ``width`` is odd.
    """
    if width % 2:
        raise OpError("width of a shuffle block must be even", received=width, remedy=f"give {width + 1}")
    half = width // 2
    layer: dict[str, Any] = {"norm": norm, "activation": activation}
    if stride == 1 and net.channels(x) == width:
        kept = net.add(Slice(1, 0, half), x, name="kept")
        x = net.add(Slice(1, half, width), x, name="taken")
    else:
        channels = net.channels(x)
        kept = conv(net, x, channels, kernel=kernel, stride=stride, groups=channels, norm=norm, name="kept.spatial")
        kept = conv(net, kept, half, **layer, name="kept.project")
    y = conv(net, x, half, **layer, name="expand")
    y = conv(net, y, half, kernel=kernel, stride=stride, groups=half, norm=norm, name="spatial")
    y = conv(net, y, half, **layer, name="project")
    y = net.add(Concat(), kept, y, name="concat")
    return net.add(Gather(1, tuple(channel // 2 + half * (channel % 2) for channel in range(width))), y, name="mix")
