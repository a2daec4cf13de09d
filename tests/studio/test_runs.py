"""The runs view's answers: runs at every moment of their life, the process of one ended, images behind a mistake."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from convsmith.cli.main import run as run_command
from convsmith.errors import ConvsmithError, RunError
from convsmith.jobs import replay
from convsmith.jobs.fit_budget import Allowance
from convsmith.jobs.predict import predict
from convsmith.jobs.resume_command import resume_command
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.stop import stop
from convsmith.quantities import parse_seconds
from convsmith.studio import behind, plot, runs
from convsmith.studio.session import Session
from tests.studio.run_folders import started, working_on

pytestmark = pytest.mark.slow


def lines_of(run):
    return (run / "events.ndjson").read_bytes().splitlines(True)


@pytest.mark.parametrize("kind", ["train", "fit", "curves"])
def test_a_run_can_be_looked_at_after_each_of_its_events(made, kind, tmp_path):
    whole = getattr(made, kind)
    events = lines_of(whole)
    some = {1, 2, 3, len(events) - 1, len(events), *range(4, len(events), max(1, len(events) // 12))}
    for count in sorted(some):
        folder = started(whole, tmp_path / str(count), count)
        with (folder / "events.ndjson").open("ab") as log:
            log.write(events[min(count, len(events) - 1)][:25])  # the line that is being written
        found = runs.state(folder, "")
        json.dumps(found, allow_nan=False)
        assert found["status"] == ("finished" if count == len(events) else "stopped")
        assert (found["resume"] == "") == (count == len(events))
        assert runs.state(folder, found["stamp"]) == {"same": True}


def test_a_finished_run_says_what_its_report_says(made):
    report = json.loads((made.fit / "report.json").read_text())
    found = runs.state(made.fit, "")
    assert found["sentence"] == report["sentence"]
    assert {row["name"] for row in found["finals"] if row["chosen"]} != set()
    assert sum(row["tied"] for row in found["finals"]) == len({one["key"] for one in report["ties"]})
    assert found["confusion"]["matrix"] == report["confusion"]["matrix"]
    (made.fit / "report.json").rename(made.fit / "kept")
    try:
        assert runs.state(made.fit, "")["sentence"] == report["sentence"]  # from the log alone
    finally:
        (made.fit / "kept").rename(made.fit / "report.json")


def test_what_cannot_be_read_is_said_and_left_as_it_is(made, tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    text = lines_of(made.train)[0].replace(b"convsmith/events/1", b"convsmith/events/2")
    (newer / "events.ndjson").write_bytes(text)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "events.ndjson").write_bytes(b"")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "events.ndjson").write_bytes(lines_of(made.train)[0] + b"{nonsense\n")
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "events.ndjson").write_bytes(lines_of(made.fit)[0].replace(b'"field"', b'"other"'))
    for folder, said in (
        (newer, "newer convsmith"), (empty, "does not say what was run"), (damaged, "JSON object"),
        (lacking, "does not hold all.*field"),
    ):  # fmt: skip
        before = (folder / "events.ndjson").read_bytes()
        with pytest.raises(RunError, match=said):
            runs.state(folder, "")
        assert (folder / "events.ndjson").read_bytes() == before
        assert Session.open([str(folder)]).to_dict()["runs"] == [{"id": 0, "reference": str(folder)}]


def test_a_run_that_has_only_begun_is_waited_for(tmp_path):
    with working_on(tmp_path) as process:
        with pytest.raises(RunError, match=f"only begun.*process {process.pid}"):
            runs.state(tmp_path, "")
        assert Session.open([str(tmp_path)]).to_dict()["runs"][0]["id"] == 0


def test_stopping_ends_the_process_of_the_run_and_no_other(made, tmp_path):
    folder = started(made.train, tmp_path / "run", 5)
    with pytest.raises(RunError, match="no process works on the run"):
        stop(folder)
    with working_on(folder) as process:
        found = runs.state(folder, "")
        assert (found["status"], found["process"]) == ("running", f"process {process.pid} on {socket.gethostname()}")
        assert stop(folder) == process.pid
        assert process.wait(20) == -signal.SIGTERM
    assert runs.state(folder, found["stamp"])["status"] == "stopped"
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with working_on(folder):
            for holder, said in (
                (f"process {other.pid} on {socket.gethostname()}", "another program"),
                (f"process {other.pid} on elsewhere", "another machine"),
                (f"process {2**22 + 1} on {socket.gethostname()}", "cannot be reached"),
                ("somebody", "does not say which process"),
            ):
                RunFolder(folder).lock.write_text(holder)
                with pytest.raises(RunError, match=said):
                    stop(folder)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("kind", ["train", "fit", "curves"])
def test_the_command_that_is_shown_goes_on_with_the_run(made, kind, tmp_path, monkeypatch):
    whole = getattr(made, kind)
    folder = started(whole, tmp_path / "the run", len(lines_of(whole)) // 2)
    command = shlex.split(runs.state(folder, "")["resume"])
    assert command[0] == "convsmith"
    assert command[-3:] == ["--out", str(folder), "--resume"]
    if kind == "train":  # a search would take its full time anew
        assert run_command(command[1:]) == 0
        assert runs.state(folder, "")["status"] == "finished"
    else:
        begin = json.loads(lines_of(whole)[0])
        wanted = {"fit": ["digits", "--macs", "60000"], "curves": ["--measure", "digits"]}[kind]
        assert all(word in command for word in wanted)
        assert command[command.index("--minutes") + 1] == f"{begin['budget']['minutes']:g}"


@pytest.mark.parametrize("text", ["0.7ms", "2.3456789ms", "12us"])
def test_the_command_that_is_shown_has_all_digits_that_were_given(text):
    allowance = Allowance(latency=parse_seconds(text, "latency"))
    begin = {"data": {"source": "digits"}, "budget": {**allowance.to_dict(), "minutes": 1.23456789}, "seed": 0}
    words = shlex.split(resume_command(Path("run"), replay.Session("fit", begin, [], [])))
    assert float(words[words.index("--minutes") + 1]) == 1.23456789
    again = parse_seconds(words[words.index("--latency") + 1], "latency")
    assert Allowance(latency=again).to_dict() == allowance.to_dict()


def test_the_images_behind_a_cell_are_those_that_the_network_takes_so(made, tmp_path):
    digits = load_digits()
    matrix = runs.state(made.train, "")["confusion"]["matrix"]
    counts = [[behind.behind(made.train, str(t), str(a))["count"] for a in range(10)] for t in range(10)]
    assert counts == matrix
    true, answer = max(((t, a) for t in range(10) for a in range(10) if t != a), key=lambda one: matrix[one[0]][one[1]])
    found = behind.behind(made.train, str(true), str(answer))
    assert found["images"]
    shares = [float(one["text"].removesuffix(" %")) for one in found["images"]]
    assert shares == sorted(shares, reverse=True)
    for one in found["images"]:
        row = int(one["name"].partition("/")[2])
        content = behind.image(made.train, one["image"])
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert np.array_equal(pixels[..., 0], np.rint(digits.images[row] * 255 / 16))
        assert digits.target[row] == true
        (tmp_path / "one.png").write_bytes(content)
        (label, share), *_ = predict(made.train, [tmp_path / "one.png"]).predictions[0].labels
        assert label == str(answer)
        assert f"{100 * share:.1f} %" == one["text"]
    assert behind.image(made.train, 10**6) is None
    with pytest.raises(ConvsmithError, match="no such class"):
        behind.behind(made.train, "11", "1")
    with pytest.raises(RunError, match="finished"):
        behind.behind(started(made.train, tmp_path / "half", 9), "1", "2")


def test_a_run_done_again_in_its_folder_is_judged_again(made, tmp_path):
    target = tmp_path / "run"
    shutil.copytree(made.train, target)
    before = [behind.behind(target, "1", str(answer))["count"] for answer in range(10)]
    folder = RunFolder(target)
    network = folder.read_network()
    with torch.no_grad():
        head = next(layer for layer in network.module.modules() if isinstance(layer, torch.nn.Linear))
        head.weight.zero_()
        head.bias[:] = torch.arange(10) == 4
    folder.write_network(network)
    after = [behind.behind(target, "1", str(answer))["count"] for answer in range(10)]
    assert before[1] > 0
    assert after == [sum(before) if answer == 4 else 0 for answer in range(10)]


@pytest.mark.parametrize("part", ["digest", "split"])
def test_images_that_are_others_now_are_not_taken_for_those_of_the_run(made, part, tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    for name in ("design.toml", "model.safetensors"):
        (target / name).write_bytes((made.train / name).read_bytes())
    report = json.loads((made.train / "report.json").read_text())
    report["data"][part] = "0" * len(report["data"][part])
    (target / "report.json").write_text(json.dumps(report))
    (target / "events.ndjson").write_bytes((made.train / "events.ndjson").read_bytes())
    with pytest.raises(RunError, match="no longer those"):
        behind.behind(target, "1", "2")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (1, 10**6), (3, 3), (0.9985, 0.9991), (12_600, 12_600)])
def test_an_axis_holds_its_values_and_has_round_ticks_within(low, high, log):
    axis = plot.Axis.over("images", [low, high, float("nan")], "{:g}".format, log=log)
    assert 0 < axis.place(low) <= axis.place(high) < 1
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 14
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick in ticks)
    assert all(float(f"{tick:.4g}") == pytest.approx(tick) for tick in ticks)
