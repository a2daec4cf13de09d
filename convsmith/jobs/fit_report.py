"""What a search found, as the plain values of ``report.json``; every figure comes from a recorded training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convsmith.deploy.environment import machine, versions
from convsmith.design import write_design
from convsmith.jobs.fit_budget import COST_KEYS, Allowance
from convsmith.jobs.report_parts import SCHEMA
from convsmith.quantities import format_percent
from convsmith.search.candidate import READY, START, Candidate, Training
from convsmith.search.planning import seeds_notes
from convsmith.search.racing import Race
from convsmith.search.space import Field
from convsmith.search.statistics import Estimate, Finalist, Judgement, compare, spread_by_seed, verdict
from convsmith.training.metrics import wilson


@dataclass(frozen=True)
class Searched:
    """What a search has done, or has done so far.

    Attributes:
        plan: The time plan as JSON values.
        rungs: The trainings of each rung.
        finals: The trainings judged on the test images.
        dropped: Why networks were left out before their first training, by their keys.
        delivered: The long training of the chosen network, if there was one that succeeded.
    """

    plan: Mapping[str, Any]
    rungs: tuple[tuple[Training, ...], ...]
    finals: tuple[Training, ...]
    dropped: Mapping[str, str]
    delivered: Training | None = None


def delivered(race: Searched | Race, judgement: Judgement) -> Training:
    """The training whose network is handed over: the long one or, if there was none, the chosen one's first final.

    Not its luckiest: taking that would spoil the test images.
    """
    if race.delivered is not None:
        return race.delivered
    good = [one for one in _finals_of(race, judgement.chosen.candidate.key) if not one.outcome.failed]
    return min(good, key=lambda one: one.work.seed)


def delivered_report(race: Searched, judgement: Judgement) -> dict[str, Any]:
    """How the network in the folder was trained, and what it gets right; its interval is that of its test images."""
    done = delivered(race, judgement)
    outcome, finals = done.outcome, _finals_of(race, done.candidate.key)
    return {
        "images": outcome.images,
        "of_finals": outcome.images / max(one.outcome.images for one in finals),
        "seed": done.work.seed,
        "seconds": outcome.seconds,
        "test": outcome.accuracy,
        "ci95": list(wilson(outcome.accuracy * outcome.total, outcome.total)),
    }


def delivered_sentence(delivered: Mapping[str, Any]) -> str:
    """The same in words, if there is more to say than the finals do."""
    if delivered["of_finals"] <= 1:
        return ""
    low, high = map(format_percent, delivered["ci95"])
    return (
        f" The one in this folder was trained {delivered['of_finals']:.1f} times as long as in the finals, and gets "
        f"{format_percent(delivered['test'])} of the test images right ({low} to {high})."
    )


def fit_report(race: Searched, judgement: Judgement | None, field: Field, *, seed: int) -> dict[str, Any]:
    """The part of the report that says what was tried and what was chosen; nothing yet before the finals.

    ``seed`` is that of the judgement, so that the table compares as its sentence does.
    """
    return {
        "schema": SCHEMA,
        "kind": "fit",
        "name": judgement.chosen.candidate.design.name if judgement else "search",
        "sentence": verdict(judgement) if judgement else "",
        "chosen": _chosen(judgement.chosen.candidate) if judgement else {"key": "", "name": ""},
        "ties": [
            {**_network(one.candidate), "origin": one.candidate.origin, "accuracy": one.accuracy.mean}
            for one in (judgement.ties if judgement else ())
        ],
        "rules": _named(race, judgement, field, field.rules, seed, "rule:"),
        "ready": _named(race, judgement, field, field.ready, seed, READY, START),
        "candidates": _candidates(race, judgement, field),
        "plan": race.plan,
        "notes": [*_plan_notes(race, judgement), *_replacements(race, field)],
    }


def _plan_notes(race: Searched, judgement: Judgement | None) -> list[str]:
    """Those of the plan, but as many seeds as there were in the end."""
    notes = list(race.plan["notes"])
    if judgement is None or not notes:
        return notes
    planned = seeds_notes(race.plan["finals"]["seeds"])
    return [*(note for note in notes if note not in planned), *seeds_notes(judgement.accuracy.seeds)]


def _chosen(candidate: Candidate) -> dict[str, Any]:
    return {**_network(candidate), "name": candidate.design.name, "origin": candidate.origin}


def run_report(allowance: Allowance, minutes: float, seed: int) -> dict[str, Any]:
    """The part of a report about the budget, the machine and the versions."""
    return {
        "budget": {**allowance.to_dict(), "minutes": minutes},
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
    }


def accuracy_report(estimate: Estimate, images: int) -> dict[str, Any]:
    """Accuracy on the test images with its interval."""
    return {"test": estimate.mean, "ci95": [estimate.low, estimate.high], "seeds": estimate.seeds, "images": images}


def _network(candidate: Candidate) -> dict[str, Any]:
    return {
        "key": candidate.key,
        "design": write_design(candidate.design),
        "macs": candidate.macs,
        "params": candidate.params,
        "costs": {COST_KEYS[name][0]: COST_KEYS[name][1] * cost for name, cost in candidate.costs.items()},
        "measured_ms": None if candidate.seconds is None else 1e3 * candidate.seconds,
        "input": list(candidate.design.input),
        "shares": dict(zip(("depth", "width", "resolution"), candidate.shares, strict=True)),
    }


def _entered(race: Searched) -> dict[str, Candidate]:
    """Who was in the finals, by the keys of those that were drawn."""
    return {one.candidate.replaces or one.candidate.key: one.candidate for one in race.finals}


def _replacements(race: Searched, field: Field) -> list[str]:
    drawn = {candidate.key: candidate for candidate in field.candidates}

    def note(old: Candidate, new: Candidate) -> str:
        why = "left room in the budget" if new.macs > old.macs else "was slower than the budget"
        return f"{old.design.name} {why} when it was timed; {new.design.name} took its place in the finals"

    return [note(drawn[key], new) for key, new in _entered(race).items() if new.replaces]


def _named(
    race: Searched, judgement: Judgement | None, field: Field, keys: Mapping[str, str], seed: int, *kinds: str
) -> dict[str, Any]:
    """A row for each network that has a name: those of rules, or the ready-made ones."""
    entered = _entered(race)
    finals = _finalists(judgement)
    chosen = _finals_of(race, judgement.chosen.candidate.key) if judgement else []
    by_key = {candidate.key: candidate for candidate in field.candidates}
    by_seed = spread_by_seed(race.finals)
    rows: dict[str, Any] = {}
    for name, key in keys.items():
        candidate = entered.get(key, by_key[key])
        last = _last(race, key)
        row = {**_network(candidate), "accuracy": None, "judged_on": "select", "ci95": None}
        row |= {"failure": race.dropped.get(key, ""), "probability_chosen_is_better": None}
        if candidate.key in finals:
            estimate = finals[candidate.key].accuracy
            row |= {"accuracy": estimate.mean, "judged_on": "test", "ci95": [estimate.low, estimate.high]}
            if judgement and candidate.key != judgement.chosen.candidate.key:
                other = compare(chosen, _finals_of(race, candidate.key), seed=seed, by_seed=by_seed)
                row["probability_chosen_is_better"] = other.probability
        elif last is not None:
            row |= {"accuracy": last.outcome.accuracy, "failure": last.outcome.failure}
            if judgement:
                row["probability_chosen_is_better"] = _better_in_the_rungs(race, judgement.chosen.candidate, key, seed)
        rows[name] = row
    refused = {name.partition(":")[2]: why for name, why in field.refused.items() if name.startswith(kinds)}
    return rows | {name: {"design": None, "accuracy": None, "failure": why} for name, why in refused.items()}


def _better_in_the_rungs(race: Searched, chosen: Candidate, key: str, seed: int) -> float | None:
    """The probability that the chosen network is better than one that never came to the finals.

    It is that of the last rung that trained both, on the select images, with the spread from seed to seed of the
    finals. None where no rung did, or what the rungs judged was not kept.
    """
    by_seed = spread_by_seed(race.finals)
    for rung in reversed(race.rungs):
        pair = [t for name in (chosen.replaces or chosen.key, key) for t in rung if t.candidate.key == name]
        if len(pair) == 2 and all(t.outcome.correct is not None and not t.outcome.failed for t in pair):
            return compare(pair[:1], pair[1:], seed=seed, by_seed=by_seed).probability
    return None


def _candidates(race: Searched, judgement: Judgement | None, field: Field) -> list[dict[str, Any]]:
    finals = _finalists(judgement)
    rows: list[dict[str, Any]] = []
    entered = _entered(race)
    for drawn in field.candidates:
        candidate = entered.get(drawn.key, drawn)
        done = [t for rung in race.rungs for t in rung if t.candidate.key == drawn.key]
        final = finals.get(candidate.key)
        if not (done or candidate.rule or candidate.ready or drawn.key in race.plan.get("entrants", ())):
            continue  # one of many that were there to be proposed, and were not
        estimate = asdict(final.accuracy) if final else None
        rows.append(
            {
                **_network(candidate),
                "origin": candidate.origin,
                "stratum": candidate.stratum,
                "replaces": candidate.replaces,
                "rungs": [_rung(training) for training in done],
                "final": estimate
                and {
                    "accuracy": estimate["mean"],
                    "ci95": [estimate["low"], estimate["high"]],
                    "seeds": estimate["seeds"],
                },
                "failure": next((t.outcome.failure for t in done if t.outcome.failed), race.dropped.get(drawn.key, "")),
            }
        )
    return rows


def _finalists(judgement: Judgement | None) -> dict[str, Finalist]:
    return {one.candidate.key: one for one in judgement.finalists} if judgement else {}


def _rung(training: Training) -> dict[str, Any]:
    outcome = training.outcome.to_dict()
    return {key: outcome[key] for key in ("images", "accuracy", "log_loss", "seconds")}


def _finals_of(race: Searched | Race, key: str) -> list[Training]:
    return [training for training in race.finals if training.candidate.key == key]


def _last(race: Searched, key: str) -> Training | None:
    done = [training for rung in race.rungs for training in rung if training.candidate.key == key]
    return done[-1] if done else None
