"""A search whose trainings are done on a real Ray cluster, of which a machine dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from jobs_small_fit import PLENTY, quick, timeless

from convsmith.cli.main import run
from convsmith.jobs.fit import fit

CLUSTER = Path(__file__).with_name("jobs_ray.py")


@pytest.mark.slow
def test_the_training_of_a_machine_that_dies_is_done_again_and_nothing_else(tmp_path, monkeypatch):
    diary, out = tmp_path / "diary", tmp_path / "run"
    command = [sys.executable, CLUSTER, diary, out]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    began = [line.split(maxsplit=1) for line in diary.read_text().splitlines()]
    dead = began[0][0]
    twice = [name for name, times in Counter(name for _, name in began).items() if times > 1]
    assert twice == [[name for machine, name in began if machine == dead][1]]
    assert len({machine for machine, _ in began}) == 2
    quick(monkeypatch)
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path / "another"))
    alone = fit("digits", macs=60_000, minutes=PLENTY, out=tmp_path / "alone").report
    found = json.loads(done.stdout)  # what ray told of the dead machine went elsewhere
    for key in ("chosen", "accuracy", "confusion", "sentence", "candidates"):
        assert timeless(found[key]) == timeless(alone[key]), key
    weights = [(folder / "model.safetensors").read_bytes() for folder in (out, tmp_path / "alone")]
    assert weights[0] == weights[1]
    assert "joined the Ray cluster at 127.0.0.1:" in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--executor", "rya"], "an executor must be ray (received 'rya'); did you mean ray?"),
        (["--executor", "ray", "--address", "127.0.0.1:1"], "no Ray cluster to join: [Errno 111] Connection refused"),
        (["--executor", "ray", "--study", "postgresql:///x"], "by an executor or by a shared study, not by both"),
    ],
)
def test_what_cannot_be_is_refused_at_once(options, expected, capsys, tmp_path):
    assert run(["fit", "digits", "--macs", "60k", *options, "--out", str(tmp_path / "run")]) == 2
    assert expected in capsys.readouterr().err


def test_without_ray_there_is_one_clear_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "convsmith.jobs.ray_crew", raising=False)
    assert run(["fit", "digits", "--macs", "60k", "--executor", "ray", "--out", str(tmp_path / "run")]) == 2
    assert "pip install 'convsmith[ray]'" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_of_either_is_loaded_until_it_is_asked_for():
    asked = "import sys, convsmith.cli.fit; print([m for m in ('ray', 'psycopg', 'sqlalchemy') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", asked], text=True) == "[]\n"
