"""The reduced decoding of a JPEG, against Pillow's full one; everything else, against decoding and resizing in full."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convsmith.data import Unreadable, convert_channels, decode, open_images, resize
from convsmith.data.decode import decode_picture
from convsmith.data.resample import Fit, Part
from convsmith.data.square import read_square, square
from tests.data.samples import encode, noise, photograph, save, with_orientation

SIDE = 64


def in_full(data: bytes, fit: Fit) -> NDArray[np.int64]:
    """What Pillow makes of all pixels."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image = image if image.mode == "L" else image.convert("RGB")
    if fit == "letterbox":
        grey = 128 if image.mode == "L" else (128, 128, 128)
        scale = SIDE / max(image.size)
        inner = image.resize([round(size * scale) for size in image.size], Image.Resampling.BILINEAR)
        image = Image.new(image.mode, (SIDE, SIDE), grey)
        image.paste(inner, ((SIDE - inner.width) // 2, (SIDE - inner.height) // 2))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).reshape(SIDE, SIDE, -1).astype(np.int64)


def assert_near(pixels: NDArray[np.uint8], oracle: NDArray[np.int64]) -> None:
    difference = np.abs(pixels.astype(np.int64) - oracle)
    assert difference.mean() < 0.5
    assert (difference <= 3).mean() > 0.99
    assert difference.max() < 16


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(375, 500), (1500, 2000), (1203, 901), (321, 363)])
@pytest.mark.parametrize("fit", ["squash", "letterbox"])
def test_a_reduced_photograph_is_near_the_full_decode(shape: tuple[int, int], fit: Fit) -> None:
    data = encode(photograph(shape[0], *shape), "JPEG", quality=90)
    pixels, header = square(data, SIDE, 3, fit)
    assert header[:3] == (*shape, 3)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert_near(pixels, in_full(data, fit))


@pytest.mark.parametrize(
    "options",
    [{"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"optimize": True}, {"grey": True}],
)
def test_kinds_of_jpeg_are_reduced_alike(options: dict[str, bool]) -> None:
    image = photograph(5, 413, 555)
    grey = options.pop("grey", False)
    data = encode(image.convert("L") if grey else image, "JPEG", quality=90, **options)
    pixels, _ = square(data, SIDE, 1 if grey else 3, "squash")
    assert_near(pixels, in_full(data, "squash"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["squash", "letterbox"])
def test_a_turned_photograph_is_reduced_and_upright(orientation: int, fit: Fit) -> None:
    data = encode(photograph(2, 413, 555), "JPEG", quality=90, exif=with_orientation(orientation))
    assert_near(square(data, SIDE, 3, fit)[0], in_full(data, fit))


def test_cmyk_is_decoded_in_full() -> None:
    data = encode(photograph(3, 300, 400).convert("CMYK"), "JPEG", quality=90)
    np.testing.assert_array_equal(square(data, SIDE, 3, "squash")[0], in_full(data, "squash"))


@pytest.mark.parametrize("orientation", [1, 6])
def test_no_more_pixels_are_decoded_than_are_needed(orientation: int) -> None:
    data = encode(photograph(4, 403, 611), "JPEG", exif=with_orientation(orientation))
    turned = orientation == 6

    def shape_for(height: int, width: int) -> tuple[int, int, Part | None]:
        pixels, part, _ = decode_picture(data, lambda *_: (width, height) if turned else (height, width))
        rows, columns = pixels.shape[:2][::-1] if turned else pixels.shape[:2]
        return rows, columns, part

    assert shape_for(50, 76)[:2] == (51, 77)  # an eighth is 50.4 x 76.4
    assert shape_for(51, 1)[:2] == (101, 153)  # 100.75 x 152.75
    assert shape_for(1, 200)[:2] == (152, 230)  # 151.125 x 229.125
    assert shape_for(201, 305)[:2] == (202, 306)
    assert shape_for(202, 1) == (403, 611, None)
    part = shape_for(50, 76)[2]
    assert part is not None
    extent = (part.bottom - part.top, part.right - part.left)
    assert extent == ((76.375, 50.375) if turned else (50.375, 76.375))


def test_pictures_that_are_small_are_not_reduced() -> None:
    data = encode(photograph(4, 63, 500), "JPEG")
    assert decode_picture(data, lambda *_: (1, 1)).pixels.shape == (63, 500, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["squash", "letterbox"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_what_is_not_reduced_is_decoded_and_resized(form: str, fit: Fit, channels: int) -> None:
    for image in (noise(1, 90, 70, 3), noise(2, 40, 90), noise(3, SIDE, SIDE, 3)):
        data = encode(image, form)
        oracle = resize(convert_channels(decode(data), channels), SIDE, fit)
        np.testing.assert_array_equal(square(data, SIDE, channels, fit)[0], oracle)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_cut_photograph_is_noticed_when_it_is_reduced(options: dict[str, bool]) -> None:
    data = encode(photograph(6, 256, 300), "JPEG", **options)
    assert decode_picture(data, lambda *_: (20, 20)).pixels.shape == (32, 38, 3)
    for length in [*range(0, len(data), 997), *range(len(data) - 40, len(data))]:
        with pytest.raises(Unreadable):
            square(data[:length], 10, 3, "squash")


def test_the_cache_holds_what_a_prediction_sees(tmp_path: Path) -> None:
    for number in range(4):
        content = encode(photograph(number, 300, 420), "JPEG", exif=with_orientation(2 * number + 1))
        save(tmp_path / "ab"[number % 2] / f"{number}.jpg", content)
    images = open_images(tmp_path)
    read = partial(read_square, side=images.side, channels=images.channels, fit=images.fit)
    for name, pixels in zip(images.names, images.pixels, strict=True):
        np.testing.assert_array_equal(read(tmp_path / name), pixels)
