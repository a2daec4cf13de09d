"""The main job end to end on the embedded digits, small and for real."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from convsmith.cli.main import run
from convsmith.design import read_design
from convsmith.jobs.fit import fit
from convsmith.jobs.inspect import inspect
from convsmith.jobs.run_folder import RunFolder
from convsmith.scaling import price
from convsmith.search.space_file import default_space, read_space
from convsmith.training.events import read_events

MINUTES = 1.5


@pytest.fixture(scope="module", autouse=True)
def one_core():
    """The other core may be busy with other tests, and threads that wait for each other would crawl."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run."""
    path = tmp_path_factory.mktemp("fit") / "run"
    with pytest.MonkeyPatch.context() as patch:  # what earlier tests trained must not be taken over
        patch.setenv("CONVSMITH_CACHE", str(tmp_path_factory.mktemp("cache") / "convsmith"))
        fit("digits", macs=100_000, minutes=MINUTES, out=path)
    return path


@pytest.mark.slow
def test_the_run_folder_holds_what_the_contract_says(folder):
    names = {entry.name for entry in folder.iterdir()}
    assert names >= {
        "report.html", "report.json", "design.toml", "model.safetensors", "model.onnx", "model_card.md", "results.png",
        "events.ndjson", "study.journal",
    }  # fmt: skip
    report = json.loads((folder / "report.json").read_text())
    assert report["parity"]["passed"]
    assert report["accuracy"]["ci95"][0] <= report["accuracy"]["test"] <= report["accuracy"]["ci95"][1]
    assert report["accuracy"]["test"] > 0.9
    assert set(report["rules"]) == {
        "depth_only", "width_only", "resolution_only", "uniform", "efficientnet", "dwr", "regnet", "tinynet",
    }  # fmt: skip


@pytest.mark.slow
def test_the_network_is_within_the_budget_and_is_the_design_on_disk(folder):
    report = json.loads((folder / "report.json").read_text())
    cost = price(read_design(folder / "design.toml"))
    assert 97_000 <= cost.macs <= 100_000
    assert (cost.macs, cost.params) == (report["chosen"]["macs"], report["chosen"]["params"])


@pytest.mark.slow
def test_the_exported_file_reads_digits_from_raw_pixels(folder):
    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)[..., None]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixels": pixels})
    assert np.mean(np.asarray(logits).argmax(1) == digits.target) > 0.9
    assert RunFolder(folder).read_network().classes == tuple("0123456789")


@pytest.mark.slow
def test_what_is_in_the_folder_was_trained_for_longer_than_the_finals_and_is_judged_as_itself(folder):
    report, told = json.loads((folder / "report.json").read_text()), read_events(folder / "events.ndjson")
    (done,) = [event for event in told if event["event"] == "delivered"]
    delivered = report["delivered"]
    finals = [event for event in told if event["event"] == "training" and event["final"]]
    assert done["candidate"] == report["chosen"]["key"]
    assert delivered["images"] == done["outcome"]["images"] > 2 * max(one["outcome"]["images"] for one in finals)
    matrix = np.array(report["confusion"]["matrix"])  # of the weights in the folder
    assert delivered["test"] == done["outcome"]["accuracy"] == pytest.approx(np.trace(matrix) / matrix.sum())
    assert delivered["ci95"][0] < delivered["test"] < delivered["ci95"][1]
    for text in (report["sentence"], (folder / "model_card.md").read_text()):
        assert f"{100 * delivered['test']:.1f}" in text
    assert delivered["test"] > 0.95


@pytest.mark.slow
def test_going_on_with_a_finished_run_repeats_no_training(folder):
    before = _trainings(folder)
    fit("digits", macs=100_000, minutes=MINUTES, out=folder, resume=True)
    new = [event for event in _trainings(folder)[len(before) :] if not event["reused"]]
    assert not {_work(event) for event in new} & {_work(event) for event in before}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_stopped_goes_on_and_repeats_no_training(how, tmp_path, capsys):
    path = tmp_path / "a run"
    arguments = ["fit", "digits", "--macs", "100k", "--minutes", "1.5", "--out", str(path)]
    process = subprocess.Popen([sys.executable, "-m", "convsmith", *arguments], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(_trainings(path)) < 4:
        time.sleep(0.1)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in said.splitlines()[-1]
    done = _trainings(path)
    assert not (path / "report.json").exists()
    assert run([*arguments, "--resume"]) == 0
    again = _trainings(path)[len(done) :]
    assert [event["reused"] for event in again[: len(done)]] == [True] * len(done)
    assert [_work(event) for event in again[: len(done)]] == [_work(event) for event in done]
    assert not {_work(event) for event in again[len(done) :] if not event["reused"]} & {_work(event) for event in done}
    assert (path / "report.json").exists()
    longer = shlex.split(capsys.readouterr().out.splitlines()[-1].partition("convsmith ")[2])
    assert longer[longer.index("--minutes") + 1] == "60"
    assert run(["0.1" if word == "60" else word for word in longer]) == 0
    assert (tmp_path / "a run-longer" / "model.onnx").exists()


def _work(event):
    return tuple(event.get(key) for key in ("candidate", "images", "seed", "final"))  # a delivery is no final


def _trainings(folder):
    if not (folder / "events.ndjson").exists():
        return []
    return [event for event in read_events(folder / "events.ndjson") if "reused" in event]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit", "digits"], "macs or params"),
        (["fit", "digits", "--macs", "300"], "the smallest budget that works"),
        (["fit", "digits", "--macs", "1M", "--latency", "1us"], "the fastest measured takes"),
        (["fit", "digits", "--file-size", "2kB"], "the smallest costs"),
        (["fit", "digits", "--macs", "1M", "--memory", "500"], "memory of 744 B; the smallest budget that works is"),
        (["fit", "digits", "--macs", "1M", "--threads", "1000"], "threads must be 1 to"),
        (["fit", "digits", "--macs", "1M", "--space", "nowhere.toml"], "--write-space"),
        (["fit", "digits", "--macs", "1M", "--recipe", "nowhere.toml"], "a recipe must be a readable text file"),
        (["fit", "digits", "--macs", "1M", "--start-design", "zoo:resnet18"], "add --start-from FILE"),
        (["fit", "digits", "--macs", "1M", "--start-from", "a.safetensors"], "--start-design"),
        (["fit", "digits", "--macs", "1M", "--start-from", "a.onnx"], "needs the design it belongs to"),
        (["fit", "no such folder", "--macs", "1M"], "no such folder"),
        (["fit", "digits", "--macs", "1M", "--minutes", "soon"], "--minutes"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, expected, tmp_path, capsys):
    assert run([*arguments, "--out", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_space_file_is_written_whole_never_over_another_and_read_back(tmp_path, capsys):
    path, run_folder = tmp_path / "space.toml", tmp_path / "run"
    assert run(["fit", "--write-space", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert read_space(path) == default_space()
    assert run(["fit", "--write-space", str(path)]) == 2
    assert "there is a file already" in capsys.readouterr().err
    path.write_text(path.read_text().replace("growth =", "grwth ="))
    assert run(["fit", "digits", "--macs", "1M", "--space", str(path), "--out", str(run_folder)]) == 2
    assert "did you mean 'width.growth'?" in capsys.readouterr().err
    assert not run_folder.exists()


@pytest.mark.slow
def test_bytes_and_time_are_within_the_budget_of_a_run_and_its_report_says_so(tmp_path, capsys):
    path, space = tmp_path / "run", tmp_path / "space.toml"
    space.write_text('families = ["plain", "residual"]\nfamily_changes = 1\n')
    budget = ["--file-size", "60kB", "--memory", "1MB", "--latency", "20ms"]
    assert run(["fit", "digits", *budget, "--minutes", "2", "--space", str(space), "--out", str(path)]) == 0
    report = json.loads((path / "report.json").read_text())
    chosen, said = report["chosen"], capsys.readouterr().out
    assert chosen["file_bytes"] == (path / "model.onnx").stat().st_size
    assert 0.97 * 60_000 <= chosen["file_bytes"] <= 60_000
    totals = inspect(path).totals
    assert chosen["memory_bytes"] == totals["weight_bytes"] + totals["peak_activation_bytes"] <= 1_000_000
    assert chosen["latency_ms"] <= 20
    assert (report["budget"]["file_bytes"], report["budget"]["latency_ms"]) == (60_000, 20)
    assert all(row["costs"]["file_bytes"] <= 60_000 for row in report["candidates"])
    for part in ("of 58.59 KiB (9", "of 20.0 ms", "of 976.6 KiB", "onnxruntime", "threads = 1"):
        assert part in said


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("important")
    assert run(["fit", "digits", "--macs", "1M", "--out", str(tmp_path)]) == 2
    assert "empty folder" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
