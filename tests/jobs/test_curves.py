"""Saturation curves measured for real on the embedded digits, small."""

from __future__ import annotations

import base64
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from jobs_digits import TINY
from PIL import Image

from convsmith.analysis import cost
from convsmith.cli.main import run
from convsmith.design import lower, parse_design
from convsmith.jobs.curves import curves
from convsmith.jobs.lab import Lab
from convsmith.training.events import read_events
from convsmith.training.setup import Setup

OPTIONS = {"resolution": 0.625, "epochs": 1.0, "minutes": 3.0, "seeds": 2}


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    monkeypatch.setattr("convsmith.jobs.lab.choose_setup", lambda *_, **__: Setup(threads=1))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Finished curves, and the cache that they left."""
    folder = tmp_path_factory.mktemp("curves")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        patch.setattr("convsmith.jobs.lab.choose_setup", lambda *_, **__: Setup(threads=1))
        done = curves(parse_design(TINY), "digits", out=folder / "run", **OPTIONS)
    return SimpleNamespace(folder=folder / "run", cache=folder / "cache", report=done.report)


@pytest.fixture
def warm(measured, tmp_path, monkeypatch):
    """The cache of the finished curves, and a count of the trainings that are done all the same."""
    cache, done = shutil.copytree(measured.cache, tmp_path / "cache"), []
    monkeypatch.setenv("CONVSMITH_CACHE", str(cache))
    train = Lab.train
    monkeypatch.setattr(Lab, "train", lambda self, work: done.append(work) or train(self, work))
    return done


def trainings(folder):
    return [event for event in read_events(folder / "events.ndjson") if event["event"] == "training"]


@pytest.mark.slow
def test_every_point_is_on_its_budget_trained_alike_and_shares_its_seeds(measured):
    report = json.loads((measured.folder / "report.json").read_text())
    assert report == json.loads(json.dumps(measured.report))
    ladder = report["ladder"]
    for axis, curve in report["curves"].items():
        base, *points = curve["points"]
        assert base["key"] == report["base"]["key"]
        for budget, point in zip(ladder, points, strict=False):
            design = parse_design(point["design"])
            assert point["macs"] == cost(lower(design)).macs <= budget
            assert point["macs"] >= 0.97 * budget or (axis == "resolution" and design.input[1] == 8)
            assert design.input[1] <= 8
    assert report["curves"]["width"]["points"][-1]["macs"] >= 0.97 * ladder[-1]
    assert "the images are 8 px" in report["curves"]["resolution"]["stop"]
    told = trainings(measured.folder)
    assert {event["images"] for event in told} == {1438}  # one pass over train and select
    seeds = {}
    for event in told:
        seeds.setdefault(event["candidate"], []).append(event["seed"])
    assert set(map(tuple, seeds.values())) == {(1, 2)}


@pytest.mark.slow
def test_every_accuracy_is_that_of_the_bits_in_the_log(measured):
    right = {}
    for event in trainings(measured.folder):
        packed = np.frombuffer(base64.b64decode(event["outcome"]["correct"]), np.uint8)
        bits = np.unpackbits(packed, count=event["outcome"]["total"])
        right.setdefault(event["candidate"], []).append(bits.mean())
    for curve in measured.report["curves"].values():
        for point in curve["points"]:
            assert point["accuracy"] == pytest.approx(np.mean(right[point["key"]]))
            assert point["ci95"][0] < point["accuracy"] < point["ci95"][1]
        for before, after, gain in zip(curve["points"], curve["points"][1:], curve["gains"], strict=False):
            assert gain["difference"] == pytest.approx(after["accuracy"] - before["accuracy"])


@pytest.mark.slow
def test_the_files_are_there_and_stand_beside_the_published_figure(measured):
    page = (measured.folder / "report.html").read_text()
    assert measured.report["sentence"] in page
    assert "arXiv 1905.11946" in page
    assert measured.report["published"]["curves"]["depth"]["accuracy"][-1] == 0.8
    with Image.open(measured.folder / "results.png") as picture:
        assert picture.size == (1600, 900)


@pytest.mark.slow
def test_the_same_curves_again_train_nothing_and_say_from_when(measured, warm, tmp_path):
    again = curves(parse_design(TINY), "digits", out=tmp_path / "again", **OPTIONS)
    assert warm == []
    assert again.report["reused"]["trainings"] == len(trainings(measured.folder))
    assert any("were taken from earlier runs" in note for note in again.report["notes"])
    for axis, curve in again.report["curves"].items():
        assert curve == measured.report["curves"][axis]


@pytest.mark.slow
def test_more_seeds_train_only_what_is_new_and_fresh_trains_all(measured, warm, tmp_path):
    curves(parse_design(TINY), "digits", out=tmp_path / "more", **{**OPTIONS, "seeds": 3})
    assert {work.seed for work in warm} == {3}
    del warm[:]
    curves(parse_design(TINY), "digits", out=tmp_path / "fresh", fresh=True, **{**OPTIONS, "seeds": 1})
    assert len(warm) == len({event["candidate"] for event in trainings(measured.folder)})


@pytest.mark.slow
def test_another_recipe_or_split_shares_nothing(warm, tmp_path):
    (tmp_path / "recipe.toml").write_text("learning_rate = 0.05\n")
    curves(parse_design(TINY), "digits", out=tmp_path / "a", recipe=tmp_path / "recipe.toml", **{**OPTIONS, "seeds": 1})
    networks = len(warm)
    assert networks > 5
    curves(parse_design(TINY), "digits", out=tmp_path / "b", seed=1, **{**OPTIONS, "seeds": 1})
    assert len(warm) == 2 * networks


@pytest.mark.slow
def test_stopped_curves_go_on_and_end_as_if_they_had_not_been(measured, tmp_path, monkeypatch):
    done, train = [], Lab.train

    def stop(self, work):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(work)
        return train(self, work)

    monkeypatch.setattr(Lab, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        curves(parse_design(TINY), "digits", out=tmp_path / "run", **OPTIONS)
    monkeypatch.setattr(Lab, "train", lambda self, work: done.append(work) or train(self, work))
    ended = curves(parse_design(TINY), "digits", out=tmp_path / "run", resume=True, **OPTIONS)
    assert len({(work.candidate.key, work.seed) for work in done}) == len(done) == len(trainings(measured.folder))

    def figures(report):
        return [[point["accuracy"] for point in curve["points"]] for curve in report["curves"].values()]

    assert figures(ended.report) == figures(measured.report)
    assert ended.report["reused"]["trainings"] == 0


@pytest.mark.slow
def test_a_network_that_cannot_be_trained_is_named_and_left_out(measured, tmp_path, monkeypatch):
    train = Lab.train
    bad = measured.report["curves"]["width"]["points"][1]["key"]

    def fail(self, work):
        outcome = train(self, work)
        if work.candidate.key != bad:
            return outcome
        return type(outcome)(0.0, float("inf"), 0.1, 0, None, outcome.total, failure="loss must stay finite")

    monkeypatch.setattr(Lab, "train", fail)
    report = curves(parse_design(TINY), "digits", out=tmp_path / "run", **OPTIONS).report
    point = next(point for point in report["curves"]["width"]["points"] if point["key"] == bad)
    assert (point["accuracy"], point["ci95"], point["seeds"]) == (None, None, 0)
    assert any("loss must stay finite" in note for note in report["notes"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--macs", "1k"], "give at least"),
        (["--resolution", "2"], "start lower, such as with --resolution 0.5"),
        (["--seeds", "0"], "seeds must be 1 to 15"),
        (["--epochs", "0"], "epochs must be above zero"),
        (["--minutes", "1s", "--epochs", "100"], "the time must suffice for one training"),
        (["--params", "1M"], "--params is not for --measure"),
        (["--rule", "dwr"], "--rule is not for --measure"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, expected, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY)
    command = ["scale", str(tmp_path / "tiny.toml"), "--measure", "digits", "--out", str(tmp_path / "run")]
    assert run([*command, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err.splitlines()[-1]


@pytest.mark.parametrize("option", [["--minutes", "3"], ["--seeds", "2"], ["--seed", "1"], ["--resume"], ["--fresh"]])
def test_options_of_measuring_are_refused_without_it(option, capsys):
    assert run(["scale", "zoo:resnet18", *option]) == 2
    assert f"{option[0]} goes with --measure IMAGES" in capsys.readouterr().err


@pytest.mark.slow
def test_going_on_with_other_images_another_base_or_another_run_is_refused(measured, tmp_path, capsys):
    copy = shutil.copytree(measured.folder, tmp_path / "run")
    (tmp_path / "tiny.toml").write_text(TINY.replace("width = 8", "width = 4"))
    command = ["scale", str(tmp_path / "tiny.toml"), "--resolution", "0.625", "--measure", "digits", "--resume"]
    assert run([*command, "--out", str(copy)]) == 2
    assert "from the same base with the same images" in capsys.readouterr().err
    (copy / "events.ndjson").write_text('{"event": "fit", "time": 1.0}\n')
    assert run([*command, "--out", str(copy)]) == 2
    assert "another command" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_the_sentences_and_as_json_only_the_report(warm, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY)
    command = ["scale", str(tmp_path / "tiny.toml"), "--resolution", "0.625", "--measure", "digits"]
    command += ["--epochs", "1", "--seeds", "2", "--minutes", "3"]
    assert run([*command, "--out", str(tmp_path / "a")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("MACs") >= 4
    assert "report.html" in shown
    assert run([*command, "--out", str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "curves"
    assert warm == []
