"""The short way for JPEG headers, held against Pillow's and the decoder's own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convsmith.data import Unreadable, decode
from convsmith.data.decode import MAX_SCANS
from convsmith.data.jpeg import Header, read_jpeg_header
from tests.data.samples import encode, noise, photograph, with_orientation

COLOUR = noise(1, 37, 53, 3)
KINDS: list[dict[str, Any]] = [
    {}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"restart_marker_blocks": 2},
    {"comment": b"x" * 70}, {"icc_profile": b"profile" * 20_000}, {"exif": with_orientation(6)}, {"keep_rgb": True},
    {"quality": 100},
]  # fmt: skip


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("options", KINDS)
def test_headers_are_as_pillow_reads_them(options: dict[str, Any], grey: bool) -> None:
    data = encode(COLOUR[..., 0].copy() if grey else COLOUR, "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = (image.height, image.width, len(image.getbands()), "progressive" in image.info)
    header = read_jpeg_header(data)
    assert header is not None
    assert header == (*expected, "exif" in options)


def test_data_that_say_how_a_picture_is_turned_are_found_wherever_they_stand() -> None:
    data = encode(COLOUR, "JPEG", icc_profile=b"profile" * 20_000, exif=with_orientation(6))
    exif = data.index(b"\xff\xe1")
    size = 2 + int.from_bytes(data[exif + 2 : exif + 4], "big")
    scan = data.index(b"\xff\xda\x00\x0c")
    late = data[:exif] + data[exif + size : scan] + data[exif : exif + size] + data[scan:]
    header = read_jpeg_header(late)
    assert header is not None
    assert header.tagged
    np.testing.assert_array_equal(decode(late), decode(data))


@pytest.mark.parametrize("mode", ["CMYK", "PNG", "empty", "cut", "padded", "two frames", "no lines", "arithmetic"])
def test_the_unusual_is_left_to_pillow(mode: str) -> None:
    data = encode(COLOUR, "JPEG")
    frame = data.index(b"\xff\xc0")
    odd = {
        "CMYK": encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
        "PNG": encode(COLOUR),
        "empty": b"",
        "cut": data[: frame + 8],
        "padded": data[:frame] + b"\xff" + data[frame:],
        "two frames": data[:frame] + data[frame : frame + 19] + data[frame:],
        "no lines": data[: frame + 5] + b"\0\0" + data[frame + 7 :],
        "arithmetic": data[: frame + 1] + b"\xc9" + data[frame + 2 :],
    }
    assert read_jpeg_header(odd[mode]) is None


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(KINDS[:6]), st.data())
def test_the_decoder_never_finds_another_size(options: dict[str, Any], data: st.DataObject) -> None:
    """Else a small header could make it take gigabytes."""
    content = bytearray(encode(COLOUR, "JPEG", **options))
    for place in data.draw(st.lists(st.integers(2, 330), max_size=4)):
        content[place] = data.draw(st.sampled_from([0, 1, 0xC0, 0xC2, 0xDA, 0xE1, 0xFF, *range(20)]))
    header = read_jpeg_header(bytes(content))
    if header is None:
        return
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(bytes(content))
    except ValueError:
        return
    assert header[:2] == (height, width)


def test_a_file_that_asks_for_endless_scans_is_refused() -> None:
    data = encode(photograph(0, 64, 64), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    more = data[:scan] + data[scan:-2] * (MAX_SCANS + 1) + data[-2:]
    with pytest.raises(Unreadable, match=f"more than {MAX_SCANS} scans"):
        decode(more)
    assert read_jpeg_header(data) == Header(64, 64, 3, progressive=True)
    assert decode(data).shape == (64, 64, 3)
