"""``convsmith data`` as a user meets it: what is shown, what is written, what is refused."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from convsmith.cli.main import run

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))

from jobs_planted import fingerprint, planted_folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_folder(tmp_path_factory.mktemp("planted") / "set")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_findings_are_shown_with_files_and_with_what_to_do(planted, here, capsys):
    assert run(["data", str(planted), "--no-labels"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == str(planted)
    assert "251 images in 4 classes (train 189, test 62)" in lines
    assert "    test/2/leak.png = train/2/005.png (same pixels)" in lines
    assert "    train/2/empty.png (empty file)" in lines
    assert lines.index("In more than one split") < lines.index("Exact copies") < lines.index("What to do")
    steps = lines[lines.index("What to do") + 1 :]
    assert steps[0].startswith("  1. Remove copies of test and val images")
    assert "convsmith data" not in captured.err
    assert "reading images: 100 %" in captured.err
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_json_goes_to_standard_output_alone_and_the_set_is_left_as_it_was(planted, here, capsys):
    before = fingerprint(planted)
    assert run(["data", str(planted), "--json", "--seed", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "convsmith/data/1"
    assert found["labels"]["swapped"] > 0
    assert fingerprint(planted) == before


class Images(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.alts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs)["alt"])


def test_the_page_is_written_beside_the_table(planted, here, capsys):
    assert run(["data", str(planted), "--no-labels", "--out", "new/page.html"]) == 0
    captured = capsys.readouterr()
    assert "wrote new/page.html" in captured.err
    assert "What to do" in captured.out
    assert "--out" not in captured.out
    alts = Images((here / "new" / "page.html").read_text(encoding="utf-8")).alts
    assert "2: test/2/leak.png" in alts
    assert "0: train/0/tiny <b>.png" in alts


def test_a_clean_set_is_said_to_be_clean(here, capsys, monkeypatch):
    monkeypatch.setattr("convsmith.jobs.check_data.find_copies", lambda *_, **__: ())
    assert run(["data", "digits", "--no-labels"]) == 0
    shown = capsys.readouterr().out
    assert "Nothing to repair was found." in shown
    assert "--json" not in shown


def test_many_classes_are_cut_to_the_largest_and_the_smallest(here, capsys):
    rows = [f"{name}/{number}.png,{name:03}" for name in range(60) for number in range(60 - name)]
    (here / "x.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    assert run(["data", "x.csv"]) == 0  # although not one of the files is there
    lines = capsys.readouterr().out.splitlines()
    assert "... 40 more" in "\n".join(lines)
    assert len(lines) < 80
    assert any("No such file or directory (1,830)" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data"], "images"),
        (["data", "nowhere"], "no such file or folder"),
        (["data", "digits", "--seed", "-1"], "--seed"),
        (["data", "digits", "--out", "."], "a file is wanted"),
        (["data", "digits", "--out", "text/page.html"], "cannot write"),
        (["data", "fashion-mnist"], "is not installed"),
        (["data", "text"], "not a source of images"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_two(arguments, expected, here, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_DIRS", str(here))
    (here / "text").write_text("")
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert expected in captured.err
    assert [path.name for path in here.iterdir()] == ["text"]


def test_the_page_is_never_written_among_the_images(planted, here, capsys):
    before = fingerprint(planted)
    assert run(["data", str(planted), "--out", str(planted / "train" / "page.html")]) == 2
    assert "must not lie in the image folder" in capsys.readouterr().err
    assert fingerprint(planted) == before
