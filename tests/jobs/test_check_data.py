"""``check_data`` finds what was planted, finds nothing where nothing is wrong, and changes nothing."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from jobs_planted import CLASSES, PER_CLASS, fingerprint, jpeg, picture, planted_folder, sound_folder
from PIL import Image

import convsmith
from convsmith.errors import DataError, RunError
from convsmith.jobs.check_data import check_data
from convsmith.jobs.finding import TITLES

IMAGES = len(CLASSES) * sum(PER_CLASS.values())


def paths(found, kind):
    """The files behind a kind of finding, group by group."""
    return [
        {one.path for one in group} for finding in found.findings if finding.kind == kind for group in finding.groups
    ]


def kinds(found):
    return {one.kind for one in found.findings}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(tmp_path_factory.mktemp("cache")))
        root = planted_folder(tmp_path_factory.mktemp("planted") / "set")
        before = fingerprint(root)
        steps = []
        found = check_data(root, show=steps.append)
        assert fingerprint(root) == before
        return found, steps


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return sound_folder(tmp_path_factory.mktemp("sound") / "set")


@pytest.mark.slow
def test_every_planted_defect_is_found(planted):
    found, _ = planted
    assert {"test/2/leak.png", "train/2/005.png"} in paths(found, "leak")
    assert {"test/4/near leak.jpg", "train/4/006.png"} in paths(found, "leak")
    assert {"train/0/007.png", "train/1/conflict.png"} in paths(found, "conflict")
    assert paths(found, "exact") == [{"train/0/003.png", "train/0/exact.png"}]
    near = paths(found, "near")
    assert {"train/1/004.png", "train/1/near.jpg"} in near
    assert {"train/4/008.png", "train/4/brighter.png"} in near
    assert {"train/2/009.png", "train/2/dark.png"} in near
    assert {"train/0/013.png", "train/0/long.png"} in near
    assert paths(found, "blank") == [{"train/2/blank.png"}]
    assert paths(found, "dark") == [{"train/2/dark.png"}]
    assert paths(found, "colour") == [{"train/1/grey.png"}]
    assert paths(found, "size") == [{"train/0/tiny <b>.png"}]
    assert paths(found, "shape") == [{"train/0/long.png"}]
    assert set().union(*paths(found, "rejected")) == {
        "train/2/cut.jpg", "train/2/notes.txt", "train/2/empty.png",
    }  # fmt: skip
    assert {"train/0/wrong.png"} in paths(found, "label")


def test_little_else_is_found(planted):
    found, _ = planted
    assert [len(paths(found, kind)) for kind in ("leak", "conflict", "exact", "near")] == [2, 1, 1, 4]
    assert set().union(*paths(found, "label")[:2]) == {"train/0/wrong.png", "train/1/conflict.png"}
    assert len(paths(found, "label")) <= 8
    assert kinds(found) == {
        "leak", "conflict", "exact", "near", "blank", "dark", "colour", "size", "shape", "rejected", "label",
    }  # fmt: skip


def test_findings_are_in_order_and_each_has_its_action(planted):
    found, _ = planted
    severities = [("error", "warning", "note").index(one.severity) for one in found.findings]
    assert severities == sorted(severities)
    assert found.findings[0].kind == "leak"
    assert found.actions == tuple(one.action for one in found.findings)
    assert all(one.summary.endswith(".") and one.action.endswith(".") for one in found.findings)
    leak = found.findings[0].summary
    assert "2 of 62 test images (1 with the same pixels)" in leak


def test_the_wrong_label_is_told_with_the_right_one(planted):
    found, _ = planted
    (finding,) = (one for one in found.findings if one.kind == "label")
    (picture,) = (one for (one,) in finding.groups if one.path == "train/0/wrong.png")
    assert picture.label == "0"
    assert picture.remark.startswith("taken for 4, ")
    assert "of the labels" in found.labels_told


def test_progress_reaches_the_end_of_each_part(planted):
    _, steps = planted
    last = {step.task: step.fraction for step in steps}
    assert last == dict.fromkeys(("reading images", "reading headers", "comparing images", "judging labels"), 1.0)


def test_the_json_data_holds_it_all(planted):
    found, _ = planted
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["schema"] == "convsmith/data/1"
    assert data["images"] == IMAGES + 11 == sum(data["splits"].values())
    assert {one["name"]: sum(one["splits"].values()) for one in data["classes"]} == {
        one["name"]: one["images"] for one in data["classes"]
    }
    assert data["files"]["modes"] == {"RGB": IMAGES + 10, "L": 1}
    assert data["files"]["formats"] == {"PNG": IMAGES + 9, "JPEG": 2}
    assert data["files"]["sizes"][0] == {"height": 24, "width": 24, "images": IMAGES + 9}
    assert data["files"]["height"] == {"min": 5, "median": 24, "max": 24}
    assert {one["kind"] for one in data["findings"]} <= set(TITLES)
    wrong = next(one for one in data["findings"] if one["kind"] == "rejected")
    assert {group[0]["path"]: group[0]["remark"] for group in wrong["groups"]}["train/2/empty.png"] == "empty file"
    assert data["labels"]["judged"] == data["images"]
    assert 0 < data["labels"]["wrong_at_most"] < 0.05


def test_pictures_are_given_by_path(planted, tmp_path):
    found, _ = planted
    assert (found.picture("train/2/blank.png") == [90, 20, 20]).all()
    assert found.picture("train/2/cut.jpg") is None


@pytest.mark.slow
def test_a_sound_set_has_nothing_to_repair(sound):
    found = check_data(sound)
    assert kinds(found) <= {"label"}
    assert sum(one.images for one in found.findings) <= 3
    assert found.count == IMAGES


def test_without_labels_nothing_is_learnt(sound, monkeypatch):
    monkeypatch.setattr("convsmith.jobs.check_data.check_labels", None)
    found = check_data(sound, labels=False)
    assert found.labels is None
    assert "as asked" in found.labels_told


@pytest.mark.slow
def test_the_same_seed_gives_the_same_findings(planted):
    found, _ = planted
    again = check_data(found.source).to_dict()
    assert {**again, "seconds": 0} == {**found.to_dict(), "seconds": 0}


def packed(root, target):
    """The set in two archives, one for each split."""
    for split in ("train", "test"):
        with tarfile.open(target / f"{split}.tar", "w") as tar:
            for number, path in enumerate(sorted((root / split).rglob("*.*"))):
                label = path.parent.name.encode()
                for name, content in ((f"{number}{path.suffix}", path.read_bytes()), (f"{number}.cls", label)):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return target


def listed(root, target):
    """The set as a manifest."""
    with (target / "set.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label", "split"))
        rows.writerows((path, path.parent.name, path.parts[-3]) for path in sorted(root.rglob("*.*")))
    return target / "set.csv"


@pytest.mark.parametrize("form", [packed, listed])
def test_other_sources_give_the_same_findings(form, planted, tmp_path):
    found, _ = planted
    other = check_data(form(Path(found.source), tmp_path), labels=False)
    for kind in ("leak", "conflict", "exact", "near", "blank", "dark", "size", "shape", "colour"):
        assert sorted(map(len, paths(other, kind))) == sorted(map(len, paths(found, kind))), kind
    assert other.to_dict()["files"]["sizes"] == found.to_dict()["files"]["sizes"]


def test_a_named_set_is_checked(monkeypatch):
    found = check_data("digits", labels=False)
    assert found.count == 1797
    assert found.to_dict()["files"]["sizes"] == [{"height": 8, "width": 8, "images": 1797}]
    assert kinds(found) <= {"near", "conflict"}


def test_a_set_that_cannot_be_trained_on_is_still_reported(tmp_path):
    for number in range(4):
        for name, cut in (("good", None), ("bad", -80)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}.jpg").write_bytes(jpeg(picture(number), 90)[:cut])
    picture(9).save(tmp_path / "good" / "fine.png")
    found = check_data(tmp_path)
    assert found.findings[0].kind == "unusable"
    assert "'bad'" in found.findings[0].summary
    assert found.count == 5
    assert set().union(*paths(found, "rejected")) == {f"bad/{number}.jpg" for number in range(4)}
    assert found.picture("good/fine.png") is None
    data = json.loads(json.dumps(found.to_dict()))
    assert (data["frame"], data["labels"], data["digest"]) == (None, None, None)
    assert data["classes"] == [
        {"name": "bad", "images": 0, "splits": {"undeclared": 0}},
        {"name": "good", "images": 5, "splits": {"undeclared": 5}},
    ]


def test_nothing_at_all_can_be_read(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"x")
    found = check_data(tmp_path)
    assert (found.count, found.findings[0].kind) == (0, "unusable")
    json.dumps(found.to_dict(), allow_nan=False)


def test_small_absent_and_uneven_classes_are_told(tmp_path):
    random = np.random.default_rng(0)
    for split, name, count in (("train", "many", 40), ("train", "few", 4), ("train", "two", 2), ("test", "many", 5)):
        (tmp_path / split / name).mkdir(parents=True)
        for number in range(count):
            picture(int(random.integers(1797))).save(tmp_path / split / name / f"{number}.png")
    found = check_data(tmp_path, labels=False)
    told = {one.kind: one for one in found.findings}
    assert told["few"].severity == "error"
    assert "two (2), few (4)" in told["few"].summary
    assert "few in test, two in test" in told["absent"].summary
    assert told["imbalance"].severity == "warning"
    assert "22.5 times" in told["imbalance"].summary
    assert "balance = " in told["imbalance"].action


@pytest.mark.slow
@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_smallest_images_are_checked_too(side, mode, tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(30):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(tmp_path / name / f"{number}.png")
    found = check_data(tmp_path)
    assert found.count == 60
    assert found.labels is not None
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("source", "message"), [("nowhere", "no such file"), ("a.csv", "no such file")])
def test_what_is_no_source_is_an_error(source, message, tmp_path):
    with pytest.raises(DataError, match=message):
        check_data(tmp_path / source)


def test_a_cache_among_the_images_is_refused(sound, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(sound / "cache"))
    with pytest.raises(DataError, match="cache"):
        check_data(sound)
    assert not (sound / "cache").exists()


def test_a_cache_that_cannot_be_written_is_told(sound, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunError, match="cannot write"):
        check_data(sound)


def test_the_public_name(sound):
    assert convsmith.check_data is check_data
