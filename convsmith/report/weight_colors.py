"""One colour for each weight of a kernel: bright enough for black numbers on it, which say the same without colour."""

from __future__ import annotations

import colorsys
from typing import Final

_LIGHT: Final = (0.78, 0.66, 0.86)  # in turn, so that neighbours differ by more than their hue
_SATURATION: Final = 0.72


def weight_color(weight: int, count: int) -> str:
    """The colour ``#rrggbb`` of one of ``count`` weights; its own as long as there are not many hundreds."""
    hue, lightness = weight / max(count, 1), _LIGHT[weight % len(_LIGHT)]
    parts = colorsys.hls_to_rgb(hue, lightness, _SATURATION)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)
