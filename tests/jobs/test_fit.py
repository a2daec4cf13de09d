"""The main job end to end on the embedded digits, small and for real."""

import json
import os
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
from convsmith.jobs.run_folder import RunFolder
from convsmith.scaling import price
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
def test_going_on_with_a_finished_run_repeats_no_training(folder):
    before = _trainings(folder)
    fit("digits", macs=100_000, minutes=MINUTES, out=folder, resume=True)
    new = [event for event in _trainings(folder)[len(before) :] if not event["reused"]]
    assert not {_work(event) for event in new} & {_work(event) for event in before}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_stopped_goes_on_and_repeats_no_training(how, tmp_path):
    path = tmp_path / "run"
    arguments = ["fit", "digits", "--macs", "100k", "--minutes", "0.8", "--out", str(path)]
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


def _work(event):
    return tuple(event[key] for key in ("candidate", "images", "seed", "final"))


def _trainings(folder):
    if not (folder / "events.ndjson").exists():
        return []
    return [event for event in read_events(folder / "events.ndjson") if "reused" in event]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit", "digits"], "macs or params"),
        (["fit", "digits", "--macs", "300"], "the smallest budget that works"),
        (["fit", "digits", "--macs", "1M", "--latency", "3ms"], "latency"),
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


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("important")
    assert run(["fit", "digits", "--macs", "1M", "--out", str(tmp_path)]) == 2
    assert "empty folder" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
