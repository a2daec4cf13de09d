"""What files say of themselves, and which of them cannot be read."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from convsmith.data.checks import headers
from convsmith.data.checks.headers import count_kinds, read_headers, uniform_headers
from tests.data.samples import encode, noise, png_of_claimed_size, save


@pytest.fixture
def folder(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    photo = Image.fromarray(noise(1, 20, 30, 3))
    save(tmp_path / "a.jpg", encode(photo, "JPEG"))
    save(tmp_path / "turned.jpg", encode(photo, "JPEG", exif=exif))
    save(tmp_path / "grey.png", encode(noise(2, 7, 5)))
    save(tmp_path / "palette.gif", encode(photo.convert("P"), "GIF"))
    save(tmp_path / "cmyk.jpg", encode(photo.convert("CMYK"), "JPEG"))
    save(tmp_path / "clear.webp", encode(noise(3, 9, 9, 4), "WEBP"))
    save(tmp_path / "cut.jpg", encode(photo, "JPEG")[:-200])
    save(tmp_path / "bomb.png", png_of_claimed_size(20_000, 20_000))
    save(tmp_path / "text.jpg", b"no image at all")
    save(tmp_path / "empty.jpg", b"")
    return tmp_path


def test_size_mode_format_and_bytes_are_what_pillow_says(folder):
    names = ["a.jpg", "turned.jpg", "grey.png", "palette.gif", "cmyk.jpg", "clear.webp"]
    found = read_headers(str(folder), names)
    assert found.reasons == ("",) * 6
    assert found.size.tolist() == [(folder / name).stat().st_size for name in names]
    sizes = list(zip(found.width.tolist(), found.height.tolist(), strict=True))
    opened = []
    for name in names:
        with Image.open(folder / name) as image:
            opened.append(image)
    assert sizes[0] == opened[0].size
    assert sizes[1] == opened[1].size[::-1] == (20, 30)  # as it is to be looked at
    assert sizes[2:] == [image.size for image in opened[2:]]
    assert found.modes == tuple(image.mode for image in opened) == ("RGB", "RGB", "L", "P", "CMYK", "RGBA")
    assert found.formats == tuple(image.format for image in opened)
    assert count_kinds(found.formats) == {"JPEG": 3, "PNG": 1, "GIF": 1, "WEBP": 1}


def test_what_cannot_be_read_has_a_reason_and_stops_nothing(folder):
    names = ["text.jpg", "a.jpg", "empty.jpg", "bomb.png", "missing.jpg", "cut.jpg"]
    quick = read_headers(str(folder), names)
    assert quick.readable.tolist() == [False, True, False, False, False, True]
    whole = read_headers(str(folder), names, whole=True)
    assert whole.readable.tolist() == [False, True, False, False, False, False]
    assert whole.reasons[2] == "empty file"
    assert whole.height[~whole.readable].tolist() == [0] * 5
    left = whole.at(np.flatnonzero(whole.readable))
    assert (left.formats, left.height.tolist(), left.reasons) == (("JPEG",), [20], ("",))


def test_members_of_archives_have_headers_too(tmp_path):
    content = encode(noise(1, 6, 8, 3))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo("in/0.png")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    found = read_headers(str(tmp_path), ["x.tar/in/0.png"])
    assert (found.height[0], found.width[0], found.size[0], found.modes) == (6, 8, len(content), ("RGB",))


def test_many_files_are_read_in_order_by_several_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(headers, "available_threads", lambda: 3)
    monkeypatch.setattr(headers, "_BLOCK", 4)
    names = [f"{index}.png" for index in range(30)]
    for index, name in enumerate(names):
        save(tmp_path / name, encode(noise(index, 1 + index, 3)))
    told = []
    found = read_headers(str(tmp_path), names, progress=lambda *state: told.append(state))
    assert found.height.tolist() == list(range(1, 31))
    assert told[-1] == (30, 30)
    assert len(told) == 8


def test_images_without_files_are_alike():
    found = uniform_headers(3, 8, 9, 1)
    assert found.count_sizes() == [((8, 9), 3)]
    assert (found.modes, count_kinds(found.formats)) == (("L",) * 3, {})
    assert found.readable.all()
