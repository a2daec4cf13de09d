"""What goes with an exported file: its card, its time on this machine, and what it was made with."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import numpy as np
import psutil
import torch

from convsmith.deploy.calibration import this_machine
from convsmith.deploy.card import model_card
from convsmith.deploy.environment import machine, versions
from convsmith.deploy.latency import measure_latency
from convsmith.interop.onnx_file import Preprocess, write_onnx
from convsmith.ir import Builder, TensorType
from convsmith.ops import Flatten
from tests.report.sample import fit_report, train_report


def test_the_card_says_how_to_feed_the_network_and_how_good_it_is():
    report = fit_report()
    card = model_card(report)
    assert "uint8 (batch, 64, 64, 3)" in card
    assert "scaled as a whole onto mid grey" in card
    rows = [line for line in card.splitlines() if " (95 %: " in line]
    assert rows[0].startswith("| test accuracy | 91.42 % (95 %: 89.71 % to 92.87 %)")  # of the network in the folder
    assert f"{report['accuracy']['test']:.2%}".replace("%", " %") in rows[1]
    assert "at most 0.0001" in card
    assert "left out: 1." in card
    assert [line for line in card.splitlines() if line.startswith("5. ")] == ["5. dog"]


def test_no_name_of_the_users_becomes_markup_of_the_card():
    card = model_card(fit_report())
    assert "\\<script\\>alert(2)\\</script\\>" in card
    assert "a\\|b\\`c\\*d\\_e" in card
    assert "<script>" not in card.replace("\\<script\\>", "")
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {3}


def test_a_name_with_a_line_end_stays_on_its_line():
    card = model_card(fit_report(classes=["one\n# two", "three"]))
    assert "\n# two" not in card
    assert "1. three" in card.splitlines()


def test_a_network_that_was_only_trained_has_a_card_too():
    card = model_card(train_report())
    assert "not measured" in card
    assert "None" not in card.replace("run(None", "")


def test_latency_is_the_median_of_single_images(tmp_path):
    net = Builder("flat")
    x = net.input(TensorType((1, 3, 8, 8)))
    graph = net.graph(net.add(Flatten(), x, name="flat"))
    path = write_onnx(graph, {}, tmp_path / "m.onnx", preprocess=Preprocess((0.0,) * 3, (1.0,) * 3))
    latency = measure_latency(path, (8, 8, 3), repeats=20)
    assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms
    assert (latency.threads, latency.repeats) == (1, 20)
    assert latency.runtime.startswith("onnxruntime ")
    assert json.loads(json.dumps(latency.to_dict()))["median_ms"] == latency.median_ms


def test_a_calibration_is_of_the_cores_at_hand(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert this_machine(1).cores == machine()["cores"] == 1


def test_machine_and_versions_name_this_machine_and_nobody():
    here, packages = machine(), versions()
    assert 1 <= here["cores"] <= (psutil.cpu_count() or 1)
    assert abs(here["memory_gib"] - psutil.virtual_memory().total / 2**30) < 0.1
    assert (packages["numpy"], packages["python"]) == (np.__version__, platform.python_version())
    assert packages["torch"] == torch.__version__
    text = json.dumps([here, packages])
    assert platform.node() not in text
    assert str(Path.home()) not in text
