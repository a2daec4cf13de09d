"""What reaches the terminal when something is in the way: closed pipes, narrow terminals, Ctrl-C, strange names."""

import importlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import convsmith
from convsmith.cli.display import Bar, Lines
from convsmith.cli.main import RESUMABLE, run
from convsmith.jobs.inspect import inspect
from convsmith.jobs.step import Step

PROGRAM = [sys.executable, "-m", "convsmith"]
DESIGN = """name = "NAME"
input = [1, 16, 16]
[stem]
block = "conv"
width = 16
[[stage]]
block = "residual"
depth = 2
width = 32
[head]
task = "classify"
classes = 10
"""


def start(*arguments, **options):
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_importing_the_package_imports_nothing_else():
    program = "import sys, convsmith; print([n for n in ('torch', 'numpy', 'pydantic', 'typer') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert set(convsmith.__all__) >= {"inspect", "scale", "zoo", "train", "evaluate", "predict", "export", "fit"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("inspect", "zoo:resnet152", "--json"), ("zoo", "vgg16")])
def test_a_reader_that_leaves_early_is_no_error(arguments):
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    program = start(*arguments, env=buffered)
    program.stdout.close()
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait() == 0


@pytest.mark.slow
def test_a_terminal_without_unicode_is_no_error(tmp_path):
    (tmp_path / "x.toml").write_text(DESIGN.replace("NAME", "汉字\\n2"), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*PROGRAM, "inspect", "x.toml"], capture_output=True, cwd=tmp_path, env=environment, check=True
    )
    assert done.stdout.startswith(rb"\u6c49\u5b57\n2, input 1x16x16" + b"\n")
    assert done.stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_say_how_to_go_on_and_going_on_works(number, code, tmp_path):
    (tmp_path / "x.toml").write_text(DESIGN)
    arguments = ("train", "x.toml", "digits", "--epochs", "6")
    program = start(*arguments, cwd=tmp_path)
    assert "images to learn from" in program.stderr.readline()
    events = tmp_path / "run" / "events.ndjson"
    while not (events.is_file() and "point" in events.read_text()):
        assert program.poll() is None
    program.send_signal(number)
    output, errors = program.communicate()
    assert (program.returncode, output) == (code, "")
    assert errors.splitlines()[-1] == "convsmith: stopped; go on by the same command with --resume"
    assert "Traceback" not in errors
    done = subprocess.run([*PROGRAM, *arguments, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ", exactly\n" in done.stderr
    assert "% of 359 test images" in done.stdout


@pytest.mark.parametrize("command", ["zoo", "train"])
def test_only_work_that_can_go_on_is_said_to(command, monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(f"convsmith.cli.{command}"), "command", stop)
    assert run([command]) == 130
    assert ("--resume" in capsys.readouterr().err) == (command in RESUMABLE)


@pytest.mark.slow
def test_an_output_that_takes_nothing_is_one_clear_line():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROGRAM, "zoo", "vgg16"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "convsmith: error: standard output: cannot write: No space left on device; write elsewhere\n"


@pytest.mark.parametrize("refuse", [lambda: bytes(2**62), lambda: np.zeros(2**58), lambda: torch.empty(2**60)])
def test_memory_that_does_not_suffice_is_one_clear_line(refuse, monkeypatch, capsys):
    monkeypatch.setattr(importlib.import_module("convsmith.cli.zoo"), "zoo", refuse)
    assert run(["zoo"]) == 2
    assert capsys.readouterr().err.startswith("convsmith: error: zoo: the memory of this machine must suffice")


def test_our_own_mistakes_are_not_dressed_up(monkeypatch):
    monkeypatch.setattr(importlib.import_module("convsmith.cli.zoo"), "zoo", lambda: {}["mistake"])
    with pytest.raises(KeyError, match="mistake"):
        run(["zoo"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inspect", "a\nb\x1b[31m.toml"], r"a\nb\x1b[31m.toml"),
        (["inspect", "n" * 300], "no such model"),
        (["inspect", "resnet18"], "did you mean zoo:resnet18?"),
        (["inspect", "model.onnx"], "No such file"),
        (["inspect", "package.module:factory"], "run where it can be imported from"),
        (["inspect", "zoo:vgg16", "zoo:nothing"], "nothing"),
        (["inspect", "zoo:vgg16", "--max-macs", "1x"], "--max-macs"),
        (["scale", "zoo:vgg16", "--depth", "inf"], "at most 1000"),
        (["scale", "zoo:vgg16", "--width", "1e300"], "at most 1000"),
        (["scale", "zoo:resnet18", "--resolution", "0.001"], "input"),
        (["scale", "zoo:resnet18", "--rule", "dwr"], "--macs or --params"),
        (["train", "x.toml", "digits", "--minutes", "soon"], "--minutes"),
        (["train", "x.toml", "digits", "--seed", "-1"], "--seed"),
        (["train", "zoo:resnet18", "digits", "--epochs", "nan"], "epochs must be above 0"),
        (["train", "zoo:resnet18", "no such folder"], "no such folder"),
        (["train", "zoo:resnet18", "digits", "--out", "n" * 300], "too long"),
        (["evaluate", "run"], "images"),
        (["evaluate", "n" * 300, "digits"], "no such run folder"),
        (["predict", "run"], "files"),
        (["predict", ".", "x.png"], "not a run"),
        (["export", "run", "--to"], "--to"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_two(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("convsmith: error: ")
    assert captured.err.count("\n") == 1
    assert captured.err[:-1].isprintable()
    assert expected in captured.err
    assert list(tmp_path.iterdir()) == []


def test_two_networks_are_shown_side_by_side(capsys):
    assert run(["inspect", "zoo:resnet18", "zoo:vgg16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    alone = [inspect(name).to_dict() for name in ("zoo:resnet18", "zoo:vgg16")]
    assert found["models"] == ["resnet18", "vgg16"]
    assert found["totals"]["macs"] == [one["totals"]["macs"] for one in alone]
    assert [part["name"] for part in found["sections"]] == ["stem", *(f"stage{n}" for n in range(1, 6)), "head"]
    assert found["sections"][5]["macs"] == [None, alone[1]["sections"][5]["macs"]]
    assert run(["inspect", "zoo:resnet18", "zoo:vgg16", "--max-params", "12M"]) == 1
    captured = capsys.readouterr()
    assert "138,357,544" in captured.out
    assert captured.err.startswith("convsmith: error: vgg16: params must be at most 12,000,000")


def test_the_design_of_a_zoo_network_is_there_as_json_too(capsys):
    assert run(["zoo", "vgg16", "--json"]) == 0
    assert 'name = "vgg16"' in json.loads(capsys.readouterr().out)["design"]


@pytest.mark.parametrize(
    ("given", "minutes"), [((), 30), (("--minutes", "2"), 2), (("--minutes", "90s"), 1.5), (("--minutes", "1h"), 60)]
)
def test_minutes_of_a_fit_are_minutes_unless_another_unit_is_named(given, minutes, monkeypatch):
    received = {}

    def fit(images, **options):
        received.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("convsmith.cli.fit"), "fit", fit)
    assert run(["fit", "digits", "--macs", "1.5M", *given]) == 130
    assert (received["minutes"], received["macs"]) == (minutes, 1_500_000)


def test_a_bar_shows_pace_and_time_left_below_the_lines_that_stay(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as far as rich can tell
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Bar() as display:
        display.show(Step("training", 0.25, "90 [bold] images/s", 61.0))
        display.tell("reading [bold]\nlines")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert r"reading [bold]\nlines" in captured.err
    assert "25%" in captured.err
    assert "90 [bold] images/s, 1 min 1 s left" in captured.err


def test_lines_of_progress_come_every_few_seconds_and_hold_the_time_left(monkeypatch, capsys):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("convsmith.cli.display.time.monotonic", lambda: float(next(clock)))
    with Lines() as display:
        for tenth in range(1, 11):
            display.show(Step("reading images", tenth / 10, f"{tenth} of 10"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "reading images: 100 %, 10 of 10"
    assert 3 <= len(lines) <= 8
    assert all(line.endswith(" left") for line in lines[:-1])
