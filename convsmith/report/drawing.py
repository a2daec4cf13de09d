"""What all drawn pictures share: their colours, and text in any script."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font

INK: Final = "#1b1f24"
SOFT: Final = "#5a636e"
GRID: Final = "#e4e8ec"
CHOSEN: Final = "#c8102e"

_FONTS: Final = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei",
                 "PingFang SC", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari")  # fmt: skip


def write_words(place: Axes | Figure, x: float, y: float, text: str, *, size: float, **style: Any) -> None:
    """Write text of any script; dollars are dollars, not mathematics.

    Drawn with the first installed fonts that know it; what no font knows becomes a question mark, not an empty box.
    """
    weight = style.pop("weight", "normal")
    fonts = FontProperties(family=list(_fonts()), size=size, weight=weight)
    known = "".join(character if _has_glyph(character) else "?" for character in text)
    place.text(x, y, known, fontproperties=fonts, parse_math=False, **style)


@cache
def _fonts() -> Mapping[str, str]:
    """Files of the installed fonts among those wanted, by family."""
    installed = {font.name: font.fname for font in fontManager.ttflist}
    return {name: installed[name] for name in _FONTS if name in installed}


def _has_glyph(character: str) -> bool:
    return any(get_font(file).get_char_index(ord(character)) for file in _fonts().values())
