"""The rungs of a race: all networks train briefly, the better ones longer, and what the surrogate proposes with them.

Short training favours wide nets (Bello et al. 2021, arXiv 2103.07579, section 6), so a rung promotes, besides those
with the least expected loss, the best of each stratum and the best published rule.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from convsmith.search.candidate import STRATA, Candidate, Training, Work
from convsmith.search.division import Division, assured, kept, tolerated
from convsmith.search.plan import Plan, Step
from convsmith.search.statistics import rank_agreement
from convsmith.search.surrogate import Surrogate, tells
from convsmith.search.track import Track, in_order


def promote(
    results: Sequence[Training], count: int, expected: Mapping[str, float] = MappingProxyType({})
) -> tuple[Candidate, ...]:
    """Who goes on after a rung, best first: the ``count`` with the least expected loss, and four kinds besides.

    - those tied with the last of them, at most a quarter of ``count`` more: within one standard error of its mean
      loss, taking the losses of single images to be spread as widely as they are large (exponentially distributed);
    - the best of each stratum (most budget in depth, in width, in resolution);
    - the best of the named rules, by what is expected and by its own loss: the finals are to know the true one;
    - those with given weights, whose short trainings cannot be compared with others from scratch.

    Failed trainings are never promoted.
    """
    ranked = _ranked(results, expected)
    if not ranked:
        return ()
    bar = ranked[: max(count, 1)][-1]
    limit = _loss(bar, expected) * (1 + 1 / math.sqrt(max(bar.outcome.total, 1)))
    tied = [one for one in ranked[count:] if _loss(one, expected) <= limit][: tolerated(count)]
    best = [next((one for one in ranked if one.candidate.stratum == stratum), None) for stratum in STRATA]
    rules = [one for one in ranked if one.candidate.rule]
    best += [*rules[:1], *_ranked(rules, {})[:1]]
    best += [one for one in ranked if one.candidate.start]
    going = {one.candidate.key for one in (*ranked[:count], *tied, *best) if one is not None}
    return tuple(one.candidate for one in ranked if one.candidate.key in going)


def stand(
    rungs: Sequence[Sequence[Training]], expected: Mapping[str, float] = MappingProxyType({})
) -> tuple[Candidate, ...]:
    """Networks that never failed: those of the last rung by loss, then those only in the one before, and so on."""
    failed = {training.candidate.key for rung in rungs for training in rung if training.outcome.failed}
    order = [training.candidate for rung in reversed(rungs) for training in _ranked(rung, expected)]
    return tuple({candidate.key: candidate for candidate in order if candidate.key not in failed}.values())


def run_rungs(
    track: Track, known: Sequence[Candidate], entrants: Sequence[Candidate], plan: Plan, seed: int
) -> tuple[list[list[Training]], tuple[Candidate, ...], int]:
    """Train rung after rung.

    The time left is divided anew before each rung. A rung that has become no longer than the one before would tell
    nothing new and is left out. A part of each rung's places is given away only when the others have been trained, to
    those that the surrogate proposes among all that are known: at first networks that nobody has trained, later also
    those that an earlier rung left behind.

    Args:
        track: The clock and the record.
        known: All networks there are.
        entrants: Those planned for.
        plan: How the time is spent.
        seed: Of the trainings.

    Returns:
        The trainings of each rung, networks that never failed in the order of their standing, images of a full
        training.
    """
    steps, policy = plan.steps, track.policy
    rungs, longest, full = list[list[Training]](), 0, plan.finals.images

    def end() -> int:
        """Images of the training whose loss networks are ranked by."""
        return max(full, plan.delivery.images)

    for index, step in enumerate(steps):
        if rungs:
            places = kept(len(entrants), step.share)
            later = policy.freed(places)
            field = promote(rungs[-1], places - later, _expected(track, rungs, end()))
        else:
            rules = sum(1 for candidate in entrants if candidate.rule or candidate.start)
            later = policy.held(len(entrants) - rules, rules)
            field = tuple(track.measure("entrants", entrants[: len(entrants) - later]))
        if not field:
            break
        divided = functools.partial(_divided, track, field, later, steps[index:], len(entrants), plan.finals.seeds)
        images, full = track.decide(f"rung {index + 1}", divided)
        if images <= longest:
            continue
        about = {"number": index + 1, "images": images, "full": full}
        track.emit("rung", {**about, "candidates": [one.key for one in field]})
        done = _run_rung(track, field, images, seed)
        if not done:
            break
        if later:
            chosen = _proposed(track, index + 1, known, [*rungs, done], end(), later, seed)
            done += _run_rung(track, chosen, images, seed)
        agreement = rank_agreement(rungs[-1], done) if rungs else None
        rungs.append(done)
        longest = images
        expected = _expected(track, rungs, end())
        order = [one.key for one in stand([done], expected)]
        track.emit("ranking", {"number": index + 1, "order": order, "expected": dict(expected), "tau": agreement})
    return rungs, stand(rungs, _expected(track, rungs, end())), max(full, longest)


def _proposed(
    track: Track,
    number: int,
    known: Sequence[Candidate],
    rungs: Sequence[Sequence[Training]],
    full: int,
    count: int,
    seed: int,
) -> list[Candidate]:
    """Networks that were not trained in the last of the rungs and may be the best of all."""
    done = _evidence(track, rungs)
    out = {one.candidate.key for one in (*rungs[-1], *(one for one in done if one.outcome.failed))}
    pool = {one.key: one for one in known if one.key not in out and one.key not in track.dropped and not one.start}

    def choose() -> list[str]:
        if not tells(done):
            return list(pool)[:count]
        chance = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8])
        surrogate = Surrogate(done, full, side=track.load.side, budgets=bool(track.past))
        return [one.key for one in surrogate.propose(list(pool.values()), count, chance)]

    keys = track.decide(f"proposed {number}", choose)
    track.emit("proposed", {"number": number, "candidates": keys})
    return track.measure(f"proposed {number} paces", [pool[key] for key in keys])


def _expected(track: Track, rungs: Sequence[Sequence[Training]], full: int) -> Mapping[str, float]:
    """The loss to be expected of each trained network after a full training; nothing where too little is known."""
    done = _evidence(track, rungs)
    if not track.policy.surrogate or not tells(done):
        return {}
    good = {one.candidate.key: one.candidate for one in _from_scratch(rungs) if not one.outcome.failed}
    surrogate = Surrogate(done, full, side=track.load.side, budgets=bool(track.past))
    return surrogate.expected(list(good.values()))


def _evidence(track: Track, rungs: Sequence[Sequence[Training]]) -> list[Training]:
    """The trainings that say something of others, those of earlier runs among them."""
    done = _from_scratch(rungs)
    own = {one.work.identity for one in done}
    return [*done, *(one for one in track.past if one.work.identity not in own)]


def _from_scratch(rungs: Sequence[Sequence[Training]]) -> list[Training]:
    """Those not of given weights, which say nothing of other networks."""
    return [one for one in itertools.chain(*rungs) if not one.candidate.start]


def _divided(
    track: Track, field: Sequence[Candidate], later: int, steps: Sequence[Step], entrants: int, seeds: int
) -> tuple[int, int]:
    """Images of the next rung and of a full training."""
    paces = track.paces(field)
    paces += [sum(paces) / len(paces)] * later
    always = assured(field)
    first, *_, full = Division(
        track.left() - track.kept,
        track.reserve,
        paces,
        steps,
        entrants,
        track.load,
        track.policy,
        seeds,
        track.hands,
        later,
        always,
    ).lengths
    return first, full


def _run_rung(track: Track, field: Sequence[Candidate], images: int, seed: int) -> list[Training]:
    """Train the field, best first, without touching the time of the finals and the delivery."""
    works = [Work(candidate, images, seed, final=False) for candidate in field]
    keep = track.reserve + (1 - track.policy.margin) * track.kept
    return in_order(list(track.run(works, lambda work: track.fits([work], keep=keep))), works)


def _ranked(results: Sequence[Training], expected: Mapping[str, float]) -> list[Training]:
    """Those that did not fail, least loss first; the cheaper network first where losses are equal."""
    good = [training for training in results if not training.outcome.failed]
    return sorted(good, key=lambda one: (_loss(one, expected), one.candidate.macs, one.candidate.key))


def _loss(training: Training, expected: Mapping[str, float]) -> float:
    return expected.get(training.candidate.key, training.outcome.log_loss)
