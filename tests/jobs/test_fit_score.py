"""The board of a search says what its events say, by a plain count over them."""

from __future__ import annotations

import dataclasses
import math
import zlib

import pytest

from convsmith.jobs.fit_score import Scorer
from convsmith.search.policy import Policy
from convsmith.search.racing import race
from tests.search.world import Memory, World


def watched(world, memory, **options):
    """Each event of a race with the board behind it."""
    scorer, seen = Scorer(world.candidates), []

    def emit(event, fields):
        scorer.hear(event, fields)
        seen.append((event, fields, scorer.board))

    def train(work):
        """The loss goes another way than the accuracy, so that the two orders differ."""
        outcome = world.train(work)
        if outcome.failed:
            return outcome
        return dataclasses.replace(outcome, log_loss=1.0 + zlib.crc32(work.candidate.key.encode()) / 2**32)

    race(
        world.candidates,
        train=train,
        time_candidate=world.time,
        study=memory,
        load=world.load,
        clock=world.clock,
        emit=emit,
        **{"policy": Policy(), "deadline": 4 * 3600.0, **options},
    )
    return seen


def counted(seen, place):
    """Name, trainings done, best and its accuracy of the stretch that the event at ``place`` belongs to."""
    begins = [n for n, (event, _, _) in enumerate(seen[: place + 1]) if event in ("rung", "finals")]
    event, begun, _ = seen[begins[-1]]
    told = [fields for event, fields, _ in seen[begins[-1] : place + 1] if event == "training"]
    scores = {}
    for one in told:
        if one["outcome"]["log_loss"] is not None:
            scores.setdefault(one["candidate"], []).append(one["outcome"])
    mean = {key: sum(o["accuracy"] for o in group) / len(group) for key, group in scores.items()}
    if event == "finals":
        best = max(mean, key=lambda key: mean[key]) if mean else None
        return "finals", len(told), best, mean.get(best)
    best = min(scores, key=lambda key: scores[key][0]["log_loss"]) if scores else None
    return f"rung {begun['number']}", len(told), best, mean.get(best)


@pytest.mark.parametrize("broken", [False, True])
def test_after_every_training_the_board_holds_what_a_count_over_the_events_gives(broken):
    world = World(broken=lambda work: broken and work.candidate.macs % 3 == 0)
    seen = watched(world, Memory())
    names = {candidate.key: candidate.design.name for candidate in world.candidates}
    trainings = [n for n, (event, _, _) in enumerate(seen) if event == "training"]
    assert len(trainings) > 40
    for place in trainings:
        board = seen[place][2]
        name, done, best, accuracy = counted(seen, place)
        (stretch,) = (one for one in board.stretches if one.name == name)
        assert (stretch.done, stretch.best) == (done, names.get(best, ""))
        assert stretch.accuracy == (None if accuracy is None else pytest.approx(accuracy))
        assert stretch.done <= stretch.trainings
        trained = {fields["candidate"] for event, fields, _ in seen[: place + 1] if event == "training"}
        assert len(board.dots) == len(trained)
        assert [dot.standing for dot in board.dots].count("best") == (best is not None)
        if best is not None:
            shares = dict(zip(("depth", "width", "resolution"), _of(world, best).shares, strict=True))
            assert board.dots[-1].shares == shares
    assert seen[trainings[-1]][2].leading.name == "finals"


def test_the_delivery_is_a_stretch_of_its_own_planned_from_the_start():
    seen = watched(
        World(), Memory(), policy=Policy(delivery=0.3), deadline=1800.0, choose=lambda finals: finals[0].candidate
    )
    plan, board = next((fields["plan"], board) for event, fields, board in seen if event == "plan")
    assert (board.stretches[-1].name, board.stretches[-1].images) == ("delivery", plan["delivery"]["images"])
    finals, begun, ended = seen[-1][2].stretches[-2], seen[-4], seen[-2]
    assert (begun[0], begun[2].stretches[-2]) == ("delivery", finals)
    assert begun[2].stretches[-1].done == 0
    (last,) = (one for one in ended[2].stretches if one.name == "delivery")
    assert (last.done, last.trainings, last.images) == (1, 1, begun[1]["images"])
    assert last.accuracy == pytest.approx(ended[1]["outcome"]["accuracy"])
    assert ended[2].leading == last


def _of(world, key):
    return next(candidate for candidate in world.candidates if candidate.key == key)


def test_what_is_planned_is_there_before_anything_is_trained():
    seen = watched(World(), Memory())
    plan, board = next((fields["plan"], board) for event, fields, board in seen if event == "plan")
    assert [one.name for one in board.stretches] == ["rung 1", "rung 2", "rung 3", "finals"]
    assert [one.images for one in board.stretches[:3]] == [rung["images"] for rung in plan["rungs"]]
    assert board.leading is None
    assert board.dots == ()


def test_a_resumed_race_has_the_same_board():
    memory = Memory()
    first = watched(World(), memory)[-1][2]
    again = watched(World(), memory)[-1][2]
    assert again == first
    assert math.isclose(first.leading.accuracy, again.leading.accuracy)
