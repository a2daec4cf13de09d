"""``conv`` and ``pool`` as a user meets them: text, JSON, pictures, the walk, the check, and what mistakes get."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import convsmith
from convsmith.cli.layer_matrix import matrix_lines
from convsmith.cli.layer_page import spans
from convsmith.cli.main import run
from convsmith.jobs.layer_check import Check
from convsmith.report.weight_colors import weight_color

CONTRACT = {
    "output", "formula", "dropped", "params", "macs", "connections", "dense", "receptive_field"
}  # fmt: skip
SMALL = ["conv", "--input", "4x4", "--kernel", "3"]


def text_of(lines) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def test_json_holds_the_contract_and_nothing_else_is_printed(capsys):
    assert run([*SMALL, "--matrix", "--check", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found.keys() >= CONTRACT
    assert set(found["dropped"]) == {"rows", "columns"}
    assert set(found["dense"]) == {"params", "connections"}
    assert {"shape", "nonzeros", "distinct_weights", "entries"} <= set(found["matrix"])
    assert found["check"]["largest_difference"] <= found["check"]["limit"] == 1e-9
    assert run([*SMALL, "--json"]) == 0
    assert "matrix" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["conv", "--input", "2x6x5", "--kernel", "3", "--padding", "1", "--out-channels", "3"],
        ["conv", "--input", "1x1", "--kernel", "3", "--padding", "3", "--stride", "3"],  # rows without any entry
        ["pool", "--input", "2x5x5", "--kernel", "2", "--kind", "average", "--ceil-mode"],
    ],
)
def test_entries_written_row_by_row_are_those_of_the_function(arguments, capsys):
    assert run([*arguments, "--matrix", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    options = dict(zip(arguments[1::2], arguments[2::2], strict=False))
    named = {name.strip("-").replace("-", "_"): value for name, value in options.items() if name != "--ceil-mode"}
    if "out_channels" in named:
        named["out_channels"] = int(named["out_channels"])
    if "--ceil-mode" in arguments:
        named["ceil_mode"] = True
    assert printed == json.loads(json.dumps(getattr(convsmith, arguments[0])(**named, matrix=True).to_dict()))


def test_the_matrix_reads_without_colour(capsys):
    assert run([*SMALL, "--matrix"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith("y")]
    assert rows[0] == "y0 0 1 2 . 3 4 5 . 6 7 8 . . . . .".split()
    assert rows[3] == "y3 . . . . . 0 1 2 . 3 4 5 . 6 7 8".split()
    assert [line.split() for line in lines[-3:]] == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"]]


def test_each_weight_has_a_colour_of_its_own_in_a_terminal():
    matrix = convsmith.conv("4x4", 3).matrix
    styles: dict[str, set[str]] = {}
    for line in matrix_lines(matrix):
        for text, style in line:
            if style.startswith("#000000 on "):
                styles.setdefault(text.strip(), set()).add(style)
    assert len(styles) == len({style for found in styles.values() for style in found}) == 9
    assert all(len(found) == 1 for found in styles.values())
    assert len({weight_color(weight, 400) for weight in range(400)}) == 400


def test_a_wide_matrix_is_cut_to_the_terminal_and_says_so():
    lines = text_of(matrix_lines(convsmith.conv("2x16x16", 3).matrix, width=80))
    assert max(map(len, lines)) <= 80
    assert any("only a corner fits here" in line for line in lines)
    assert not any("corner" in line for line in text_of(matrix_lines(convsmith.conv("4x4", 3).matrix)))


def test_svg_and_png_draw_every_entry_in_its_place_and_colour(tmp_path, capsys):
    svg, png = tmp_path / "c.svg", tmp_path / "c.png"
    assert run([*SMALL, "--svg", str(svg), "--png", str(png)]) == 0
    assert "x15" not in capsys.readouterr().out
    matrix = convsmith.conv("4x4", 3).matrix
    tree = ET.parse(svg)
    space = {"s": "http://www.w3.org/2000/svg"}
    drawn = {path.get("fill"): path.get("d").count("M") for path in tree.iterfind("s:path[@fill]", space)}
    assert {drawn[weight_color(weight, 9)] for weight in range(9)} == {4}
    texts = [text.text for text in tree.iterfind("s:text", space)]
    assert [texts.count(str(weight)) for weight in range(9)] == [5] * 9  # four entries and the kernel itself
    assert {"x0", "x15", "y3"} <= set(texts)
    pixels = np.asarray(Image.open(png).convert("RGB"))
    for row, column, weight in zip(matrix.rows, matrix.columns, matrix.weights, strict=True):
        corner = pixels[84 + 30 * row + 3, 56 + 30 * column + 3]
        assert "#{:02x}{:02x}{:02x}".format(*corner) == weight_color(int(weight), 9)
    assert tuple(pixels[84 + 3, 56 + 30 * 3 + 3]) == (255, 255, 255)


def test_the_walk_stops_after_a_while_where_nobody_presses_a_key(capsys):
    assert run([*SMALL, "--step"]) == 0
    assert capsys.readouterr().out.count("window ") >= 4
    assert run(["conv", "--input", "20x20", "--kernel", "3", "--step"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" of 0-323: output") == 64
    assert shown.endswith("260 windows more are walked in a terminal\n")


def test_the_walk_marks_the_window_padding_and_blanks(capsys):
    assert run(["conv", "--input", "2x2", "--kernel", "2", "--stride", "1/2", "--padding", "1", "--step"]) == 0
    frame = capsys.readouterr().out.split("window 4 of 0-15: ")[1].splitlines()
    assert frame[0] == "output y4 at (1, 0) reads rows 0, columns 0"
    assert [line.split() for line in frame[1:6]] == [
        [".", ".", ".", ".", "."],
        ["[.][0]", ".", "1", "."],
        ["[.][.]", ".", ".", "."],
        [".", "2", ".", "3", "."],
        [".", ".", ".", ".", "."],
    ]
    assert frame[6] == "y4 = w2·x0"


@pytest.mark.slow
def test_in_a_terminal_a_key_shows_the_next_window_and_q_stops():
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "convsmith", "conv", "--input", "9x9", "--kernel", "3", "--step"]
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, **streams, env=environment) as program:
        os.close(follower)
        shown = typed_until(leader, b"", b"window 0 of")
        shown += typed_until(leader, b" ", b"window 1 of")
        shown += typed_until(leader, b"\r", b"window 2 of")
        typed_until(leader, b"q", None)
        assert program.wait(30) == 0
    os.close(leader)
    assert b"window 48 of 0-48" not in shown
    assert b"\x1b[" in shown  # colours


def typed_until(terminal: int, key: bytes, wanted: bytes | None) -> bytes:
    """What is shown while a key is pressed, again if nobody was listening yet, until something is shown or the end."""
    shown = b""
    for _ in range(60):
        if wanted is not None and wanted in shown:
            return shown
        if not select.select([terminal], [], [], 0.5)[0]:
            os.write(terminal, key)
            continue
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side has left
            return shown
    raise AssertionError(shown)


@pytest.mark.parametrize(("kind", "word"), [("max", "max("), ("average", "mean(")])
def test_the_walk_over_a_pool_names_its_pixels(kind, word, capsys):
    assert run(["pool", "--input", "4x4", "--kernel", "2", "--kind", kind, "--step"]) == 0
    assert f"y3 = {word}x10, x11, x14, x15)" in capsys.readouterr().out


def test_a_check_that_finds_a_difference_exits_with_one_after_it_was_printed(monkeypatch, capsys):
    wrong = Check({"values": {"loop": 0.5}})
    monkeypatch.setattr("convsmith.jobs.layer.Layer.check", lambda self, seed: wrong)
    assert run([*SMALL, "--check"]) == 1
    captured = capsys.readouterr()
    assert "largest difference 5.0e-01" in captured.out
    assert captured.err.count("\n") == 1
    assert run([*SMALL, "--check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["check"]["largest_difference"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--input"),
        (["--input", "4x4"], "--kernel"),
        (["--input", "4x4", "--kernel", "5"], "smaller kernel"),
        (["--input", "4x4", "--kernel", "3", "--stride", "0"], "above zero"),
        (["--input", "4x4", "--kernel", "3", "--stride", "-1"], "above zero"),
        (["--input", "6x4x4", "--kernel", "3", "--groups", "4"], "groups must divide in_channels 6"),
        (["--input", "4x4", "--kernel", "3", "--transpose", "--stride", "2", "--output-padding", "2"], "below stride"),
        (["--input", "4x4", "--kernel", "3", "--stride", "1/2", "--padding", "same"], "give numbers"),
        (["--input", "4x4", "--kernel", "3", "--step", "--json"], "--step is for people"),
        (["--input", "64x64x64", "--kernel", "3", "--out-channels", "64", "--matrix"], "at most 5,000,000 entries"),
        (["--input", "70x70", "--kernel", "3", "--png", "c.png"], "at most 4,000 rows and columns"),
        (["--input", "4x4", "--kernel", "3", "--png", "no/such/folder/c.png"], "cannot write"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_two(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["conv", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("convsmith: error: ")
    assert captured.err.count("\n") == 1
    assert expected in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ((), ""),
        ((3,), "3"),
        ((0, 1, 2, 5), "0-2, 5"),
        ((1, 3, 5, 7, 9), "1, 3, ..., 9"),
        ((2, 3, 6, 7), "2-3, 6-7"),
        (tuple(one for one in range(200) if one % 4 > 1), None),
    ],
)
def test_runs_of_numbers_are_shortened(places, text):
    if text is None:
        assert spans(places).endswith("158-159, ... (100 in all, --json lists them)")
    else:
        assert spans(places) == text
