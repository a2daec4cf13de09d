"""The finals of a race, with fresh seeds, on the locked test images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from convsmith.search.candidate import Candidate, Training, Work
from convsmith.search.division import NEARLY, divide_finals
from convsmith.search.plan import FinalsPlan
from convsmith.search.track import Track, in_order


def run_finals(
    track: Track, standing: Sequence[Candidate], rules: Sequence[Candidate], full: int, seeds: int, seed: int
) -> tuple[list[Training], dict[str, Candidate]]:
    """Finals of the first in the standing, the best rule and given weights; of the next ones only if all of these fail.

    The best of the ``rules`` is the first that is still there. Planned for are ``full`` images and so many ``seeds``.
    Returns the trainings, and who entered by the keys of the standing.
    """
    finals: list[Training] = []
    settled: dict[str, Candidate] = {}
    waiting = {candidate.key: candidate for candidate in standing}
    number = 0
    while waiting and all(training.outcome.failed for training in finals):
        number += 1
        rule = [candidate for candidate in rules if candidate.key in waiting][:1]
        among = functools.partial(_finalists, track, tuple(waiting.values()), rule, full, seeds)
        chosen = track.decide(f"finals {number}", among)
        track.emit("finals", chosen)
        before = [waiting.pop(key) for key in chosen["candidates"]]
        field = track.settled(number, before)
        settled |= {old.key: new for old, new in zip(before, field, strict=True)}
        track.kept = track.kept_for(field)
        unique = dict[str, Candidate]()
        for candidate in field:
            unique.setdefault(candidate.key, candidate)
        finals += _run_final_rounds(track, list(unique.values()), chosen["images"], chosen["seeds"], seed)
    return finals, settled


def _finalists(
    track: Track, standing: Sequence[Candidate], rule: Sequence[Candidate], full: int, seeds: int
) -> dict[str, Any]:
    """Keys, images and seeds of the finals: one more finalist where that leaves the seeds and length planned for."""
    always = [*rule, *(candidate for candidate in standing if candidate.start)]

    def plan(best: int) -> tuple[list[Candidate], FinalsPlan]:
        field = list({candidate.key: candidate for candidate in (*standing[:best], *always)}.values())
        kept, paces = track.kept_for(field), track.paces(field)
        left, delivery = track.left() - kept, kept > 0
        return field, divide_finals(left, full, paces, track.load, track.policy, track.hands, delivery=delivery)

    field, divided = plan(track.policy.finalists + 1)
    fewer, longer = plan(track.policy.finalists)
    if divided.seeds < min(longer.seeds, seeds) or divided.images < NEARLY * min(longer.images, full):
        field, divided = fewer, longer
    return {
        "candidates": [candidate.key for candidate in field],
        "images": divided.images,
        "seeds": divided.seeds,
    }


def _run_final_rounds(track: Track, field: Sequence[Candidate], images: int, seeds: int, seed: int) -> list[Training]:
    """One seed for each finalist after the other; beyond the planned ``seeds`` only whole rounds.

    A finalist whose every planned seed failed drops out. While nothing has succeeded the deadline does not count.
    """
    done: list[Training] = []

    def good() -> set[str]:
        return {training.candidate.key for training in done if not training.outcome.failed}

    def train(works: Sequence[Work], *, whole: bool = False) -> bool:
        """Do the works up to the first that does not fit; says whether that was all.

        If only the ``whole`` will do, no new one is begun unless all fit; what is on record is taken nevertheless.
        """
        asked, out_of_time = whole, False

        def fits(work: Work) -> bool:
            nonlocal asked, out_of_time
            together, asked = works if asked else [work], False
            out_of_time = out_of_time or (bool(good()) and not track.fits(together, keep=track.kept))
            return not out_of_time

        before = len(done)
        for training in track.run(works, fits):
            done.append(training)
        done[before:] = in_order(done[before:], works)
        return len(done) - before == len(works)

    planned = [Work(one, images, seed + number, final=True) for number in range(1, seeds + 1) for one in field]
    if not train(planned):
        return done
    for number in range(seeds + 1, track.policy.max_seeds + 1):
        alive = good()
        works = [Work(one, images, seed + number, final=True) for one in field if one.key in alive]
        if not train(works, whole=True):
            return done
    return done
