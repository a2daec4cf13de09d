"""``inspect`` as people and programs meet it: every format, what is folded, sorted, counted, compared and refused."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from html import unescape

import pytest

from convsmith.cli.main import run
from convsmith.deploy.calibration import Calibration, this_machine, write_calibration
from convsmith.deploy.work import Hardware
from convsmith.design import zoo
from convsmith.interop.conventions import CONVENTIONS

RESNET = {"params": 11_689_512, "macs": 1_814_073_344}


def output(capsys, *arguments, code=0):
    assert run(["inspect", *arguments]) == code
    return capsys.readouterr().out


def number(text):
    return int(text.replace(",", "") or 0)


def totals_of_json(text):
    return {key: json.loads(text)["totals"][key] for key in RESNET}


def totals_of_csv(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    return {key: sum(int(row[key]) for row in rows) for key in RESNET}


def totals_of_markdown(text):
    lines = [line for line in text.split("\n\n")[1].splitlines() if "---" not in line]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {key: sum(number(row[header.index(key)]) for row in rows) for key in RESNET}


def totals_of_table(text):
    header, *rows = text.split("\n\n")[1].splitlines()
    assert [header.split().index(key) for key in RESNET] == [3, 4]
    params, macs = next(row.split()[1:3] for row in rows if row.startswith("total"))
    sections = [row.split() for row in rows if not row.startswith((" ", "total"))]
    assert sum(number(row[3]) for row in sections) == number(params)
    assert sum(number(row[4]) for row in sections) == number(macs)
    return {"params": number(params), "macs": number(macs)}


def totals_of_html(text):
    rows = re.findall(r'<tr tabindex="-1" data-layer="\d+">(.*?)</tr>', unescape(text))
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    return {"params": sum(number(row[6]) for row in cells), "macs": sum(number(row[7]) for row in cells)}


@pytest.mark.parametrize(
    ("format", "totals"),
    [
        ("json", totals_of_json),
        ("csv", totals_of_csv),
        ("markdown", totals_of_markdown),
        ("table", totals_of_table),
        ("html", totals_of_html),
    ],
)
def test_every_format_parses_back_to_the_same_totals(format, totals, capsys, tmp_path):
    printed = output(capsys, "zoo:resnet18", "--format", format)
    assert totals(printed) == RESNET
    path = tmp_path / "result"
    assert run(["inspect", "zoo:resnet18", "--format", format, "--out", str(path)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"wrote {path}\n")
    assert unescape(path.read_text(encoding="utf-8")) == unescape(printed)


def test_json_has_a_short_form(capsys):
    assert output(capsys, "zoo:resnet18", "--json") == output(capsys, "zoo:resnet18", "--format", "json")


def test_csv_says_of_every_layer_what_json_says(capsys):
    rows = list(csv.DictReader(io.StringIO(output(capsys, "zoo:mobilenet-v2", "--format", "csv"))))
    data = json.loads(output(capsys, "zoo:mobilenet-v2", "--json"))
    layers = data["layers"]
    assert len(rows) == len(layers)
    assert sum(int(row["memory"]) for row in rows) == data["totals"]["bytes_moved"]
    for row, layer in zip(rows, layers, strict=True):
        assert (row["name"], row["op"], row["section"]) == (layer["name"], layer["op"], layer["section"])
        assert row["kernel_size"] == "x".join(map(str, layer["kernel_size"] or []))
        assert row["groups"] == str(layer["groups"] or "")
        assert row["memory"] == str(layer["bytes_moved"])
        assert row["output"] == "x".join(map(str, layer["output"][1:]))
        assert row["field"] == "x".join(map(str, layer["receptive_field"]["size"]))
        assert {key: int(row[f"terms.{key}"]) for key in layer["terms"]} == layer["terms"]


def test_json_says_what_training_needs_and_what_the_last_map_sees(capsys):
    data = json.loads(output(capsys, "zoo:resnet50", "--json"))
    training, weights = data["memory"]["training"], data["totals"]["weight_bytes"]
    assert training["adam"]["total"] - training["sgd"]["total"] == training["sgd"]["weights"] == weights
    assert "training     372.9 MiB for a step on one image" in output(capsys, "zoo:resnet50")
    assert training["sgd"]["total"] == pytest.approx(372.9 * 2**20, rel=1e-4)
    assert data["receptive_field"] == data["layers"][-1]["receptive_field"]
    assert data["receptive_field"]["size"] == [427, 427]


def test_csv_has_the_columns_of_the_help_in_its_order(capsys):
    header = output(capsys, "zoo:resnet18", "--format", "csv").splitlines()[0].split(",")
    shown = " ".join(output(capsys, "--help").split())
    listed = re.search(r"In the order of csv: ([^ ].*?)\. --", shown)
    assert listed
    assert listed[1].split(", ") == header


def test_columns_can_be_chosen(capsys):
    shown = output(capsys, "zoo:resnet18", "--format", "csv", "--columns", "macs, name")
    assert shown.splitlines()[:2] == ["macs,name", "118013952,stem.conv"]


@pytest.mark.parametrize("column", ["macs", "params", "activations", "memory", "field", "name"])
def test_rows_are_sorted_numbers_from_the_largest_and_words_from_a(column, capsys):
    def key(row):
        values = [int(part) for part in row.split("x")] if column != "name" else row
        return values[0] * values[-1] if column == "field" else values

    order = output(capsys, "zoo:mobilenet-v2", "--sort", column, "--columns", column, "--format", "csv")
    plain = output(capsys, "zoo:mobilenet-v2", "--columns", column, "--format", "csv")
    keys = [key(row) for row in order.splitlines()[1:]]
    assert keys == sorted((key(row) for row in plain.splitlines()[1:]), reverse=column != "name")


def test_a_sorted_table_shows_layers(capsys):
    shown = output(capsys, "zoo:resnet50", "--sort", "params")
    assert shown.split("\n\n")[1].splitlines()[1].split()[0] in (
        "stage4.block2.spatial.conv",
        "stage4.block1.spatial.conv",
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--max-macs", "300M"), "macs must be at most 300,000,000"),
        (("--max-params", "11M"), "params must be at most 11,000,000"),
        (("--max-memory", "20MB"), "memory must be at most 20,000,000"),
        (("--max-unproductive", "0"), "unproductive layers must be at most 0"),
    ],
)
@pytest.mark.parametrize("format", ["table", "csv"])
def test_a_gate_that_fails_is_named_after_the_result(options, named, format, capsys):
    assert run(["inspect", "zoo:resnet18", "--format", format, *options]) == 1
    captured = capsys.readouterr()
    assert "stem" in captured.out
    assert captured.err.startswith(f"convsmith: error: resnet18: {named}")
    assert captured.err.count("\n") == 1


def test_gates_that_hold_are_silent(capsys):
    gates = ("--max-macs", "2G", "--max-params", "12M", "--max-memory", "60MB", "--max-unproductive", "99")
    assert run(["inspect", "zoo:resnet18", *gates]) == 0
    assert capsys.readouterr().err == ""


def test_which_names_the_convention_of_a_number(capsys):
    assert "is thop" in output(capsys, "zoo:resnet50", "--which", "4111514624")
    found = json.loads(output(capsys, "zoo:resnet50", "--which", "4111512576", "--json"))["found"]
    assert [(one["name"], one["total"]) for one in found] == [("fvcore", 4_111_512_576)]
    assert found[0]["description"] == CONVENTIONS["fvcore"].description


def test_which_takes_rounded_numbers(capsys):
    assert "4,111,512,576 (+1,512,576) is fvcore" in output(capsys, "zoo:resnet50", "--which", "4.11G")
    assert "4,111,512,576 (+1,512,576) is fvcore" in output(capsys, "zoo:resnet50", "--which", "4.11 G")
    assert "4,089,184,256 (-10,815,744) is macs" in output(capsys, "zoo:resnet50", "--which", "4.1e9")
    assert "25,557,032 (-42,968) is params" in output(capsys, "zoo:resnet50", "--which", "25.6M")


def test_which_has_the_nearest_if_nothing_fits(capsys):
    lines = output(capsys, "zoo:resnet50", "--which", "4089184257", code=1).splitlines()
    assert lines[0] == "nothing that is counted of resnet50 gives 4089184257; nearest are"
    assert lines[1].startswith("4,089,184,256 (-1) is macs: ")
    assert json.loads(output(capsys, "zoo:resnet50", "--which", "7", "--json", code=1))["found"] == []


@pytest.mark.slow
def test_a_convention_replaces_the_total(capsys):
    totals = json.loads(output(capsys, "zoo:resnet50", "--json"))["conventions"]
    for name in CONVENTIONS:
        line = next(
            line
            for line in output(capsys, "zoo:resnet50", "--convention", name).splitlines()
            if line.startswith(f"{name:<11}  ") and "(" in line
        )
        assert f"{totals[name]:,}" in line


def test_the_nearest_sizes_that_lose_nothing_have_their_price(capsys):
    shown = output(capsys, "zoo:resnet50", "--nearest")
    assert "at 225x225 nothing is lost: 4.627G macs (+13.1 %)" in shown
    sizes = json.loads(output(capsys, "zoo:resnet50", "--nearest", "--json"))["nearest_sizes"]
    assert sizes[1] == {"size": [225, 225], "macs": 4_626_713_792}


def test_the_time_has_an_interval_and_its_error(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))
    assert run(["inspect", "zoo:resnet18", "--latency"]) == 2
    assert "run `convsmith probe`" in capsys.readouterr().err
    seconds, ratios = {"run": 0.004}, (0.9, 0.95, 1.0, 1.1, 1.25)
    write_calibration(Calibration(this_machine(1), Hardware(8, (2**15, 2**19, 2**24)), seconds, ratios))
    line = next(line for line in output(capsys, "zoo:resnet18", "--latency").splitlines() if line.startswith("latency"))
    assert line.split(maxsplit=1)[1] == "4.00 ms, likely 3.64 ms to 4.88 ms; error 9.1 % on networks held out, 1 thread"
    assert json.loads(output(capsys, "zoo:resnet18", "--latency", "--json"))["latency"]["seconds"] == 0.004
    assert output(capsys, "zoo:resnet18", "--latency", "--format", "csv").splitlines()[0].endswith(",ms")


def test_two_networks_show_the_layers_that_differ(capsys):
    found = json.loads(output(capsys, "zoo:resnet18", "zoo:resnet34", "--layers", "--json"))
    changes = [pair["change"] for pair in found["layers"]]
    assert {change: changes.count(change) for change in changes} == {"same": 69, "added": 56}
    added = {pair["after"]["name"].rsplit(".", 1)[0] for pair in found["layers"] if pair["change"] == "added"}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in added} == {
        "stage1.block3", "stage2.block3", "stage2.block4", *(f"stage3.block{n}" for n in range(3, 7)), "stage4.block3"
    }  # fmt: skip
    assert found["conventions"]["flops"] == [2 * macs for macs in found["totals"]["macs"]]
    assert [field["size"] for field in found["receptive_field"]] == [[435, 435], [899, 899]]
    shown = output(capsys, "zoo:resnet18", "zoo:resnet34", "--layers")
    assert sum(line.startswith("+  ") for line in shown.splitlines()) == 56
    assert "69 layers are the same in both" in shown
    lines = output(capsys, "zoo:resnet18", "zoo:resnet34", "--format", "csv").splitlines()
    assert sum(line.startswith("same,") for line in lines) == 69


def test_a_changed_layer_stands_beside_what_it_was(tmp_path, capsys):
    text = zoo.text("resnet18").replace("classes = 1000", "classes = 10")
    (tmp_path / "ten.toml").write_text(text)
    shown = output(capsys, "zoo:resnet18", str(tmp_path / "ten.toml"), "--layers")
    changed = [line.split() for line in shown.splitlines() if line.startswith("~")]
    assert changed == [
        ["~", "Linear", "head.classifier", "1000", "512,000", "head.classifier", "10", "5,120"],
    ]


class Terminal(io.TextIOWrapper):
    """A terminal that remembers what was written."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self):
        return True

    @property
    def text(self):
        return self.buffer.getvalue().decode()


def in_terminal(monkeypatch, *arguments, columns=120, **environment):
    """What ``inspect`` writes in a terminal of so many columns."""
    with monkeypatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            patch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}.items():
            patch.setenv(name, value)
        terminal = Terminal()
        patch.setattr(sys, "stdout", terminal)
        assert run(["inspect", *arguments]) == 0
    return terminal.text


def without_colour(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_terminal_has_colour_and_bars_and_the_same_words(monkeypatch, capsys):
    coloured = in_terminal(monkeypatch, "zoo:resnet50")
    assert re.search(r"\x1b\[3\dm", coloured)
    assert "███" in coloured
    plain = output(capsys, "zoo:resnet50")
    assert re.sub(r"[\s█▏▎▍▌▋▊▉]+", " ", without_colour(coloured)) == re.sub(r"\s+", " ", plain)
    assert "\x1b" not in plain


def test_no_color_is_obeyed(monkeypatch):
    shown = in_terminal(monkeypatch, "zoo:resnet50", NO_COLOR="1")
    assert "███" in shown
    assert not re.search(r"\x1b\[[34]\d", shown)


@pytest.mark.parametrize("columns", [48, 64, 100])
def test_a_narrow_terminal_gets_lines_that_fit(columns, monkeypatch):
    shown = without_colour(in_terminal(monkeypatch, "zoo:resnet50", "--layers", columns=columns))
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert any("4,089,184,256" in line for line in lines)
    assert any(re.search(r"stage4.*spatial\.conv .*115,605,504", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--columns", "name,mac"], "did you mean macs? choose from name, op"),
        (["--sort", "size"], "--sort has no such name (received 'size')"),
        (["--convention", "thopp"], "did you mean thop? choose from macs, flops, torchvision, pycls"),
        (["--format", "yaml"], "'table', 'json', 'csv', 'markdown', 'html'"),
        (["--json", "--format", "csv"], "--json is short for --format json, not csv"),
        (["--json", "--sort", "macs"], "--sort changes nothing in json"),
        (["--format", "csv", "--convention", "thop"], "--convention changes nothing in csv"),
        (["--which", "many"], "'many'"),
        (["--which", "7", "--format", "html"], "--format html changes nothing in the answer to --which"),
        (["--max-memory", "2 elephants"], "elephants"),
        (["--max-unproductive", "-1"], "--max-unproductive"),
        (["zoo:resnet34", "--which", "7"], "--which is about one model, not two"),
        (["zoo:resnet34", "--format", "html"], "--format html is about one model, not two"),
        (["--out", "nowhere/x.csv"], "cannot write"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["inspect", "zoo:resnet18", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert expected in captured.err
