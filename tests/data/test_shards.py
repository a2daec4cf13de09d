"""Tar archives as sources: the same images as from files, nothing unpacked, every loss with its reason."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from convsmith.data import Rejected, list_images, open_images, read_image
from convsmith.errors import DataError
from tests.data.samples import encode, noise


def pack(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def shard(path: Path, labels: list[str], seed: int = 0, form: str = "PNG") -> Path:
    files: dict[str, bytes] = {}
    for index, label in enumerate(labels):
        files[f"{index:05}.{form.lower()}"] = encode(noise(seed + index, 9, 11, 3), form)
        files[f"{index:05}.cls"] = label.encode()
    return pack(path, files)


def test_images_of_an_archive_are_those_of_its_files(tmp_path: Path) -> None:
    path = shard(tmp_path / "all.tar", ["cat", "dog", "cat", "dog"])
    images = open_images(path, side=9)
    assert images.names == tuple(f"all.tar/{index:05}.png" for index in range(4))
    assert [images.classes[label] for label in images.labels] == ["cat", "dog", "cat", "dog"]
    for index in range(4):
        folder = tmp_path / "files" / ("cat", "dog")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:05}.png").write_bytes(encode(noise(index, 9, 11, 3)))
    loose = open_images(tmp_path / "files", side=9)
    order = [loose.names.index(f"{('cat', 'dog')[index % 2]}/{index:05}.png") for index in range(4)]
    assert np.array_equal(images.pixels, loose.pixels[order])
    assert np.array_equal(read_image(path / "00002.png"), noise(2, 9, 11, 3))
    assert set(os.listdir(tmp_path)) == {"files", "all.tar"}


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    assert list_images(shard(tmp_path / "x.tar", ["10", "9", "2"])).classes == ("2", "9", "10")


def test_a_label_may_stand_in_a_json_file(tmp_path: Path) -> None:
    files = {"a/1.jpg": encode(noise(1, 8, 8, 3), "JPEG"), "a/1.json": b'{"label": 3, "text": "x"}'}
    files |= {"a/2.PNG": encode(noise(2, 8, 8, 3)), "a/2.json": b'{"class": "seven"}', "a/2.txt": b"caption"}
    listing = list_images(pack(tmp_path / "x.tar", files))
    assert [(item.path, listing.classes[item.label]) for item in listing.items] == [
        ("x.tar/a/1.jpg", "3"),
        ("x.tar/a/2.PNG", "seven"),
    ]


@pytest.mark.parametrize(
    "layout", ["train-0.tar val-0.tar", "train/0.tar val/0.tar", "a_TRAIN_0.tar a_validation_0.tar"]
)
def test_archives_declare_splits_by_their_names(tmp_path: Path, layout: str) -> None:
    first, second = layout.split()
    shard(tmp_path / first, ["cat", "dog"])
    shard(tmp_path / second, ["cat", "dog"], seed=10)
    assert sorted((item.path, item.split) for item in list_images(tmp_path).items) == sorted(
        (f"{name}/{index:05}.png", split) for name, split in ((first, "train"), (second, "val")) for index in range(2)
    )


def test_an_archive_beside_class_folders_is_not_a_source(tmp_path: Path) -> None:
    shard(tmp_path / "backup.tar", ["x", "y"])
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(encode(noise(1, 8, 8, 3)))
    assert list_images(tmp_path).classes == ("cat", "dog")


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    for name in ("cat.tar", "dog.tar"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(encode(noise(len(name), 8, 8, 3)))
    assert len(open_images(tmp_path)) == 2


def test_every_sample_left_out_has_its_reason(tmp_path: Path) -> None:
    good = encode(noise(1, 8, 8, 3))
    files = {"1.png": good, "1.cls": b"cat", "2.png": encode(noise(2, 8, 8, 3)), "2.cls": b"dog"}
    files |= {"3.png": good, "4.cls": b"cat", "5.png": good, "5.jpg": good, "5.cls": b"cat"}
    files |= {"6.png": good, "6.cls": b" \n", "7.png": good, "7.json": b"[3]", "8.png": good, "8.cls": b"\xff\xfe\xfd"}
    files |= {"9.txt": b"x", ".hidden.png": good, "sub/.DS_Store": b""}
    listing = list_images(pack(tmp_path / "x.tar", files))
    assert [item.path for item in listing.items] == ["x.tar/1.png", "x.tar/2.png"]
    assert listing.rejected == (
        Rejected("x.tar/3.png", "no label (.cls or .json) beside it"),
        Rejected("x.tar/4.cls", "a label without an image"),
        Rejected("x.tar/5.png", "more than one image of this name"),
        Rejected("x.tar/6.png", "no class in its .cls file"),
        Rejected("x.tar/7.png", "no class in its .json file"),
        Rejected("x.tar/8.png", "no class in its .cls file"),
    )


def test_a_damaged_image_in_an_archive_is_rejected_and_the_rest_kept(tmp_path: Path) -> None:
    files = {name: encode(noise(seed, 8, 8, 3)) for seed, name in enumerate(("1.png", "2.png", "3.png"))}
    files["3.png"] = files["3.png"][:60]
    files |= {"1.cls": b"a", "2.cls": b"b", "3.cls": b"b"}
    images = open_images(pack(tmp_path / "x.tar", files))
    assert images.names == ("x.tar/1.png", "x.tar/2.png")
    assert [entry.path for entry in images.rejected] == ["x.tar/3.png"]


def test_links_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encode(noise(5, 8, 8, 3)))
    path = shard(tmp_path / "in" / "x.tar", ["a", "b"])
    with tarfile.open(path, "a") as tar:
        for name, target in (("7.png", str(secret)), ("8.png", "00000.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        label = tarfile.TarInfo("7.cls")
        label.size = 1
        tar.addfile(label, io.BytesIO(b"a"))
    listing = list_images(path)
    assert len(listing.items) == 2
    assert [(entry.path, entry.reason) for entry in listing.rejected] == [
        ("x.tar/7.png", "a link within an archive is not read"),
        ("x.tar/8.png", "a link within an archive is not read"),
        ("x.tar/7.cls", "a label without an image"),
    ]


@pytest.mark.parametrize("harm", ["compressed", "cut", "text"])
def test_an_archive_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, harm: str) -> None:
    path = shard(tmp_path / "x.tar", ["a", "b", "a", "b"])
    content = path.read_bytes()
    if harm == "compressed":
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("x"))
    else:
        path.write_bytes(content[:700] if harm == "cut" else b"no archive" * 200)
    with pytest.raises(DataError, match=r"x\.tar: cannot read the tar archive: ") as caught:
        list_images(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_damaged_archive_is_refused_or_gives_what_is_whole(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", ["a", "b", "a", "b"])
    content, images = path.read_bytes(), open_images(path, side=11, channels=3)
    whole = {name.partition("/")[2]: row.tobytes() for name, row in zip(images.names, images.pixels, strict=True)}
    cut = [content[:end] for end in range(0, len(content), 251)]
    flips = np.random.default_rng(0).integers(0, len(content), 60)
    flipped = [content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :] for place in flips]
    outcomes: list[str] = []
    for number, harmed in enumerate([*cut, *flipped]):
        (tmp_path / f"{number}.tar").write_bytes(harmed)
        try:
            found = open_images(tmp_path / f"{number}.tar", side=11, channels=3)
        except DataError:
            outcomes.append("refused")
            continue
        outcomes.append("read")
        for name, row in zip(found.names, found.pixels, strict=True):
            if number < len(cut):
                assert row.tobytes() == whole[name.partition("/")[2]]
    assert set(outcomes) == {"refused", "read"}


def test_the_cache_is_made_again_when_an_archive_changes(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", ["a", "b"])
    before = open_images(path)
    os.utime(shard(path, ["a", "b"], seed=50), ns=(1, 1))
    after = open_images(path)
    assert before.digest != after.digest
    assert open_images(path).digest == after.digest
