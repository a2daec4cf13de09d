"""``bench``: every runtime really runs the network that is named, and what cannot be is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import convsmith
from convsmith.cli.main import run
from convsmith.deploy import runtimes
from convsmith.deploy.trials import make_weights
from convsmith.design import lower
from convsmith.errors import BudgetError, ModelError
from convsmith.ir import Builder, TensorType
from convsmith.jobs import bench as job
from convsmith.ops import Add, Conv2d
from tests.studio.conftest import SMALL


@pytest.fixture(scope="module")
def design():
    return convsmith.design.parse_design(SMALL)


@pytest.mark.slow
def test_every_runtime_gives_the_scores_of_float64(design):
    found = convsmith.bench(design, batch=3, seconds=0.0)
    assert list(found.timed) == ["onnxruntime", "torch", "torch-nhwc", "openvino"]
    assert found.graph.inputs[0][1].shape == (3, *design.input)
    assert convsmith.bench(design, "3x16x16", runtimes="torch", seconds=0.0).graph.inputs[0][1].shape == (1, 3, 16, 16)
    assert found.macs == 3 * convsmith.inspect(design).cost.macs
    for name, one in found.timed.items():
        assert 0 <= one.difference < 1e-5, name
        assert 0 < one.latency.p10_ms <= one.latency.median_ms <= one.latency.p90_ms
        assert found.images_per_second(name) == pytest.approx(3e3 / one.latency.typical_ms)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["runtimes"][told["fastest"]]["typical_ms"] == min(r["typical_ms"] for r in told["runtimes"].values())


def test_the_runs_that_are_timed_have_the_weights_and_threads_that_were_asked_for(design):
    graph = lower(design)
    weights = make_weights(graph)
    x = np.random.default_rng(1).standard_normal((1, *design.input), dtype=np.float32)
    exact = runtimes.exact_scores(graph, weights, x)
    doubled = {name: 2 * value if name.startswith("head") else value for name, value in weights.items()}
    for runtime in runtimes.RUNTIMES.values():
        assert np.allclose(runtime.open(graph, weights, 1)(x), exact, atol=1e-5 * np.abs(exact).max())
        assert np.allclose(runtime.open(graph, doubled, 1)(x), 2 * exact, atol=2e-5 * np.abs(exact).max())


def test_a_runtime_that_gives_other_scores_is_seen(design, monkeypatch):
    honest = runtimes.RUNTIMES["torch"]

    def half(*given):
        run = honest.open(*given)
        return lambda images: run(images) / 2

    monkeypatch.setitem(job.RUNTIMES, "torch", replace(honest, open=half))
    assert convsmith.bench(design, runtimes="torch", seconds="1ms").timed["torch"].difference == pytest.approx(0.5)


def test_one_that_cannot_run_the_network_leaves_the_others(design, monkeypatch, tmp_path, capsys):
    def refuse(*_):
        raise ModelError("not of this kind", where="somewhere")

    monkeypatch.setitem(job.RUNTIMES, "torch", replace(runtimes.RUNTIMES["torch"], open=refuse))
    monkeypatch.setitem(job.RUNTIMES, "openvino", replace(runtimes.RUNTIMES["openvino"], package="not-there-at-all"))
    (tmp_path / "net.toml").write_text(SMALL)
    assert run(["bench", str(tmp_path / "net.toml"), "--seconds", "1ms"]) == 0
    table = capsys.readouterr().out
    assert "torch cannot run it: somewhere: not of this kind" in table
    assert "openvino is not installed: pip install not-there-at-all" in table
    assert "onnxruntime " in table
    with pytest.raises(ModelError, match=r"not installed.*pip install not-there-at-all"):
        convsmith.bench(design, runtimes=["openvino"])
    with pytest.raises(ModelError, match=r"no runtime can run it.*not of this kind"):
        convsmith.bench(design, runtimes=["torch"])


def test_json_is_all_there_is_on_standard_output(tmp_path, capsys):
    (tmp_path / "net.toml").write_text(SMALL)
    words = [
        "bench",
        str(tmp_path / "net.toml"),
        "--runtime",
        "torch",
        "--seconds",
        "1ms",
        "--input",
        "3x16x16",
        "--json",
    ]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["input"], list(told["runtimes"])) == (job.SCHEMA, [1, 3, 16, 16], ["torch"])


def test_wrong_requests_name_the_rule(design):
    with pytest.raises(BudgetError, match="at least 1 image"):
        convsmith.bench(design, batch=0)
    with pytest.raises(BudgetError, match="threads must be 1 to"):
        convsmith.bench(design, threads=0)
    with pytest.raises(ModelError, match="did you mean openvino"):
        convsmith.bench(design, runtimes=["openvno"])
    net = Builder("two")
    first, second = (net.input(TensorType((1, 3, 8, 8)), name=name) for name in ("left", "right"))
    graph = net.graph(net.add(Conv2d(3, 4, 3), net.add(Add(), first, second, name="sum"), name="conv"))
    with pytest.raises(ModelError, match=r"one input and one output \(received \(2, 1\)\)"):
        convsmith.bench(graph)


@pytest.mark.slow
def test_the_runtimes_report_to_nobody(tmp_path):
    """Left alone, two of them keep a number for this machine at home, and one notes each session beside it."""
    (tmp_path / "net.toml").write_text(SMALL)
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "CONVSMITH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "convsmith", "bench", str(tmp_path / "net.toml"), "--seconds", "1ms", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert {"onnxruntime", "openvino"} <= set(json.loads(done.stdout)["runtimes"])
    assert [path for path in home.rglob("*") if path.is_file()] == []
