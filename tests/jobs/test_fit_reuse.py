"""A search takes from earlier ones what they trained under the same conditions, and can still export its network."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from jobs_small_fit import PLENTY, quick

from convsmith.jobs.evaluate import evaluate
from convsmith.jobs.fit import fit
from convsmith.jobs.fit_replay import searched_report
from convsmith.jobs.lab import Lab
from convsmith.jobs.replay import read_session
from convsmith.training.events import read_events


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        quick(patch)
        done = fit("digits", macs=60_000, minutes=PLENTY, out=folder / "run")
    return SimpleNamespace(folder=folder / "run", cache=folder / "cache", report=done.report)


@pytest.fixture
def trained(first, tmp_path, monkeypatch):
    """The works that are trained, beside a copy of the cache of the first search."""
    quick(monkeypatch)
    monkeypatch.setenv("CONVSMITH_CACHE", str(shutil.copytree(first.cache, tmp_path / "cache")))
    works, train = [], Lab.train
    monkeypatch.setattr(Lab, "train", lambda self, work: works.append(work) or train(self, work))
    return works


def trainings(folder):
    return [event for event in read_events(folder / "events.ndjson") if event["event"] == "training"]


@pytest.mark.slow
def test_a_second_search_trains_nothing_and_exports_the_same_network(first, trained, tmp_path):
    done = fit("digits", macs=60_000, minutes=PLENTY, out=tmp_path / "run")
    assert trained == []
    assert done.report["reused"]["trainings"] == len(trainings(first.folder)) > 10
    assert any("were taken from earlier runs" in note for note in done.report["notes"])
    assert all(event["recorded"] > 1e9 for event in trainings(tmp_path / "run"))
    for key in ("accuracy", "confusion"):
        assert done.report[key] == first.report[key]
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (first.folder / "model.safetensors").read_bytes()
    both = [evaluate(folder, "digits").to_dict() for folder in (tmp_path / "run", first.folder)]
    assert both[0]["accuracy"] == both[1]["accuracy"]
    assert first.report["reused"]["trainings"] == 0


@pytest.mark.slow
def test_a_search_of_half_the_budget_asks_what_that_of_the_whole_trained(first, trained, tmp_path):
    known = {(one["candidate"], one["images"]) for one in trainings(first.folder) if not one["final"]}
    told = []
    done = fit("digits", macs=30_000, minutes=PLENTY, out=tmp_path / "run", tell=told.append)
    sentence = f"{len(known)} trainings of {len({key for key, _ in known})} other networks by earlier runs say"
    assert any(sentence in line for line in told)
    assert any(sentence in note for note in done.report["notes"])
    assert done.report["reused"]["trainings"] == 0
    assert searched_report(read_session(tmp_path / "run" / "events.ndjson"))["notes"] == done.report["notes"]


@pytest.mark.slow
def test_without_the_weights_of_the_first_search_only_its_finals_are_done_again(first, trained, tmp_path):
    kept = first.folder / "checkpoints"
    kept.rename(first.folder / "elsewhere")
    try:
        fit("digits", macs=60_000, minutes=PLENTY, out=tmp_path / "run")
    finally:
        (first.folder / "elsewhere").rename(kept)
    assert trained
    assert all(work.final for work in trained)


@pytest.mark.slow
def test_fresh_trains_everything(first, trained, tmp_path):
    done = fit("digits", macs=60_000, minutes=PLENTY, out=tmp_path / "run", fresh=True)
    assert len(trained) == len(trainings(first.folder))
    assert done.report["reused"]["trainings"] == 0
