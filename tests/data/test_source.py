from __future__ import annotations

import os
from pathlib import Path

import pytest

from convsmith.data import Item, Rejected, list_images
from convsmith.errors import DataError
from tests.data.samples import fill_class, save, two_classes


def listed(root: Path) -> list[tuple[str, str, str | None]]:
    listing = list_images(root)
    return [(item.path, listing.classes[item.label], item.split) for item in listing.items]


def test_class_folders_are_listed_in_order_with_nested_and_hidden_files(tmp_path: Path) -> None:
    for name in ("dog/b.jpg", "dog/a.PNG", "dog/deep/er/c.webp", "cat/x.gif", "cat/.hidden.jpg", ".git/y.jpg"):
        save(tmp_path / name, b"")
    assert listed(tmp_path) == [
        ("cat/x.gif", "cat", None),
        ("dog/a.PNG", "dog", None),
        ("dog/b.jpg", "dog", None),
        ("dog/deep/er/c.webp", "dog", None),
    ]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_declare_splits(tmp_path: Path, val: str) -> None:
    for name in (f"{val}/cat/1.jpg", "train/cat/2.jpg", "train/dog/3.jpg"):
        save(tmp_path / name, b"")
    assert sorted(listed(tmp_path)) == sorted(
        [(f"{val}/cat/1.jpg", "cat", "val"), ("train/cat/2.jpg", "cat", "train"), ("train/dog/3.jpg", "dog", "train")]
    )


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train/1.jpg", "bus/2.jpg"):
        save(tmp_path / name, b"")
    assert list_images(tmp_path).classes == ("bus", "train")


def test_split_folders_beside_class_folders_are_refused(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "extra/2.jpg"):
        save(tmp_path / name, b"")
    with pytest.raises(DataError, match=r"side by side.*'train', 'extra'"):
        list_images(tmp_path)


def test_other_files_are_rejected_with_a_reason_and_never_dropped_silently(tmp_path: Path) -> None:
    two_classes(tmp_path)
    save(tmp_path / "cat/notes.txt", b"hello")
    save(tmp_path / "loose.jpg", b"")
    save(tmp_path / "README.md", b"")
    (tmp_path / "dog/gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "dog/pipe.jpg")
    assert set(list_images(tmp_path).rejected) == {
        Rejected("cat/notes.txt", "unknown extension '.txt'"),
        Rejected("loose.jpg", "not in a class folder"),
        Rejected("dog/gone.jpg", "broken link"),
        Rejected("dog/pipe.jpg", "not a regular file"),
    }


def test_names_with_spaces_chinese_newlines_and_broken_utf8(tmp_path: Path) -> None:
    names = ["two words/a b.jpg", "猫/图.jpg", "new\nline/c\nd.jpg", "cat/" + os.fsdecode(b"\xff\xfe.jpg")]
    for name in names:
        save(tmp_path / name, b"")
    assert sorted(path for path, _, _ in listed(tmp_path)) == sorted(names)


def test_symlink_loops_end_and_links_never_carry_images_into_another_class(tmp_path: Path) -> None:
    two_classes(tmp_path, 2)
    (tmp_path / "cat/up").symlink_to(tmp_path)
    (tmp_path / "cat/self").symlink_to(tmp_path / "cat/self")
    (tmp_path / "cat/round").symlink_to(tmp_path / "cat")
    listing = list_images(tmp_path)
    assert [item.path for item in listing.items] == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]
    assert listing.rejected == (Rejected("cat/self", "broken link"),)


def test_a_linked_folder_is_walked_once(tmp_path: Path) -> None:
    outside = fill_class(tmp_path / "outside", 2)
    root = two_classes(tmp_path / "root", 1)
    for name in ("one", "two"):
        (root / "cat" / name).symlink_to(outside)
    assert [item.path for item in list_images(root).items if item.label == 0] == [
        "cat/000.png", "cat/one/000.png", "cat/one/001.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no class folder found"),
        (["a.jpg", "b.jpg"], "no class folder found"),
        (["train/a.jpg", "test/b.jpg"], "no class folder found"),
        (["cat/a.jpg"], "at least two classes"),
        (["train/cat/a.jpg"], "at least two classes"),
        (["cat/a.jpg", "dog/.a.jpg"], "class 'dog' has no image"),
        (["cat/a.jpg", "new\nline/a.txt"], r"class 'new\\nline' has no image"),
    ],
)
def test_unusable_folders_are_refused_in_one_line(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        save(tmp_path / name, b"")
    with pytest.raises(DataError, match=message) as caught:
        list_images(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_and_wrong_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder.*digits, fashion-mnist, mnist"):
        list_images(tmp_path / "nothing\nhere")
    with pytest.raises(DataError, match="not a source of images"):
        list_images(save(tmp_path / "photo.jpg", b""))


def test_manifest_with_any_column_order_a_mark_and_quoted_names(tmp_path: Path) -> None:
    text = '\ufeffclass,Split,file\ndog,valid,"a, b.jpg"\ncat,,"c\nd.jpg"\n\ncat,train,/far/猫.jpg\n'
    listing = list_images(save(tmp_path / "list.csv", text.encode()))
    assert (listing.root, listing.classes) == (str(tmp_path), ("cat", "dog"))
    assert listing.items == (Item("a, b.jpg", 1, "val"), Item("c\nd.jpg", 0, None), Item("/far/猫.jpg", 0, "train"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column path or file or image"),
        ("name,label\na,b\n", "column path or file or image"),
        ("path,kind\na,b\n", "column label or class"),
        ("path,label\na.jpg,x\nb.jpg\n", "line 3: 2 columns are expected"),
        ("path,label\na.jpg,\n", "line 2: the path and the label must not be empty"),
        ("path,label\na.jpg,x\na.jpg,y\n", "line 3: the path stands already on line 2"),
        ("path,label,split\na.jpg,x,later\n", "line 2: split must be train, val, test or empty"),
        ("path,label\na.jpg,x\n", "at least two classes"),
        ("path,label\n", "at least two classes"),
        ('path,label\n"a.jpg,x\n', "cannot read the manifest"),
        (b"path,label\n\xff,x\n", "cannot read the manifest"),
    ],
)
def test_bad_manifests_name_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = save(tmp_path / "list.csv", text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        list_images(path)


def test_a_name_too_long_for_the_system_is_one_clear_line() -> None:
    with pytest.raises(DataError) as caught:
        list_images("x" * 5000)
    assert "\n" not in str(caught.value)
