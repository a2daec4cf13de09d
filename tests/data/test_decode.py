from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convsmith.data import Unreadable, convert_channels, decode, read_image
from convsmith.data.decode import MAX_BYTES, read_content, read_header
from tests.data.samples import encode, noise, png_of_claimed_size, save, with_orientation

SMOOTH = np.asarray(Image.fromarray(noise(0, 4, 6, 3)).resize((48, 32), Image.Resampling.BICUBIC))
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.fliplr(np.rot90(a, -1)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a, 1)),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_grey_keeps_one_channel_and_its_values(form: str) -> None:
    grey = noise(1, 5, 7)
    np.testing.assert_array_equal(decode(encode(grey, form))[..., 0], grey)


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_colour_keeps_its_values(form: str, options: dict[str, object]) -> None:
    colour = noise(2, 5, 7, 3)
    pixels = decode(encode(colour, form, **options))
    np.testing.assert_array_equal(pixels, colour)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 1}])
def test_jpeg_agrees_with_pillow(options: dict[str, object]) -> None:
    for image in (SMOOTH, np.ascontiguousarray(SMOOTH[..., 0])):
        data = encode(image, "JPEG", quality=90, **options)
        oracle = np.asarray(Image.open(io.BytesIO(data)))
        pixels = decode(data)
        assert pixels.shape == (32, 48, 3 if image.ndim == 3 else 1)
        np.testing.assert_allclose(pixels.astype(int), oracle.reshape(pixels.shape), atol=2)


def test_jpeg_with_padding_between_segments_is_read_by_pillow() -> None:
    data = encode(SMOOTH, "JPEG")
    padded = data[:20] + b"\x00" + data[20:]  # after the first segment
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(padded)
    np.testing.assert_allclose(decode(padded).astype(int), decode(data), atol=2)


def test_jpeg_with_lost_data_and_a_repaired_end_is_refused() -> None:
    data = encode(noise(11, 64, 64, 3), "JPEG")
    with pytest.raises(Unreadable, match="damaged"):
        decode(data[: len(data) // 2] + b"\xff\xd9")


def test_palette_becomes_rgb() -> None:
    image = Image.fromarray(SMOOTH).quantize(16)
    np.testing.assert_array_equal(decode(encode(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    channels = len(mode)
    image = noise(3, 6, 5, channels)
    image[0, :, -1], image[1, :, -1] = 0, 255
    alpha = image[..., -1:].astype(float) / 255
    oracle = image[..., :-1] * alpha + 255 * (1 - alpha)
    pixels = decode(encode(image))
    assert pixels.shape == (6, 5, channels - 1)
    np.testing.assert_allclose(pixels, oracle, atol=1)
    assert (pixels[0] == 255).all()


def test_transparent_palette_entry_is_white() -> None:
    image = Image.fromarray(noise(4, 4, 4) % 3, mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    index = np.asarray(image)
    for transparency in (1, b"\xff\x00\xff"):
        pixels = decode(encode(image, transparency=transparency))
        assert (pixels[index == 1] == 255).all()
        assert (pixels[index == 2] == (70, 80, 90)).all()


def test_one_bit_is_grey() -> None:
    image = Image.fromarray(noise(5, 9, 9) > 127)
    np.testing.assert_array_equal(decode(encode(image))[..., 0], np.asarray(image) * 255)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(form: str) -> None:
    image = Image.fromarray(SMOOTH).convert("CMYK")
    pixels = decode(encode(image, form))
    assert pixels.shape == SMOOTH.shape
    assert np.abs(pixels.astype(int) - SMOOTH).mean() < 8


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(form: str) -> None:
    deep = np.array([[0, 128, 129, 257], [256 * 128, 65534, 65535, 1000]], np.uint16)
    pixels = decode(encode(deep, form))[..., 0]
    np.testing.assert_array_equal(pixels, np.round(deep / 65535 * 255))


def test_32_bit_grey_is_refused() -> None:
    with pytest.raises(Unreadable, match="32-bit"):
        decode(encode(np.ones((3, 3), np.float32), "TIFF"))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    image = SMOOTH[:24]
    options = {"lossless": True} if form == "WEBP" else {}
    plain = decode(encode(image, form, **options))
    turned = decode(encode(image, form, exif=with_orientation(orientation), **options))
    np.testing.assert_array_equal(turned, TURNS[orientation](plain))


def test_nonsense_orientation_is_ignored() -> None:
    image = noise(6, 4, 5, 3)
    np.testing.assert_array_equal(decode(encode(image, exif=with_orientation(77))), image)


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_animations_give_their_first_frame(form: str, options: dict[str, object]) -> None:
    first, second = (Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (40, 200))
    data = encode(first, form, save_all=True, append_images=[second], **options)
    assert (decode(data) == 40).all()


def test_one_pixel() -> None:
    assert decode(encode(np.array([[7]], np.uint8))).tolist() == [[[7]]]
    assert decode(encode(np.zeros((1, 1, 3), np.uint8), "JPEG")).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("form", "options", "tail"),
    [
        ("JPEG", {}, 0),
        ("JPEG", {"progressive": True}, 0),
        ("WEBP", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PNG", {}, 20),  # checksums and end mark, after all pixels
        ("GIF", {}, 2),  # end marks
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_every_truncation_that_costs_pixels_is_noticed(form: str, options: dict[str, object], tail: int) -> None:
    data = encode(noise(7, 16, 16, 3), form, **options)
    for length in range(len(data) - tail):
        with pytest.raises(Unreadable):
            decode(data[:length])
    for length in range(len(data) - tail, len(data)):
        np.testing.assert_array_equal(decode(data[:length]), decode(data))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"this is not an image at all", "not a JPEG, PNG, WEBP, BMP, GIF or TIFF image"),
        (b"\xff\xd8\xff" + b"text" * 9, "not a JPEG|damaged|cannot"),
        (encode(noise(8, 4, 4, 3), "PPM"), "not a JPEG"),
        (png_of_claimed_size(40_000, 40_000), "more than 100 megapixels"),
        (png_of_claimed_size(10_001, 10_000), "more than 100 megapixels"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_is_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = save(tmp_path / "image.jpg", content)
    for attempt in (lambda: decode(content), lambda: read_image(path), lambda: read_header(read_content(path))):
        with pytest.raises(Unreadable, match=reason) as caught:
            attempt()
        assert len(caught.value.reason.splitlines()) == 1


def test_jpeg_of_claimed_size_is_refused_from_its_header() -> None:
    data = bytearray(encode(SMOOTH, "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(Unreadable, match="more than 100 megapixels"):
        decode(bytes(data))


def test_huge_files_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(Unreadable, match="more than 200 MB"):
        read_image(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_image(tmp_path)
    with pytest.raises(Unreadable, match="null"):
        read_image("a\0b")


@pytest.mark.slow
@settings(max_examples=150)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]), st.data())
@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_give_pixels_or_a_reason(form: str, data: st.DataObject) -> None:
    content = bytearray(encode(SMOOTH[:12, :12], form))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content))
    except Unreadable:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


def test_channels_are_converted_both_ways() -> None:
    colour = noise(9, 6, 6, 3)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(convert_channels(colour, 1)[..., 0], luma, atol=1)
    grey = colour[..., :1]
    np.testing.assert_array_equal(convert_channels(grey, 3), np.concatenate([grey] * 3, axis=2))
    assert convert_channels(grey, 1) is grey
