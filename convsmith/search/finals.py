"""The finals of a race, with fresh seeds, on the locked test images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from convsmith.search.candidate import Candidate, Training, Work
from convsmith.search.plan import FinalsPlan, divide_finals
from convsmith.search.track import Track


def run_finals(
    track: Track, standing: Sequence[Candidate], full: int, seed: int
) -> tuple[list[Training], dict[str, Candidate]]:
    """Finals of the first in the standing, the best rule and given weights; of the next ones only if all of these fail.

    Returns the trainings, and who entered by the keys of the standing.
    """
    finals: list[Training] = []
    settled: dict[str, Candidate] = {}
    waiting = {candidate.key: candidate for candidate in standing}
    number = 0
    while waiting and all(training.outcome.failed for training in finals):
        number += 1
        chosen = track.decide(f"finals {number}", functools.partial(_finalists, track, tuple(waiting.values()), full))
        track.emit("finals", chosen)
        before = [waiting.pop(key) for key in chosen["candidates"]]
        field = track.settled(number, before)
        settled |= {old.key: new for old, new in zip(before, field, strict=True)}
        unique = list({candidate.key: candidate for candidate in field}.values())
        finals += _run_final_rounds(track, unique, chosen["images"], chosen["seeds"], seed)
    return finals, settled


def _finalists(track: Track, standing: Sequence[Candidate], full: int) -> dict[str, Any]:
    """Keys, images and seeds of the finals: one more finalist where that costs neither a seed nor length."""
    always = [candidate for candidate in standing if candidate.rule][:1]
    always += [candidate for candidate in standing if candidate.start]

    def plan(best: int) -> tuple[list[Candidate], FinalsPlan]:
        field = list({candidate.key: candidate for candidate in (*standing[:best], *always)}.values())
        return field, divide_finals(track.left(), full, track.paces(field), track.load, track.policy)

    field, divided = plan(track.policy.finalists + 1)
    if divided.seeds < track.policy.min_seeds or divided.images < full:
        field, divided = plan(track.policy.finalists)
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
    for number in range(1, track.policy.max_seeds + 1):
        good = {training.candidate.key for training in done if not training.outcome.failed}
        alive = [candidate for candidate in field if number <= seeds or candidate.key in good]
        works = [Work(candidate, images, seed + number, final=True) for candidate in alive]
        if number > seeds and not track.fits(works):
            return done
        for work in works:
            if any(not training.outcome.failed for training in done) and not track.fits([work]):
                return done
            done.append(track.run(work))
    return done
