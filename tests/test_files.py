"""Files are replaced whole or not at all, and a refusal of the system is one line with a remedy."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from convsmith.errors import RunError
from convsmith.files import (
    is_whole,
    make_folder,
    remove_folder,
    remove_unfinished,
    write_atomically,
    write_folder,
    write_json,
    write_text,
)


def test_text_and_json_are_written(tmp_path):
    assert write_text(tmp_path / "note.txt", "卷积\n").read_text(encoding="utf-8") == "卷积\n"
    path = write_json(tmp_path / "facts.json", {"name": "卷积", "macs": 4089184256})
    assert path.read_bytes() == '{\n  "name": "卷积",\n  "macs": 4089184256\n}\n'.encode()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_number_that_json_lacks_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "facts.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_untouched_until_the_writer_is_done(tmp_path):
    path = write_text(tmp_path / "model.json", "old")

    def write(target: Path) -> None:
        target.write_text("new")
        assert path.read_text() == "old"
        assert target.parent == path.parent  # a rename is atomic only within one file system

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyError("weights"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_a_writer_that_fails_half_way_leaves_the_old_file(tmp_path, error):
    path = write_text(tmp_path / "model.json", "old")

    def write(target: Path) -> None:
        target.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "model.json", "old")
    with pytest.raises(RunError) as caught:
        write_atomically(path, full_disk)
    assert str(caught.value) == (
        f"{path}: cannot write: No space left on device; free some space or choose another folder"
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_found_full_while_flushing_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_text(tmp_path / "model.json", "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match="No space left on device; free some space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = write_text(tmp_path / "results", "mine")
    for folder in (path, path / "run"):
        with pytest.raises(RunError, match="choose a folder, not a file") as caught:
            make_folder(folder)
        assert str(caught.value).startswith(f"{folder}: cannot write: ")
    with pytest.raises(RunError, match="choose a folder, not a file"):
        write_text(path / "report.html", "")
    assert path.read_text() == "mine"


def test_a_target_that_is_a_folder_is_refused(tmp_path):
    folder = make_folder(tmp_path / "model.json")
    with pytest.raises(RunError, match="cannot write: Is a directory"):
        write_text(folder, "{}")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="cannot write: No such file or directory"):
        write_text(tmp_path / "runs" / "one" / "model.json", "{}")


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    folder = make_folder(tmp_path / "runs" / "one")
    assert folder == make_folder(folder)
    assert list(folder.iterdir()) == []


def test_json_reads_back(tmp_path):
    value = {"stages": [1, 2, 3], "name": 'a "b"\n', "share": 0.1}
    assert json.loads(write_json(tmp_path / "a.json", value).read_text(encoding="utf-8")) == value


PARTS = [("state.bin", bytes(range(256)) * 40), ("state.json", b"{}")]


def test_a_folder_comes_with_the_size_and_hash_of_each_of_its_files(tmp_path):
    path = write_folder(tmp_path / "step", PARTS)
    assert {one.name: one.read_bytes() for one in path.iterdir() if one.name != "manifest.json"} == dict(PARTS)
    manifest = json.loads((path / "manifest.json").read_text())
    expected = {name: {"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for name, b in PARTS}
    assert manifest == {"files": expected}
    assert is_whole(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_call_returns(tmp_path, monkeypatch):
    """Every file, then the folder with their names, then the new name, then the folder above."""
    calls: list[tuple[str, str]] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(handle: int) -> None:
        calls.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        sync(handle)

    def noted_replace(source, target) -> None:
        calls.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_folder(tmp_path / "step", PARTS)
    files = ("state.bin", "state.json", "manifest.json", "step.tmp")
    assert calls == [*(("sync", name) for name in files), ("rename", "step"), ("sync", tmp_path.name)]


@pytest.mark.parametrize("name", ["state.bin", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "grown", "flipped", "empty", "gone"])
def test_a_folder_that_is_not_as_it_was_written_is_not_whole(damage, name, tmp_path):
    path = write_folder(tmp_path / "step", PARTS)
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    original = (path / name).read_bytes()
    damaged = {"cut": original[:-1], "grown": original + b"x", "flipped": bytes(content)}
    (path / name).write_bytes(damaged.get(damage, b""))
    if damage == "gone":
        (path / name).unlink()
    assert not is_whole(path)
    assert not is_whole(tmp_path / "nothing")


def test_a_folder_of_the_same_name_is_replaced(tmp_path):
    write_folder(tmp_path / "step", [("old.bin", b"old")])
    path = write_folder(tmp_path / "step", PARTS)
    assert {one.name for one in path.iterdir()} == {"state.bin", "state.json", "manifest.json"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_its_end_is_not_there(tmp_path, monkeypatch):
    write_folder(tmp_path / "before", PARTS)

    def contents():
        yield PARTS[0]
        full_disk()

    with pytest.raises(RunError, match="No space left on device; free some space"):
        write_folder(tmp_path / "step", contents())
    assert [path.name for path in tmp_path.iterdir()] == ["before"]
    assert is_whole(tmp_path / "before")


def test_what_is_left_of_folders_being_written_or_removed_can_be_cleared(tmp_path, monkeypatch):
    path = write_folder(tmp_path / "step", PARTS)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before it removes a file
        remove_folder(path)
    assert not path.exists()
    (tmp_path / "other.tmp").mkdir()
    write_text(tmp_path / "notes.txt", "stays")
    assert len(list(tmp_path.iterdir())) == 3
    remove_unfinished(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]
