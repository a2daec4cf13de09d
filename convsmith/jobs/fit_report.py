"""What a search found, as the plain values of ``report.json``; every figure comes from a recorded training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from convsmith.deploy.environment import machine, versions
from convsmith.design import write_design
from convsmith.jobs.fit_budget import COST_KEYS, Allowance
from convsmith.jobs.report_parts import SCHEMA
from convsmith.search.candidate import Candidate, Training
from convsmith.search.racing import Race
from convsmith.search.space import Field
from convsmith.search.statistics import Finalist, Judgement, compare, verdict


def fit_report(race: Race, judgement: Judgement, field: Field) -> dict[str, Any]:
    """The part of the report that says what was tried and what was chosen."""
    chosen = judgement.chosen
    return {
        "schema": SCHEMA,
        "kind": "fit",
        "name": chosen.candidate.design.name,
        "sentence": verdict(judgement),
        "chosen": {
            **_network(chosen.candidate),
            "name": chosen.candidate.design.name,
            "origin": chosen.candidate.origin,
        },
        "ties": [
            {**_network(one.candidate), "origin": one.candidate.origin, "accuracy": one.accuracy.mean}
            for one in judgement.ties
        ],
        "rules": _rules(race, judgement, field),
        "candidates": _candidates(race, judgement, field),
        "plan": race.plan.to_dict(),
        "notes": [*race.plan.notes, *_replacements(race, field)],
    }


def run_report(allowance: Allowance, minutes: float, seed: int) -> dict[str, Any]:
    """The part of a report about the budget, the machine and the versions."""
    return {
        "budget": {**allowance.to_dict(), "minutes": minutes},
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
    }


def accuracy_report(finalist: Finalist, images: int) -> dict[str, Any]:
    """Accuracy on the test images with its interval."""
    estimate = finalist.accuracy
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


def _entered(race: Race) -> dict[str, Candidate]:
    """Who was in the finals, by the keys of those that were drawn."""
    return {one.candidate.replaces or one.candidate.key: one.candidate for one in race.finals}


def _replacements(race: Race, field: Field) -> list[str]:
    names = {candidate.key: candidate.design.name for candidate in field.candidates}
    return [
        f"{names[old]} was slower than the budget when it was timed; {new.design.name} took its place in the finals"
        for old, new in _entered(race).items()
        if new.replaces
    ]


def _rules(race: Race, judgement: Judgement, field: Field) -> dict[str, Any]:
    entered = _entered(race)
    finals = {one.candidate.key: one for one in judgement.finalists}
    chosen = _finals_of(race, judgement.chosen.candidate.key)
    by_key = {candidate.key: candidate for candidate in field.candidates}
    rows: dict[str, Any] = {}
    for name, key in field.rules.items():
        candidate = entered.get(key, by_key[key])
        last = _last(race, key)
        row = {**_network(candidate), "accuracy": None, "judged_on": "select", "ci95": None, "failure": ""}
        row["probability_chosen_is_better"] = None
        if candidate.key in finals:
            estimate = finals[candidate.key].accuracy
            row |= {"accuracy": estimate.mean, "judged_on": "test", "ci95": [estimate.low, estimate.high]}
            if candidate.key != judgement.chosen.candidate.key:
                other = compare(chosen, _finals_of(race, candidate.key))
                row["probability_chosen_is_better"] = other.probability
        elif last is not None:
            row |= {"accuracy": last.outcome.accuracy, "failure": last.outcome.failure}
        rows[name] = row
    refused = {name.removeprefix("rule:"): why for name, why in field.refused.items() if name.startswith("rule:")}
    return rows | {name: {"design": None, "accuracy": None, "failure": why} for name, why in refused.items()}


def _candidates(race: Race, judgement: Judgement, field: Field) -> list[dict[str, Any]]:
    finals = {one.candidate.key: one for one in judgement.finalists}
    rows: list[dict[str, Any]] = []
    entered = _entered(race)
    for drawn in field.candidates:
        candidate = entered.get(drawn.key, drawn)
        done = [t for rung in race.rungs for t in rung if t.candidate.key == drawn.key]
        final = finals.get(candidate.key)
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
                "failure": next((t.outcome.failure for t in done if t.outcome.failed), ""),
            }
        )
    return rows


def _rung(training: Training) -> dict[str, Any]:
    outcome = training.outcome.to_dict()
    return {key: outcome[key] for key in ("images", "accuracy", "log_loss", "seconds")}


def _finals_of(race: Race, key: str) -> list[Training]:
    return [training for training in race.finals if training.candidate.key == key]


def _last(race: Race, key: str) -> Training | None:
    done = [training for rung in race.rungs for training in rung if training.candidate.key == key]
    return done[-1] if done else None
