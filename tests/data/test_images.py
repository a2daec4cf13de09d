from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convsmith.data import Rejected, decode, open_images, resize
from convsmith.errors import DataError, RunError
from tests.data.samples import encode, fill_class, noise, png_of_claimed_size, save, two_classes


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in (root, *sorted(root.rglob("*")))
    }


def test_pixels_are_the_decoded_and_resized_files_in_listing_order(tmp_path: Path) -> None:
    two_classes(tmp_path, 3)
    seen: list[tuple[int, int]] = []
    images = open_images(tmp_path, side=8, progress=lambda done, total: seen.append((done, total)))
    assert images.names == tuple(f"{name}/{index:03}.png" for name in ("cat", "dog") for index in range(3))
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.labels.dtype == np.int64
    for name, pixels in zip(images.names, images.pixels, strict=True):
        np.testing.assert_array_equal(pixels, resize(decode((tmp_path / name).read_bytes()), 8, "squash"))
    assert seen == [(done, 6) for done in range(1, 7)]
    assert isinstance(images.pixels, np.memmap)
    assert not images.pixels.flags.writeable
    assert (images.root, len(images), images.native, images.rejected) == (str(tmp_path), 6, 10, ())


def test_second_opening_reads_no_image_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path)
    first = open_images(tmp_path)
    monkeypatch.setattr("convsmith.data.build.square", None)
    second = open_images(tmp_path)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.digest == second.digest


@pytest.mark.parametrize("change", ["content", "added", "removed", "renamed"])
def test_cache_is_rebuilt_when_a_file_changes(tmp_path: Path, change: str) -> None:
    two_classes(tmp_path)
    before = open_images(tmp_path)
    path = tmp_path / "cat/001.png"
    if change == "content":
        save(path, encode(255 - noise(1001, 10, 12, 3)))
    elif change == "added":
        save(tmp_path / "cat/new.png", encode(noise(5, 10, 12, 3)))
    elif change == "removed":
        path.unlink()
    else:
        path.rename(path.with_name("zzz.png"))
    after = open_images(tmp_path)
    assert after.digest != before.digest
    for name, pixels in zip(after.names, after.pixels, strict=True):
        np.testing.assert_array_equal(pixels, resize(decode((tmp_path / name).read_bytes()), after.side, after.fit))


def test_each_request_has_its_own_cache_entry(tmp_path: Path) -> None:
    two_classes(tmp_path)
    shapes = {
        open_images(tmp_path, side=side, channels=channels).pixels.shape for side in (4, 6) for channels in (1, 3)
    }
    assert shapes == {(8, side, side, channels) for side in (4, 6) for channels in (1, 3)}


@pytest.mark.parametrize("damage", ["pixels.npy", "images.json"])
def test_damaged_entry_is_rebuilt(tmp_path: Path, cache: Path, damage: str) -> None:
    two_classes(tmp_path)
    digest = open_images(tmp_path).digest
    (path,) = cache.glob(f"*/{damage}")
    path.write_bytes(path.read_bytes()[:-40])
    images = open_images(tmp_path)
    assert images.digest == digest
    assert images.pixels.shape[0] == 8


@pytest.mark.parametrize(
    ("shapes", "side"),
    [
        ([(28, 28)], 28),
        ([(7, 7)], 7),
        ([(1, 1)], 1),
        ([(64, 64)], 64),
        ([(90, 90)], 64),
        ([(30, 40)], 32),
        ([(20, 20), (25, 25), (90, 90)], 24),
        ([(1, 3)], 4),
    ],
)
def test_side_is_chosen_from_the_data(tmp_path: Path, shapes: list[tuple[int, int]], side: int) -> None:
    for name in ("cat", "dog"):
        for index, shape in enumerate(shapes):
            save(tmp_path / name / f"{index}.png", encode(noise(index, *shape)))
    images = open_images(tmp_path)
    assert (images.side, images.native) == (side, int(np.median([min(shape) for shape in shapes])))


def test_one_colour_image_makes_the_set_colour(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill_class(tmp_path / name, 3, shape=(8, 8))
    assert open_images(tmp_path).channels == 1
    save(tmp_path / "dog/colour.png", encode(noise(1, 8, 8, 3)))
    images = open_images(tmp_path)
    assert images.channels == 3
    assert (images.pixels[0] == images.pixels[0][..., :1]).all()


def test_many_long_images_bring_the_letterbox(tmp_path: Path) -> None:
    two_classes(tmp_path, 5)
    save(tmp_path / "cat/long.png", encode(noise(1, 10, 30, 3)))
    assert open_images(tmp_path).fit == "squash"  # 1 of 11
    save(tmp_path / "cat/tall.png", encode(noise(1, 30, 10, 3)))
    images = open_images(tmp_path)  # 2 of 12
    assert images.fit == "letterbox"
    assert (images.pixels[images.names.index("cat/tall.png")][:, 0] == 128).all()


def test_unreadable_images_are_left_out_with_reasons(tmp_path: Path) -> None:
    two_classes(tmp_path, 6)
    jpeg = encode(noise(1, 40, 40, 3), "JPEG")
    bad = {
        "cat/cut.jpg": (jpeg[: len(jpeg) // 2], "damaged: Premature end of JPEG file"),
        "cat/empty.png": (b"", "empty file"),
        "cat/text.jpg": (b"not an image", "not a JPEG, PNG, WEBP, BMP, GIF or TIFF image"),
        "dog/bomb.png": (png_of_claimed_size(40_000, 40_000), "more than 100 megapixels"),
    }
    for name, (content, _) in bad.items():
        save(tmp_path / name, content)
    save(tmp_path / "dog/notes.txt", b"")
    expected = {Rejected(name, reason) for name, (_, reason) in bad.items()}
    expected.add(Rejected("dog/notes.txt", "unknown extension '.txt'"))
    for images in (open_images(tmp_path), open_images(tmp_path)):
        assert set(images.rejected) == expected
        assert len(images.rejected) == 5
        assert len(images) == len(images.names) == len(images.labels) == len(images.pixels) == 12
        assert not set(images.names) & set(bad)


def test_over_half_unreadable_is_refused_with_counts_and_reasons(tmp_path: Path, cache: Path) -> None:
    two_classes(tmp_path, 1)
    for index in range(3):
        save(tmp_path / f"cat/bad {index}.png", b"junk")
    with pytest.raises(DataError, match=r"3 of 5 images cannot be read \(cat/bad 0.png: not a JPEG") as caught:
        open_images(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"junk", encode(noise(1, 9, 9, 3), "JPEG")[:-60]])
def test_emptied_class_is_refused(tmp_path: Path, content: bytes, cache: Path) -> None:
    two_classes(tmp_path, 4)
    for path in (tmp_path / "dog").iterdir():
        path.write_bytes(content)
    with pytest.raises(DataError, match="none of the 4 images of class 'dog' can be read"):
        open_images(tmp_path)
    assert list(cache.iterdir()) == []


def test_all_unreadable_is_refused(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/1.jpg"):
        save(tmp_path / name, b"")
    with pytest.raises(DataError, match="2 of 2 images cannot be read"):
        open_images(tmp_path)


def test_odd_names_survive_the_cache(tmp_path: Path) -> None:
    names = ["two words/a b.png", "two words/" + os.fsdecode(b"\xff.png"), "猫/图.png", "猫/new\nline.png"]
    for index, name in enumerate(names):
        save(tmp_path / name, encode(noise(index, 5, 5)))
    for _ in range(2):
        assert sorted(open_images(tmp_path).names) == sorted(names)


def test_manifest_is_opened_relative_to_itself_and_missing_files_are_rejected(tmp_path: Path) -> None:
    two_classes(tmp_path / "pictures")
    far = save(tmp_path / "far.png", encode(noise(1, 10, 12, 3)))
    rows = [f"pictures/{name}/{index:03}.png,{name},{split}"
            for name in ("cat", "dog") for index, split in enumerate(["train", "", "val", "test"])]  # fmt: skip
    manifest = save(
        tmp_path / "list.csv", "\n".join(["path,label,split", *rows, f"{far},cat,", "gone.png,cat,"]).encode()
    )
    images = open_images(manifest)
    assert images.declared == ("train", None, "val", "test") * 2 + (None,)
    assert images.names[-1] == str(far)
    assert images.rejected == (Rejected("gone.png", "No such file or directory"),)


def test_source_folder_is_never_touched(tmp_path: Path) -> None:
    two_classes(tmp_path)
    save(tmp_path / "cat/bad.jpg", encode(noise(1, 20, 20, 3), "JPEG")[:-30])
    before = snapshot(tmp_path)
    open_images(tmp_path)
    open_images(tmp_path, side=5)
    assert snapshot(tmp_path) == before


def test_cache_within_the_source_is_refused(tmp_path: Path) -> None:
    two_classes(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match="must not lie in the image folder"):
        open_images(tmp_path, cache=tmp_path / "cat/cache")
    assert snapshot(tmp_path) == before


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("convsmith.data.pixel_file.os.fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*free some space"):
        open_images(tmp_path)
    assert list(cache.iterdir()) == []
    monkeypatch.undo()
    assert len(open_images(tmp_path, cache=cache)) == 8


@pytest.mark.slow
def test_really_full_disk(tmp_path: Path, cache: Path) -> None:
    """A file size limit makes the kernel itself refuse to write, as a full disk does."""
    two_classes(tmp_path)
    code = (
        "import resource, signal, sys; from pathlib import Path; from convsmith.data import open_images\n"
        "from convsmith.errors import RunError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: open_images(Path(sys.argv[1]), side=64)\n"
        "except RunError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "cannot write: File too large" in done.stderr
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path / "images")
    monkeypatch.setenv("CONVSMITH_CACHE", str(save(tmp_path / "file", b"")))
    with pytest.raises(RunError, match="cannot write"):
        open_images(tmp_path / "images")


def test_interruption_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    two_classes(tmp_path)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(tmp_path, progress=stop)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_two_processes_build_at_once(tmp_path: Path, cache: Path) -> None:
    """Each builder waits in the middle until the other has begun, so both really build."""
    root = two_classes(tmp_path / "images")
    code = (
        "import sys, time; from pathlib import Path; from convsmith.data import open_images\n"
        "root, mine, other = map(Path, sys.argv[1:])\n"
        "def wait(done, total):\n"
        "    mine.touch()\n"
        "    while not other.exists(): time.sleep(0.01)\n"
        "print(open_images(root, progress=wait).digest)\n"
    )
    flags = [tmp_path / "a", tmp_path / "b"]
    builders = [
        subprocess.Popen([sys.executable, "-c", code, root, *order], stdout=subprocess.PIPE, text=True)
        for order in (flags, flags[::-1])
    ]
    digests = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert digests == {open_images(root).digest}
    assert len(list(cache.iterdir())) == 1


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path / "images")
    monkeypatch.delenv("CONVSMITH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    open_images(tmp_path / "images")
    assert len(list((tmp_path / "xdg/convsmith").iterdir())) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    open_images(tmp_path / "images")
    assert len(list((tmp_path / "home/.cache/convsmith").iterdir())) == 1


def test_leaks_and_groups_find_the_same_picture_in_other_formats(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        for offset, name in enumerate(("cat", "dog")):
            fill_class(tmp_path / split / name, 3, seed=10 * seed + offset)
    assert open_images(tmp_path).leaks == 0
    shared = noise(10_000, 10, 12, 3)  # train/cat/000.png
    save(tmp_path / "test/cat/copy.png", encode(shared))
    save(tmp_path / "val/cat/copy.bmp", encode(shared, "BMP"))
    save(tmp_path / "train/cat/again.png", encode(shared))
    images = open_images(tmp_path)
    assert images.leaks == 2
    same = [
        index
        for index, group in enumerate(images.groups)
        if group == images.groups[images.names.index("test/cat/copy.png")]
    ]
    assert {images.names[index] for index in same} == {
        "train/cat/000.png", "train/cat/again.png", "test/cat/copy.png", "val/cat/copy.bmp",
    }  # fmt: skip
    assert set(images.groups.tolist()) <= set(range(len(images)))


def test_digest_covers_pixels_labels_and_classes(tmp_path: Path) -> None:
    digests = set()
    for index, names in enumerate([("cat", "dog"), ("cat", "eel"), ("cat", "dog")]):
        root = tmp_path / str(index)
        for seed, name in enumerate(names):
            fill_class(root / name, 2, seed=seed)
        if index == 2:
            (root / "cat/000.png").rename(root / "dog/000a.png")
        digests.add(open_images(root).digest)
    assert len(digests) == 3
    copied = tmp_path / "copy"
    for seed, name in enumerate(("cat", "dog")):
        fill_class(copied / name, 2, seed=seed)
    assert open_images(copied).digest == open_images(tmp_path / "0").digest
    assert len(bytes.fromhex(open_images(copied).digest)) == hashlib.sha256().digest_size


@pytest.mark.parametrize(
    ("request_", "message"),
    [({"side": 0}, "from 1 to 4096"), ({"side": 5000}, "from 1"), ({"channels": 2}, "1 .grey. or 3")],
)
def test_impossible_requests_are_refused(request_: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_images("digits", **request_)


def test_oriented_jpeg_is_upright_in_the_cache(tmp_path: Path) -> None:
    two_classes(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = np.zeros((12, 20), np.uint8)
    tall[:, :10] = 255  # stored with the white half at the left; upright it is on top
    save(tmp_path / "cat/turned.jpg", encode(tall, "JPEG", exif=exif))
    images = open_images(tmp_path, side=8)
    upright = images.pixels[images.names.index("cat/turned.jpg")]
    assert upright[:3].mean() > 200
    assert upright[5:].mean() < 50


def test_digest_changes_with_a_label_alone(tmp_path: Path) -> None:
    two_classes(tmp_path, 2)
    digests = set()
    for labels in ("aabb", "abab"):
        rows = [f"{name}/{index:03}.png" for name in ("cat", "dog") for index in range(2)]
        text = "\n".join(["path,label", *(f"{row},{label}" for row, label in zip(rows, labels, strict=True))])
        digests.add(open_images(save(tmp_path / "list.csv", text.encode())).digest)
    assert len(digests) == 2


def test_undeclared_images_count_as_train_for_leaks(tmp_path: Path) -> None:
    two_classes(tmp_path, 2)
    same = (tmp_path / "cat/000.png").read_bytes()
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.png", same)
    rows = ["cat/000.png,cat,", "a.png,cat,train", "b.png,cat,", "dog/000.png,dog,test", "dog/001.png,dog,train"]
    text = "\n".join(["path,label,split", *rows])
    assert open_images(save(tmp_path / "list.csv", text.encode())).leaks == 0
    assert open_images(save(tmp_path / "list.csv", f"{text}\nc.png,cat,test".encode())).leaks == 1


def test_entry_with_the_wrong_number_of_pixels_is_rebuilt(tmp_path: Path, cache: Path) -> None:
    two_classes(tmp_path)
    pixels = np.array(open_images(tmp_path).pixels)
    (path,) = cache.glob("*/pixels.npy")
    np.save(path, pixels[:-1])
    np.testing.assert_array_equal(open_images(tmp_path).pixels, pixels)
