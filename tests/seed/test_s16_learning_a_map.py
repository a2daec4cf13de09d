"""S16: a network learns a map from input to output, in a training that can be stopped, gone on with and recomputed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convsmith.cli.main import run
from convsmith.data import open_images, split_images
from convsmith.interop.weights import read_weights
from convsmith.training.learner import Learner
from convsmith.training.setup import Setup
from tests.explain.explain_digits import DESIGN

pytestmark = pytest.mark.slow

TRAIN = ["train", "digits.toml", "digits", "--epochs", "4", "--seed", "1", "--out"]


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s16")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        patch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: Setup(threads=1))
        Path("digits.toml").write_text(DESIGN)
        assert run([*TRAIN, "run"]) == 0
        yield folder


def test_it_has_learnt_what_it_was_not_shown(capsys):
    """By hand, from pictures: images that played no part in the training, one file each."""
    digits = load_digits()
    rows = split_images(open_images("digits"), seed=1).test[:40]
    for row in rows:
        pixels = np.rint(digits.images[row] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(f"{row}.png")
    assert run(["predict", "run", *(f"{row}.png" for row in rows), "--top", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    labels = [one["labels"] for one in found]
    right = [first["label"] == str(digits.target[row]) for row, (first, *_) in zip(rows, labels, strict=True)]
    assert sum(right) >= 34
    assert all(abs(sum(label["probability"] for label in all_ten) - 1) < 1e-5 for all_ten in labels)


def test_a_training_that_was_stopped_ends_with_the_same_weights(monkeypatch, capsys):
    steps = []
    step = Learner.step

    def stopped(self):
        steps.append(step(self))
        if len(steps) == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stopped)
        assert run([*TRAIN, "stopped"]) == 130
    assert "--resume" in capsys.readouterr().err
    assert run([*TRAIN, "stopped", "--resume"]) == 0
    first, second = (read_weights(Path(name, "model.safetensors")) for name in ("run", "stopped"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_figures_come_from_the_log_alone(capsys):
    before = json.loads(Path("run", "report.json").read_text())
    assert run(["report", "run", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == before["accuracy"]
    low, high = before["accuracy"]["ci95"]
    assert low < before["accuracy"]["test"] < high
