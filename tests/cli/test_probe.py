"""``convsmith probe`` as a user meets it; the measurement itself is replaced, for it takes a minute."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from convsmith.cli.main import run
from convsmith.deploy import peaks
from convsmith.deploy.calibration import Calibration, calibration_path, read_calibration, this_machine
from convsmith.deploy.work import Hardware
from convsmith.jobs import probe as job


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
