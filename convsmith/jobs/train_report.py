"""What a training found, as the plain values of ``report.json``: told to the log, and made of the log again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from convsmith.analysis import cost
from convsmith.data import Images, Split
from convsmith.deploy.environment import machine, versions
from convsmith.design import Design, lower, parse_design, write_design
from convsmith.jobs.replay import Event, Session
from convsmith.jobs.report_parts import EVENTS, SCHEMA, confusion_report, incidents_report, quality_report
from convsmith.jobs.settings import SETUP_KEYS
from convsmith.quantities import format_percent
from convsmith.search.candidate import design_key
from convsmith.training.budget import Budget
from convsmith.training.distributed import Group
from convsmith.training.events import without_undone
from convsmith.training.metrics import wilson
from convsmith.training.progress import Incident, Point
from convsmith.training.rate_finder import RateTest
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup


def begin_report(
    design: Design,
    recipe: Recipe,
    setup: Setup,
    budget: Budget,
    minutes: float | None,
    seed: int,
    group: Group,
    tried: RateTest | None,
) -> dict[str, Any]:
    """What is known when a training begins."""
    return {
        "schema": EVENTS,
        "design": write_design(design),
        "minutes": minutes,
        "plan": {**budget.to_dict(), "processes": group.world, **{key: getattr(setup, key) for key in SETUP_KEYS}},
        "recipe": recipe.to_dict(),
        "rate_test": tried and tried.to_dict(),
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
    }


def judged_report(scores: NDArray[Any], images: Images, split: Split) -> dict[str, Any]:
    """How right the network is on the test images."""
    labels = images.labels[split.test]
    confused = confusion_report(scores, labels, images.classes)["confusion"]["matrix"]
    return {"confusion": confused, **quality_report(scores, labels)}


def trained_report(session: Session) -> dict[str, Any]:
    """The report of a training, without what is measured on the exported file.

    Until the network is judged, ``unfinished`` is true and there is no accuracy.
    """
    begin, judged = session.begin, session.last("judged")
    told = without_undone(dict(event) for event in session.all)
    design = parse_design(begin["design"], where="design")
    accuracy = _accuracy(judged) if judged else None
    confused = {"confusion": {"classes": begin["data"]["classes"], "matrix": judged["confusion"]}} if judged else {}
    plan, seconds = _course(begin, told)
    return {
        "schema": SCHEMA,
        "kind": "train",
        "name": design.name,
        "sentence": _sentence(design, accuracy) if accuracy else _so_far(design, told),
        **({"accuracy": accuracy} if accuracy else {"unfinished": True}),
        **confused,
        "budget": {"macs": None, "params": None, "latency_ms": None, "minutes": begin["minutes"]},
        "chosen": _network(design),
        **{"ties": [], "rules": {}, "candidates": []},  # nothing was searched, so nothing was tried beside it
        **{key: begin[key] for key in ("data", "rejected", "recipe", "machine", "versions", "seed")},
        "plan": plan,
        "history": [_values(event, Point) for event in told if event["event"] == "point"],
        "seconds": {"search": 0.0, "final": seconds},
        **({"rate_test": begin["rate_test"]} if begin["rate_test"] else {}),
        **incidents_report(_incidents(told)),
    }


def _accuracy(judged: Event) -> dict[str, Any]:
    counts = judged["confusion"]
    right, images = sum(row[number] for number, row in enumerate(counts)), sum(map(sum, counts))
    quality = {key: judged[key] for key in ("log_loss", "calibration_error")}
    return {"test": right / images, "ci95": list(wilson(right, images)), "seeds": 1, "images": images, **quality}


def _sentence(design: Design, accuracy: Mapping[str, Any]) -> str:
    low, high = (format_percent(end) for end in accuracy["ci95"])
    return (
        f"{design.name} is right on {format_percent(accuracy['test'])} of {accuracy['images']:,} test images "
        f"(95 % interval {low} to {high}), from one training."
    )


def _so_far(design: Design, told: Sequence[Event]) -> str:
    """What can be said of a training that is not finished."""
    point = next((event for event in reversed(told) if event["event"] == "point"), None)
    if point is None:
        return f"The training of {design.name} is not finished."
    judged = "" if point["accuracy"] is None else f", right on {format_percent(point['accuracy'])} of the select images"
    return (
        f"The training of {design.name} is not finished: {format_percent(point['fraction'], 0)} done, "
        f"loss {point['loss']:.3f}{judged}."
    )


def _network(design: Design) -> dict[str, Any]:
    price = cost(lower(design))
    return {
        "key": design_key(design),
        "name": design.name,
        "design": write_design(design),
        "macs": price.macs,
        "params": price.params,
        "latency_ms": None,
        "shares": {},
        "input": list(design.input),
    }


def _course(begin: Event, told: Sequence[Event]) -> tuple[dict[str, Any], float]:
    """The plan with what was done of it, and the seconds that took."""
    done = next((event for event in reversed(told) if event["event"] == "trained"), None)
    if done is None:
        return dict(begin["plan"]), 0.0
    seen = {"images": done["images"], "steps": done["steps"], "images_per_second": done["images"] / done["seconds"]}
    return {**begin["plan"], **seen}, done["seconds"]


def _incidents(told: Sequence[Event]) -> list[Incident]:
    kinds = ("rollback", "smaller_parts")
    return [
        Incident(event["event"], event["step"], event["cause"], event["remedy"])
        for event in told
        if event["event"] in kinds
    ]


def _values(event: Event, kind: type[Any]) -> dict[str, Any]:
    return {field.name: event[field.name] for field in dataclasses.fields(kind)}
