"""``convsmith probe`` as a user meets it; the measurement itself is replaced, for it takes a minute."""

from __future__ import annotations

import dataclasses
import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from convsmith.cli.main import run
from convsmith.deploy import peaks
from convsmith.deploy.calibration import Calibration, calibration_path, read_calibration, this_machine
from convsmith.deploy.work import Hardware
from convsmith.design import lower, read_design
from convsmith.design.zoo import load as read_zoo
from convsmith.interop.torch_module import build
from convsmith.jobs import probe as job
from convsmith.jobs.training_setups import TrainingSetups
from convsmith.training.probe import choose_setup
from convsmith.training.setup import Measurement, Setup


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the calibration was asked for; by the clock, the peaks take seven seconds."""
    calls: list[dict[str, float]] = []

    def calibrate(*, threads, seconds, progress):
        calls.append({"threads": threads, "seconds": seconds})
        progress(0.5)
        return Calibration(this_machine(threads), Hardware(8, (1, 2, 3)), {"run": 1e-3}, (0.9, 0.95, 1.0, 1.1))

    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))
    monkeypatch.setattr(job, "calibrate", calibrate)
    monkeypatch.setattr(job, "time", SimpleNamespace(perf_counter=count(0, 7).__next__))
    monkeypatch.setattr(peaks, "_PEAK_SECONDS", 0.0)
    monkeypatch.setattr(peaks, "_SIDE", 64)
    monkeypatch.setattr(peaks, "_COPIED", 2**16)
    return calls


def test_probe_tells_the_machine_and_keeps_the_calibration(asked, capsys):
    assert run(["probe"]) == 0
    shown = capsys.readouterr().out
    assert "median error 7.2 % for networks held out (4 were timed)" in shown
    assert "multiply-adds/s in float32" in shown
    assert str(calibration_path(this_machine(1))) in shown
    assert read_calibration().seconds == {"run": 1e-3}
    assert asked == [{"threads": 1, "seconds": 60 - 7}]


def test_probe_json_holds_every_figure_and_nothing_else_is_printed(asked, capsys):
    assert run(["probe", "--seconds", "2min", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "convsmith/probe/1"
    assert found["cores"] >= found["threads"] == 1
    assert found["gemm_float32_macs_per_second"] > 0
    assert found["copy_bytes_per_second"] > 0
    assert found["latency"]["networks"] == 4
    assert found["latency"]["held_out_error"] == pytest.approx((1 / 0.95 - 1 + 1 - 1 / 1.1) / 2)
    assert Path(found["latency"]["path"]).exists()
    assert found["caches"] == [1, 2, 3]
    assert asked == [{"threads": 1, "seconds": 120 - 7}]


@pytest.mark.parametrize("threads", ["0", "9999"])
def test_threads_that_the_machine_does_not_have_are_refused(asked, threads, capsys):
    assert run(["probe", "--threads", threads]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"received {threads}" in error
    assert asked == []


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_measured(asked, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path / "file"))
    assert run(["probe"]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert asked == []


NET = """
name = "tiny"
input = [3, 8, 8]
[stem]
block = "conv"
width = 4
[[stage]]
block = "plain"
depth = 1
width = 4
[head]
task = "classify"
classes = 3
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(NET)
    return str(path)


@pytest.mark.slow
def test_with_a_network_every_setup_that_was_raced_is_told_and_the_best_is_remembered(asked, net, capsys, monkeypatch):
    assert run(["probe", net, "--batch", "64", "--race", "10ms", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["training"]
    assert (found["design"], found["input"], found["batch"]) == ("tiny", [3, 8, 8], 64)
    assert found["macs"] == 3 * 4 * 9 * 64 + 2 * (4 * 4 * 9 * 64) + 4 * 3  # stem, two convolutions, head
    rows = found["setups"]
    (chosen,) = [row for row in rows if row["outcome"] == "chosen"]
    assert found["images_per_second"] == chosen["images_per_second"]
    for row in rows:
        peak = found["gemm_macs_per_second"][row["dtype"]]
        assert row["share_of_peak"] == pytest.approx(3 * found["macs"] * row["images_per_second"] / peak)
        assert row["images_at_a_time"] in (32, 64)
        assert ("left behind" in row["outcome"]) is (row["round"] < 3)
    assert {row["channels_last"] for row in rows} == {True, False}
    assert {"channels_last", "device", "dtype", "kernels", "threads"} <= found["chosen"].keys()

    monkeypatch.setattr("convsmith.training.probe.race_setups", lambda *_, **__: pytest.fail("measured again"))
    graph = lower(read_design(net))
    again = choose_setup(lambda: build(graph), (3, 8, 8), 64)
    assert {key: again.to_dict()[key] for key in found["chosen"]} == found["chosen"]


def test_the_table_says_what_was_chosen_and_what_was_left_behind(asked, net, capsys):
    assert run(["probe", net, "--batch", "48", "--race", "10ms"]) == 0
    shown = capsys.readouterr().out
    assert "Training tiny on 3x8x8" in shown
    assert "48 images a step" in shown
    table = shown[shown.index("number type") :].splitlines()
    assert sum(line.endswith("  chosen") for line in table) == 1
    assert "Trainings of this network with batches of 48 begin with it" in shown


def measured(dtype, round, seconds, channels_last=True):
    return Measurement(dtype, channels_last, False, 2, None, "cpu", seconds, 32 if round == 1 else 64, round)


def test_the_reason_names_a_number_type_that_learnt_less():
    rows = (
        measured("bfloat16", 3, 0.1),
        measured("float32", 3, 0.2),
        measured("float32", 3, 0.3, channels_last=False),
        measured("bfloat16", 1, 0.15, channels_last=False),
    )
    found = TrainingSetups(
        read_zoo("resnet18"), 10**6, 64, Setup("float32", threads=2, measured=rows), {"float32": 1e9, "bfloat16": 2e9}
    )
    assert [found.outcome(row) for row in rows] == [
        "learnt less",
        "chosen",
        "not the fastest",
        "left behind in round 1, on 32 images",
    ]
    assert found.reason == "Chosen because bfloat16, though faster, learnt a few images less well in a trial."
    assert found.images_per_second(rows[1]) == 320
    assert found.share_of_peak(rows[1]) == pytest.approx(3 * 1e6 * 320 / 1e9)


def test_the_reason_names_parts_of_a_batch_that_were_a_little_faster():
    whole = measured("float32", 3, 0.20)
    rows = (whole, dataclasses.replace(whole, micro_batch=32, seconds=0.195))
    found = TrainingSetups(
        read_zoo("resnet18"), 10**6, 64, Setup("float32", threads=2, measured=rows), {"float32": 1e9}
    )
    assert [found.outcome(row) for row in rows] == ["chosen", "not clearly faster"]
    assert "were not clearly faster" in found.reason


def test_memory_that_sufficed_for_no_setup_is_told():
    found = TrainingSetups(read_zoo("resnet18"), 10**6, 64, Setup(), {})
    assert found.to_dict()["images_per_second"] is None
    assert "Memory did not suffice" in found.to_dict()["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["zoo:resnet81"], "did you mean zoo:resnet18"),
        (["net.onnx"], "only a design can be built, trained or scaled"),
        (["zoo:resnet18", "--batch", "1"], "a batch must have at least 2 images, because of batch norm"),
    ],
)
def test_what_cannot_be_raced_is_refused_before_anything_is_measured(asked, arguments, told, capsys):
    assert run(["probe", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert asked == []
