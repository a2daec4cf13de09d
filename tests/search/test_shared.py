"""A search that takes what earlier runs trained: it trains the rest only, and pays for nothing that it took."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from convsmith.errors import RunError
from convsmith.search.candidate import Outcome, Work
from convsmith.search.policy import Policy
from convsmith.search.racing import race
from convsmith.search.results import Results
from convsmith.search.shared import SharedStudy

CONTEXT = {"data": "d", "recipe": "r", "conditions": "c"}
GOOD = Outcome(0.9, 0.31, 12.5, 1000, b"\x80\xff", 11)
LENGTHS = Policy(min_images=1_000, max_epochs=0.1, max_images=20_000, max_seeds=3)
"""The longest training is shorter than the time allows, so that every run asks for the same ones."""


def run(world, study, events, *, seconds=40_000.0, policy=LENGTHS):
    return race(
        world.candidates,
        train=world.train,
        time_candidate=world.time,
        study=study,
        load=world.load,
        policy=policy,
        clock=study.clock,
        deadline=seconds,
        seed=0,
        emit=study.hear(lambda event, fields: events.append((event, fields))),
    )


def outcomes(found):
    return [(one.work.candidate.key, one.work.images, one.work.seed, one.outcome) for one in found.finals]


def test_a_second_run_trains_nothing_again_and_has_all_its_time(world, memory, tmp_path):
    first, second, events = world(), world(), []
    found = run(first, SharedStudy(memory(), Results(CONTEXT, tmp_path), first.clock), [])
    study = SharedStudy(memory(), Results(CONTEXT, tmp_path), second.clock)
    again = run(second, study, events)
    assert len(first.works) > 30
    assert second.works == []
    assert outcomes(again) == outcomes(found)
    (left,) = [fields["seconds_left"] for event, fields in events if event == "stop"]
    assert left == pytest.approx(40_000.0 - len(second.candidates))  # the seconds that timing them took
    told = [fields for event, fields in events if event == "training"]
    assert all(fields["reused"] and fields["recorded"] > 1e9 for fields in told)
    assert len(study.taken) == len(first.works) == len(told)
    assert sum(one.seconds for one in study.taken) == pytest.approx(sum(one["outcome"]["seconds"] for one in told))


def test_fresh_trains_everything_and_others_find_that_too(world, memory, tmp_path):
    first, second = world(), world()
    run(first, SharedStudy(memory(), Results(CONTEXT, tmp_path), first.clock), [])
    run(second, SharedStudy(memory(), Results(CONTEXT, tmp_path), second.clock, fresh=True), [])
    assert second.works == first.works


def test_a_larger_budget_informs_a_smaller_one_where_the_networks_coincide(world, memory, tmp_path):
    first, second = world(), world()
    run(first, SharedStudy(memory(), Results(CONTEXT, tmp_path), first.clock), [])
    common, known = second.candidates[3:9], {work.candidate.key for work in first.works}
    assert {one.key for one in common} <= known
    changed = [dataclasses.replace(one, key=f"new{n}") for n, one in enumerate(second.candidates[9:])]
    for old, new in zip(second.candidates[9:], changed, strict=True):
        second.paces[new.key], second.end[new.key] = second.paces[old.key], second.end[old.key]
    second.candidates = [*common, *changed]
    events = []
    run(second, SharedStudy(memory(), Results(CONTEXT, tmp_path), second.clock), events)
    first_rung = [fields for event, fields in events if event == "training" and not fields["final"]][: 6 + len(changed)]
    reused = {fields["candidate"] for fields in first_rung if fields["reused"]}
    assert reused == {one.key for one in common}
    assert not {(work.candidate.key, work.images, work.seed, work.final) for work in first.works} & {
        (work.candidate.key, work.images, work.seed, work.final) for work in second.works
    }


@pytest.mark.slow
def test_a_stopped_run_pays_again_for_its_own_trainings_only(world, memory, tmp_path):
    first = world()
    run(first, SharedStudy(memory(), Results(CONTEXT, tmp_path / "a"), first.clock), [])
    half = Results(CONTEXT, tmp_path / "b")
    source = Results(CONTEXT, tmp_path / "a")
    for work in first.works[:10]:
        half.append(work, source.find(work).outcome)
    stopped, journal = world(), memory()
    stopped.stop_at = len(stopped.candidates) + 5
    with pytest.raises(KeyboardInterrupt):
        run(stopped, SharedStudy(journal, half, stopped.clock), [])
    own = list(stopped.works)
    assert len(own) == 5
    resumed, events = world(), []
    study = SharedStudy(journal, Results(CONTEXT, tmp_path / "gone"), resumed.clock)
    run(resumed, study, events)
    paid = sum(
        fields["outcome"]["seconds"]
        for event, fields in events
        if event == "training" and fields["reused"] and "recorded" not in fields
    )
    new = sum(fields["outcome"]["seconds"] for event, fields in events if event == "training" and not fields["reused"])
    (left,) = [fields["seconds_left"] for event, fields in events if event == "stop"]
    assert len(study.taken) == 10
    assert left == pytest.approx(40_000.0 - len(resumed.candidates) - paid - new)


def test_a_final_of_another_run_is_taken_only_with_its_weights(memory, candidate, tmp_path):
    work = Work(candidate(3, "rule:dwr", "width"), 1000, 1, True)
    there, here = tmp_path / "there", tmp_path / "here"
    there.write_bytes(b"weights")

    def study(path: Path) -> SharedStudy:
        return SharedStudy(memory(), Results(CONTEXT, tmp_path / "cache"), lambda: 0.0, weights=lambda work: path)

    study(there).record(work, GOOD)
    assert study(here).find(work) == GOOD
    assert here.read_bytes() == b"weights"
    here.unlink()
    there.unlink()
    assert study(here).find(work) is None
    there.write_bytes(b"others")
    again = dataclasses.replace(GOOD, accuracy=0.91)
    study(there).record(work, again)  # the weights of the first are gone, and do not stand in its way
    assert study(here).find(work) == again
    assert here.read_bytes() == b"others"


def test_a_cache_that_is_full_is_told_once_and_stops_nothing(memory, candidate, tmp_path, monkeypatch):
    def refuse(*_):
        raise RunError("cannot write: No space left on device")

    monkeypatch.setattr(Results, "append", refuse)
    said: list[str] = []
    study = SharedStudy(memory(), Results(CONTEXT, tmp_path), lambda: 0.0, warn=said.append)
    for seed in range(3):
        study.record(Work(candidate(3, "rule:dwr", "width"), 1000, seed, True), GOOD)
    assert len(said) == 1
    assert "later runs will not find" in said[0]
