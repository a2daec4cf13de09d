"""A search stopped anywhere goes on; one that would answer another question, or has no time, is refused."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from types import SimpleNamespace

import pytest
from jobs_digits import digit_folder
from jobs_small_fit import PLENTY, SMALL, quick

from convsmith.cli.main import run
from convsmith.errors import RunError, TrainingError
from convsmith.jobs import fit as job
from convsmith.jobs.fit import fit
from convsmith.jobs.lab import Lab
from convsmith.jobs.recompute import recompute
from convsmith.training.events import read_events

MACS = 60_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nobody stopped, with what it trained in a cache."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        quick(patch)
        done = fit("digits", macs=MACS, minutes=PLENTY, out=folder / "run")
    return SimpleNamespace(folder=folder / "run", cache=folder / "cache", report=done.report)


@pytest.fixture
def small(whole, tmp_path, monkeypatch):
    """Small searches that find all trainings in the cache."""
    quick(monkeypatch)
    monkeypatch.setenv("CONVSMITH_CACHE", str(shutil.copytree(whole.cache, tmp_path / "cache")))


PLACES = [
    "convsmith.jobs.fit.open_images",
    "convsmith.jobs.fit.Entry.field",
    "convsmith.jobs.fit.Entry.keep",
    "convsmith.jobs.fit.Lab.choose_setup",
    "convsmith.jobs.fit.Lab.ending",
    "convsmith.jobs.fit.Lab.seconds_per_image",
    "convsmith.jobs.fit.judge",
    "convsmith.jobs.fit.Lab.network",
    "convsmith.jobs.fit.searched_report",
    "convsmith.jobs.finish.write_onnx_file",
    "convsmith.jobs.finish.render_png",
    "convsmith.jobs.finish.write_report",
]


def said_of(path):
    """What ``report`` gives of a stopped run; one that was stopped before it told anything has a clear line."""
    try:
        return recompute(path).report
    except RunError as error:
        told = re.search("go on with the run by --resume|no such log", str(error))
        return ["unfinished"] if told else [str(error)]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_search_stopped_anywhere_goes_on_to_the_same_end(place, whole, small, tmp_path):
    path = tmp_path / "run"

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, stop)
        with pytest.raises(KeyboardInterrupt):
            fit("digits", macs=MACS, minutes=PLENTY, out=path)
    if path.is_dir() and "finish.write_report" not in place:
        assert "unfinished" in said_of(path)
    assert not (path / "report.json").exists()
    report = fit("digits", macs=MACS, minutes=PLENTY, out=path, resume=True).report
    for key in ("chosen", "accuracy", "confusion", "sentence"):
        theirs = {**whole.report, "chosen": {**whole.report["chosen"], "latency_ms": report["chosen"]["latency_ms"]}}
        assert report[key] == theirs[key]


@pytest.mark.slow
def test_nobody_else_works_on_a_search_but_its_report_can_be_had_and_says_what_it_is(
    whole, small, tmp_path, monkeypatch, capsys
):
    path, said, train = tmp_path / "run", [], Lab.train

    def busy(self, work):
        for resume in ([], ["--resume"]):
            assert run(["fit", "digits", "--macs", "60k", "--out", str(path), *resume]) == 2
            said.append(capsys.readouterr().err)
        assert run(["report", str(path)]) == 0
        said.append(capsys.readouterr().out)
        monkeypatch.undo()
        raise KeyboardInterrupt

    def begun(*_):
        with pytest.raises(RunError, match=r"has only begun.*ask again in a minute"):
            recompute(path)

    monkeypatch.setattr(Lab, "train", busy)
    monkeypatch.setattr("convsmith.jobs.fit_entry.Entry.keep", begun)
    with pytest.raises(KeyboardInterrupt):
        fit("digits", macs=MACS, minutes=PLENTY, out=path, fresh=True)
    for line in said[:2]:
        assert f"another process works on this run (received 'process {os.getpid()} on " in line
        assert line.count("\n") == 1
    assert said[2].startswith("Not finished: 0 trainings are done.\n")
    assert f"not its result: process {os.getpid()} on " in said[2]
    assert run(["report", str(path)]) == 0
    assert "no process works on it; --resume goes on with it" in capsys.readouterr().out
    assert train is Lab.train


@pytest.fixture(scope="module")
def stopped(whole, tmp_path_factory):
    """A search that was stopped before its end."""
    folder = shutil.copytree(whole.folder, tmp_path_factory.mktemp("stopped") / "run")
    log = folder / "events.ndjson"
    log.write_bytes(b"".join(log.read_bytes().splitlines(True)[:40]))
    (folder / "report.json").unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"images": "others"}, "must keep its images"),
        ({"seed": 1}, "must keep its seed .received .1, begun with 0."),
        ({"recipe": "momentum = 0.8\n"}, "must keep its recipe"),
        ({"space": 'families = ["plain"]\n'}, "must keep its space"),
        ({"macs": 70_000}, r"must keep its budget \(received 'macs 70000, begun with 60000'\)"),
        ({"params": 10_000}, r"must keep its budget \(received 'params 10000, begun with None'\)"),
    ],
)
def test_a_search_of_something_else_is_refused_before_anything_is_written(change, expected, stopped, small, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    options = {"images": "digits", "macs": MACS, **change}
    if options["images"] == "others":
        options["images"] = digit_folder(tmp_path / "others", range(0, 1797, 4))
    for name in ("recipe", "space"):
        if name in change:
            options[name] = tmp_path / f"{name}.toml"
            options[name].write_text(change[name])
    with pytest.raises(RunError, match=rf"{expected}.*choose another --out"):
        fit(minutes=PLENTY, out=folder, resume=True, **options)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.slow
def test_a_run_of_another_command_is_refused(tmp_path, small):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "events.ndjson").write_text('{"event": "run", "time": 1.0}\n')
    with pytest.raises(RunError, match="a run of another command"):
        fit("digits", macs=MACS, out=folder, resume=True)


@pytest.mark.slow
def test_minutes_too_few_say_the_least_that_works_and_with_these_it_goes_on(whole, small, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "policy_for", lambda _: dataclasses.replace(SMALL, hopeless=0.2))
    path = tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        fit("digits", macs=MACS, minutes=0.001, out=path)
    text = str(caught.value)
    assert text.startswith("minutes: minutes must be enough for one rung and the finals: by the measured pace")
    assert "(received '60 ms')" in text or "(received '60.0 ms')" in text
    assert "give at least" in text
    assert "--resume" in text
    assert [event["event"] for event in read_events(path / "events.ndjson")] == ["fit", "past"]
    report = fit("digits", macs=MACS, minutes=PLENTY, out=path, resume=True).report
    assert report["sentence"].startswith("The network")
    assert report["budget"]["minutes"] == PLENTY
