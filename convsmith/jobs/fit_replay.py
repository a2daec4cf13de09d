"""The report of a search from its events alone, of a finished one or of as much as is there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from convsmith.jobs.fit_report import Searched, accuracy_report, delivered_report, delivered_sentence, fit_report
from convsmith.jobs.past import past_note, reuse_note, reuse_report
from convsmith.jobs.replay import Event, Session
from convsmith.quantities import format_count, format_percent
from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.space import Field
from convsmith.search.statistics import Judgement, cheapest, fastest, judge


def searched_report(session: Session) -> dict[str, Any]:
    """The report of a search, without what is measured on the exported file.

    Until the chosen network is judged, ``unfinished`` is true; ``chosen`` is then the best of the finals so far, or
    has no key.
    """
    begin, judged = session.begin, session.last("judged")
    field = Field.from_dict(begin["field"])
    searched = _searched(session, field)
    good = [one for one in searched.finals if not one.outcome.failed]
    cost: Callable[[Candidate], tuple[float, ...]] = cheapest if begin["budget"]["latency_ms"] is None else fastest
    judgement = judge(searched.finals, cost=cost, seed=begin["seed"]) if good else None
    reused = reuse_report([*session.named("training"), *session.named("delivered")])
    report = {
        **{key: begin[key] for key in ("data", "rejected", "budget", "machine", "versions", "seed", "recipe")},
        "trainings_at_once": begin.get("trainings_at_once", 1),
        **fit_report(searched, judgement, field, seed=begin["seed"]),
        "reused": reused,
        "seconds": {
            "search": judged["searched"] if judged else session.events[-1]["time"] - begin["time"],
            "final": sum(one.outcome.seconds for one in searched.finals),
        },
    }
    report["notes"] = [*report["notes"], *begin.get("start", ()), *past_note(session.last("past")), *reuse_note(reused)]
    if judgement is not None:
        report["accuracy"] = accuracy_report(judgement.accuracy, begin["data"]["test"])
    if judged is None:
        return {**report, "unfinished": True, "sentence": _so_far(searched, judgement, report["sentence"])}
    assert judgement is not None
    report["delivered"] = delivered_report(searched, judgement)
    report["sentence"] += delivered_sentence(report["delivered"])
    report["accuracy"] |= {key: judged[key] for key in ("log_loss", "calibration_error")}
    report["confusion"] = {"classes": begin["data"]["classes"], "matrix": judged["confusion"]}
    return report


def _searched(session: Session, field: Field) -> Searched:
    plan = session.last("plan")
    rungs: list[list[Training]] = []
    finals: list[list[Training]] = []
    asked: dict[str, int] = {}  # places of the networks in the present rung or finals
    known = {candidate.key: candidate for candidate in field.candidates}
    for event in session.events:
        name = event["event"]
        if name in ("rung", "finals"):
            (rungs if name == "rung" else finals).append([])
            asked = {}
        if name == "settled":
            known |= {one["key"]: Candidate.from_dict(one) for one in event["candidates"]}
            asked = {}
            for one in event["candidates"]:
                asked.setdefault(one["key"], len(asked))
        elif name in ("rung", "proposed", "finals"):
            for key in event["candidates"]:
                asked.setdefault(key, len(asked))
        elif name == "training":
            training = _training(event, known)
            stretch = (finals if training.work.final else rungs)[-1]
            stretch.append(training)
            stretch.sort(key=lambda one: (one.work.seed, asked[one.work.candidate.key]))
    done = tuple(tuple(rung) for rung in rungs if rung)
    dropped = {event["candidate"]: event["failure"] for event in session.named("dropped")}
    delivered = [_training(event, known) for event in session.named("delivered")]
    good = next((one for one in delivered if not one.outcome.failed), None)
    return Searched(plan["plan"] if plan else {"notes": []}, done, tuple(itertools.chain(*finals)), dropped, good)


def _training(event: Event, known: dict[str, Candidate]) -> Training:
    work = Work(known[event["candidate"]], event["images"], event["seed"], event.get("final", True))
    return Training(work, Outcome.from_dict(event["outcome"]))


def _so_far(searched: Searched, judgement: Judgement | None, verdict: str) -> str:
    """What can be said of a search that is not finished."""
    if judgement is not None:
        return f"Not finished, in the finals. So far: {verdict}"
    done = [one for rung in searched.rungs for one in rung]
    good = [one for one in searched.rungs[-1] if not one.outcome.failed] if searched.rungs else []
    if not good:
        return f"Not finished: {len(done)} trainings are done."
    best = min(good, key=lambda one: one.outcome.log_loss)
    return (
        f"Not finished: {len(done)} trainings are done, in rung {len(searched.rungs)}. So far "
        f"{best.candidate.design.name} has the least loss, right on {format_percent(best.outcome.accuracy)} of the "
        f"select images after {format_count(best.outcome.images)} images."
    )
