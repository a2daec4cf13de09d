"""Files made to do harm: what comes out is the right picture or a reason in one line, and never anything else."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convsmith.data import Unreadable, list_images, open_images
from convsmith.data.square import read_square, square
from convsmith.data.stored import MAX_BYTES, MAX_HEADER_BYTES, contents, read_bytes
from convsmith.errors import DataError
from tests.data.samples import encode, noise, photograph, png_of_claimed_size, save, two_classes, with_orientation

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
PICTURE = photograph(1, 96, 130)
GREY = PICTURE.convert("L")
KINDS: dict[str, bytes] = {
    **{form: encode(PICTURE, form) for form in FORMATS},
    "progressive": encode(PICTURE, "JPEG", progressive=True, exif=with_orientation(6)),
    "grey": encode(GREY, "JPEG"),
    "CMYK": encode(PICTURE.convert("CMYK"), "JPEG"),
    "palette": encode(PICTURE.quantize(64), transparency=bytes(range(64))),
    "alpha": encode(PICTURE.convert("RGBA"), "WEBP"),
    "16 bit": encode(np.arange(96 * 130, dtype=np.uint16).reshape(96, 130) * 5),
    "interlaced": encode(PICTURE.convert("LA"), exif=with_orientation(3)),
    "lzw": encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "jpeg in tiff": encode(PICTURE, "TIFF", compression="jpeg"),
    "animated gif": encode(GREY, "GIF", save_all=True, append_images=[GREY.rotate(90)]),
    "animated webp": encode(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)]),
    "animated png": encode(GREY, "PNG", save_all=True, append_images=[GREY.rotate(90)]),
    "pages": encode(PICTURE, "TIFF", save_all=True, append_images=[GREY]),
}


@pytest.mark.slow
@settings(max_examples=1500)
@given(st.sampled_from(sorted(KINDS)), st.data())
@pytest.mark.filterwarnings("ignore")
def test_damage_gives_a_picture_or_a_reason(kind: str, data: st.DataObject) -> None:
    content = bytearray(KINDS[kind])
    # Most damage near the start, where the headers are.
    places = st.one_of(st.integers(0, min(700, len(content) - 1)), st.integers(0, len(content) - 1))
    for place in data.draw(st.lists(places, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    start, end = sorted(data.draw(st.tuples(places, places)))
    match data.draw(st.sampled_from(["keep", "cut", "drop", "repeat"])):
        case "cut":
            del content[end:]
        case "drop":
            del content[start:end]
        case "repeat":
            content[end:end] = content[start:end]
    try:
        pixels, header = square(bytes(content), 24, 3, "letterbox")
    except Unreadable as error:
        reason = error.reason
    else:
        assert (pixels.shape, pixels.dtype) == ((24, 24, 3), np.uint8)
        assert header.height * header.width <= 100_000_000
        reason = "none"
    assert len(reason.splitlines()) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "gif", "bmp", "tif"])
def test_a_wrong_extension_does_not_matter(tmp_path: Path, kind: str, extension: str) -> None:
    path = save(tmp_path / f"x.{extension}", KINDS[kind])
    np.testing.assert_array_equal(read_square(path, 30, 3, "squash"), square(KINDS[kind], 30, 3, "squash")[0])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize(("height", "width"), [(1, 65535), (65535, 1), (1, 1)])
@pytest.mark.parametrize("fit", ["squash", "letterbox"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_longest_and_the_smallest_pictures(form: str, height: int, width: int, fit: str, channels: int) -> None:
    if form == "JPEG" and max(height, width) > 65500:  # the most that its library writes; the header is then ours
        data = bytearray(encode(np.full((min(height, 8), min(width, 8)), 77, np.uint8), "JPEG"))
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        with pytest.raises(Unreadable):
            square(bytes(data), 16, channels, "squash" if fit == "squash" else "letterbox")
        return
    data = encode(np.full((height, width), 77, np.uint8), form)
    pixels = square(data, 16, channels, "squash" if fit == "squash" else "letterbox")[0]
    assert pixels.shape == (16, 16, channels)
    assert (pixels == 77).sum() == (256 if fit == "squash" or height == width else 16) * channels


@pytest.mark.parametrize("side", [65500, 20_000])
def test_the_longest_jpeg(side: int) -> None:
    for shape in ((1, side), (side, 1), (16, side)):
        data = encode(np.full(shape, 77, np.uint8), "JPEG")
        assert (square(data, 16, 1, "squash")[0] == 77).all()


@pytest.mark.parametrize("harm", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.filterwarnings("ignore")
def test_bombs_are_refused_by_their_headers(harm: str) -> None:
    content = bytearray(KINDS[harm])
    big = (60_000).to_bytes(2, "big"), (60_000).to_bytes(2, "little")
    if harm == "PNG":
        content = bytearray(png_of_claimed_size(60_000, 60_000))
    elif harm == "JPEG":
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = big[0] * 2
    elif harm == "GIF":
        content[6:10] = big[1] * 2
    elif harm == "BMP":
        content[18:26] = (big[1] + b"\0\0") * 2
    elif harm == "TIFF":
        picture = Image.open(io.BytesIO(content))
        for tag, value in ((256, picture.width), (257, picture.height)):
            entry = content.index(tag.to_bytes(2, "little"), 8)
            place = content.index(value.to_bytes(2, "little"), entry + 8)
            content[place : place + 4] = (60_000).to_bytes(4, "little")
    else:
        start = content.index(b"VP8 ") + 8 + 6
        content[start : start + 4] = (16_383).to_bytes(2, "little") * 2
    with pytest.raises(Unreadable, match="more than 100 megapixels"):
        square(bytes(content), 16, 3, "squash")


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, raw_size: bytes = b"") -> bytes:
    """A tar header as tarfile writes it, its size claimed."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = raw_size or b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def attribute(name: str, value: str) -> bytes:
    """A record of a sparse file's attributes; it begins with its own length."""
    text = f" GNU.sparse.{name}={value}\n"
    return f"{len(text) + 2}{text}".encode()


END = bytes(1024)
GOOD = b"".join(
    member(f"{n}.png", encode(noise(n, 8, 8, 3))) + member(f"{n}.cls", b"ab"[n % 2 : n % 2 + 1]) for n in range(4)
)
ENDLESS = b"\xff" + (2**88 - 512).to_bytes(11, "big")
HARM: dict[str, Callable[[], bytes]] = {
    "a name of 8 GB": lambda: GOOD + header("././@LongLink", 8 << 30, tarfile.GNUTYPE_LONGNAME) + END,
    "a name of 2 MB": lambda: GOOD + member("././@LongLink", b"x" * (2 << 20), tarfile.GNUTYPE_LONGNAME) + GOOD + END,
    "attributes of 8 GB": lambda: GOOD + header("x", 8 << 30, tarfile.XHDTYPE) + END,
    "global attributes of 8 GB": lambda: header("x", 8 << 30, tarfile.XGLTYPE) + GOOD + END,
    "attributes without end": lambda: GOOD + member("x", b"30 mtime=1234567890.123456789\n", tarfile.XHDTYPE) * 3000,
    "a negative size": lambda: GOOD + header("x.png", 0, raw_size=ENDLESS) + END,
    "a negative size in attributes": lambda: GOOD + member("x", b"14 size=-1024\n", tarfile.XHDTYPE) + GOOD + END,
    "a size of 5000 digits": lambda: GOOD + member("x", b"5011 size=" + b"9" * 5000 + b"\n", tarfile.XHDTYPE) + GOOD,
    "a member beyond the end": lambda: GOOD + header("x.png", 1 << 30) + END,
    "a damaged header": lambda: GOOD + b"\1" * 512 + GOOD + END,
    "compression": lambda: b"\x1f\x8b" + bytes(600),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("harm", HARM)
def test_a_harmful_archive_is_refused_in_one_line(tmp_path: Path, harm: str) -> None:
    path = save(tmp_path / "x.tar", HARM[harm]())
    with pytest.raises(DataError, match=r"x\.tar: cannot read the tar archive: ") as caught:
        list_images(path)
    assert len(str(caught.value).splitlines()) == 1
    assert ("leads back" in str(caught.value)) == ("negative" in harm)  # else it is walked for ever


def test_an_archive_of_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.tar", GOOD + END)
    monkeypatch.setattr("convsmith.data.stored.MAX_MEMBERS", 7)
    with pytest.raises(DataError, match="more than 7 members"):
        list_images(path)


def test_long_names_and_attributes_within_reason_are_read(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
            for number in range(4):
                for extension, content in (("png", encode(noise(number, 8, 8, 3))), ("cls", b"ab"[number % 2 :][:1])):
                    info = tarfile.TarInfo(f"{'long/' * 60}é{number}.{extension}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        assert len(open_images(tmp_path / "x.tar")) == 4
    assert MAX_HEADER_BYTES >= 1 << 16


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    """The pictures are the archive's own, whatever lies on the disk under such a name."""
    inside = two_classes(tmp_path / "in")
    names = ["../cat/000.png", str(inside / "cat" / "000.png"), "a/../../x.png", "./b.png", "c.tar/d.png", "e\nf.png"]
    parts = [
        member(name, encode(noise(500 + number, 8, 8, 3))) + member(name[:-4] + ".cls", b"ab"[number % 2 :][:1])
        for number, name in enumerate(names)
    ]
    images = open_images(save(inside / "deep" / "x.tar", b"".join(parts) + END), side=8, channels=3)
    assert len(images) == len(names)
    assert {pixels.tobytes() for pixels in images.pixels} == {noise(500 + n, 8, 8, 3).tobytes() for n in range(6)}


def test_members_that_are_no_files_are_listed_with_what_they_are(tmp_path: Path) -> None:
    kinds = {
        "1.png": (tarfile.SYMTYPE, "a link"), "2.png": (tarfile.LNKTYPE, "a link"),
        "3.png": (tarfile.FIFOTYPE, "a pipe"), "4.png": (tarfile.CHRTYPE, "a device"),
        "5.png": (tarfile.BLKTYPE, "a device"), "6.png": (tarfile.DIRTYPE, "a folder"),
    }  # fmt: skip
    content = b"".join(header(f"x/{name}", 0, kind) for name, (kind, _) in kinds.items())
    sparse = attribute("major", "1") + attribute("minor", "0") + attribute("name", "7.png") + attribute("realsize", "9")
    content += member("s", sparse, tarfile.XHDTYPE) + member("s.png", b"1\n0\n512\n".ljust(512, b"\0"))
    path = save(tmp_path / "x.tar", GOOD + content + END)
    listing = list_images(path)
    assert len(listing.items) == 4
    assert {entry.path: entry.reason for entry in listing.rejected} == {
        **{f"x.tar/x/{name}": f"{what} within an archive is not read" for name, (_, what) in kinds.items()},
        "x.tar/7.png": "a sparse file within an archive is not read",
    }


def test_the_later_of_two_members_of_one_name_counts(tmp_path: Path) -> None:
    old, new = (encode(noise(number, 8, 8, 3)) for number in (100, 200))
    path = save(tmp_path / "x.tar", GOOD + member("9.cls", b"a") + member("9.png", old) + member("9.png", new) + END)
    assert read_bytes(path / "9.png") == new
    link = save(tmp_path / "y.tar", GOOD + member("9.png", old) + header("9.png", 0, tarfile.SYMTYPE) + END)
    assert "9.png" not in contents(str(link)).files


def test_a_huge_member_is_refused_unread(tmp_path: Path) -> None:
    path = save(tmp_path / "x.tar", GOOD + member("9.cls", b"a") + header("9.png", MAX_BYTES + 1))
    with path.open("r+b") as stream:
        stream.truncate(len(GOOD) + 3 * 512 + -(-(MAX_BYTES + 1) // 512) * 512 + 1024)
    images = open_images(path)
    assert [(entry.path, entry.reason) for entry in images.rejected] == [("x.tar/9.png", "more than 200 MB")]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", b"[" * 100_000), ("json", b'{"label": ' + b"9" * 5000 + b"}"), ("json", b'{"label": NaN}'),
        ("json", b'{"label": {"a": 1}}'), ("json", b'{"label": true}'), ("json", b'{"label": "a\\nb"}'),
        ("json", json.dumps({"label": "x" * 1001}).encode()), ("json", b"\xff\xfe"), ("cls", b"x" * (2 << 20)),
        ("cls", b"a\0b"), ("cls", b"a\x1b[31mb"), ("cls", b""),
    ],
)  # fmt: skip
def test_labels_that_are_none_are_listed(tmp_path: Path, kind: str, text: bytes) -> None:
    path = save(tmp_path / "x.tar", GOOD + member("9.png", encode(noise(9, 8, 8, 3))) + member(f"9.{kind}", text) + END)
    listing = list_images(path)
    assert listing.classes == ("a", "b")
    assert [entry.reason for entry in listing.rejected] == [f"no class in its .{kind} file"]


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_a_damaged_archive_is_refused_or_gives_what_is_whole(tmp_path_factory, data: st.DataObject) -> None:
    content = bytearray(GOOD + END)
    headers = [place + offset for place in range(0, len(content), 512) for offset in (0, 5, 100, 124, 130, 148, 156)]
    for place in data.draw(st.lists(st.sampled_from(headers), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = save(tmp_path_factory.mktemp("tar") / "x.tar", bytes(content[: data.draw(st.integers(0, len(content)))]))
    reasons = ["none"]
    try:
        items = list_images(path).items
    except DataError as error:
        items, reasons = (), [str(error)]
    for item in items:
        try:
            assert read_square(path.parent / item.path, 8, 3, "squash").shape == (8, 8, 3)
        except Unreadable as error:
            reasons.append(error.reason)
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
