"""What measured curves say, as the plain values of ``report.json``; all of it comes from the events of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from convsmith.design import parse_design
from convsmith.files import write_json, write_text
from convsmith.jobs.past import reuse_note, reuse_report
from convsmith.jobs.replay import Event, Session, read_session
from convsmith.jobs.run_folder import RunFolder
from convsmith.quantities import format_count, format_list, format_percent
from convsmith.report.curves import TITLES, render_curves
from convsmith.report.curves_png import draw_curves
from convsmith.report.efficientnet import FIGURE
from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.saturation import Gain, Saturation, gain, saturation
from convsmith.search.statistics import estimate, practical_margin, right

SCHEMA: Final = "convsmith/curves/1"

_EVEN: Final = (1 / 3, 1 / 3, 1 / 3)


def write_curves(folder: RunFolder) -> dict[str, Any]:
    """Make the report of the events in ``folder`` and write it, its page and its picture.

    Raises:
        RunError: If a file cannot be read or written.
    """
    report = curves_report(read_session(folder.events))
    draw_curves(report, folder.path / "results.png")
    write_text(folder.path / "report.html", render_curves(report))
    if not report["unfinished"]:
        write_json(folder.report, report)
    return report


def curves_report(session: Session) -> dict[str, Any]:
    """The report of a run, or of as much of it as is there."""
    begin, stop, told = session.begin, session.last("stop"), session.named("training")
    finished = session.last("finished")
    planned = session.last("plan")
    plan = planned["plan"] if planned else None
    done = _trainings(begin, told)
    reused = reuse_report(told)
    margin = float(practical_margin(max(map(_accuracy, done.values()), default=0.0)))
    curves = {line["axis"]: _curve(line, begin, done, margin) for line in begin["lines"]}
    return {
        "schema": SCHEMA,
        "kind": "curves",
        "name": begin["networks"][begin["base"]]["name"],
        "sentence": _sentence(begin, curves, done, unfinished=finished is None),
        "unfinished": finished is None,
        "base": _network(begin["base"], begin, done),
        "curves": curves,
        "margin": margin,
        "published": FIGURE,
        "budget": begin["budget"],
        "ladder": begin["ladder"],
        "plan": plan or {},
        "reused": reused,
        "notes": [*(plan["notes"] if plan else []), *_left_out(stop), *_failures(begin, told), *reuse_note(reused)],
        **{key: begin[key] for key in ("data", "rejected", "recipe", "setup", "machine", "versions", "seed")},
        "seconds": {"total": finished["total"] if finished else session.events[-1]["time"] - begin["time"]},
    }


def _trainings(begin: Event, told: Sequence[Event]) -> dict[str, list[Training]]:
    """The trainings of each network that succeeded, by key."""
    found: dict[str, list[Training]] = {}
    for event in told:
        outcome = Outcome.from_dict(event["outcome"])
        if not outcome.failed:
            one = begin["networks"][event["candidate"]]
            design = parse_design(one["design"], where=one["name"])
            candidate = Candidate(event["candidate"], design, "", _EVEN, one["macs"], one["params"])
            work = Work(candidate, event["images"], event["seed"], final=True)
            found.setdefault(event["candidate"], []).append(Training(work, outcome))
    return found


def _accuracy(trainings: Sequence[Training]) -> float:
    return float(np.mean([one.outcome.accuracy for one in trainings]))


def _network(key: str, begin: Event, done: Mapping[str, Sequence[Training]]) -> dict[str, Any]:
    """A network with what was measured of it; accuracy is None as long as nothing is."""
    trainings = done.get(key, ())
    row = {"key": key, **begin["networks"][key], "accuracy": None, "ci95": None, "seeds": len(trainings)}
    if trainings:
        found = estimate(np.stack([right(one.outcome) for one in trainings]).astype(np.float64))
        row |= {"accuracy": found.mean, "ci95": [found.low, found.high]}
        row["seconds"] = float(np.mean([one.outcome.seconds for one in trainings]))
    return row


def _curve(
    line: Mapping[str, Any], begin: Event, done: Mapping[str, Sequence[Training]], margin: float
) -> dict[str, Any]:
    measured = [key for key in line["points"] if key in done]
    found = saturation([done[key] for key in measured], margin)
    macs = [begin["networks"][key]["macs"] for key in measured]
    gains = [
        {"from": before, "to": after, **asdict(step)}
        for before, after, step in zip(macs, macs[1:], found.gains, strict=False)
    ]
    return {
        "points": [_network(key, begin, done) for key in line["points"]],
        "gains": gains,
        "verdict": found.kind,
        "at": macs[found.at] if macs else None,
        "sentence": _curve_sentence(TITLES[line["axis"]], found, macs, margin),
        "stop": line["stop"],
    }


def _curve_sentence(name: str, found: Saturation, macs: Sequence[int], margin: float) -> str:
    if found.kind == "short":
        return f"{_capital(name)}: nothing can be said yet, for there are not two points."
    at, last = format_count(macs[found.at]), found.gains[-1]
    if found.kind == "pays":
        return f"{_capital(name)} still pays at {at} MACs: the last step adds {_points(last)}."
    if found.kind == "stops":
        where = "from the base on" if found.at == 0 else f"beyond {at} MACs"
        return (
            f"{_capital(name)} does not pay {where}: no later point is better by more than {_number(margin)} points, "
            "with 95 % confidence."
        )
    told = f"{_capital(name)} pays up to {at} MACs; whether beyond" if found.at else f"Whether {name} pays"
    few = "" if last.seeds > 1 else ", and one training of each network says nothing of their chance"
    return f"{told} cannot be told from these intervals: the last step adds {_points(last)}{few}."


def _sentence(
    begin: Event,
    curves: Mapping[str, Any],
    done: Mapping[str, Sequence[Training]],
    *,
    unfinished: bool,
) -> str:
    """The outcome in plain words: what each axis does, and which is ahead at the dearest budget."""
    base = begin["networks"][begin["base"]]["macs"]
    told = [_short(TITLES[axis], curve["verdict"], curve["at"], base) for axis, curve in curves.items()]
    unclear = [TITLES[axis] for axis, curve in curves.items() if curve["verdict"] == "unclear"]
    parts = [part for part in told if part]
    if unclear:
        pay = "pays" if len(unclear) == 1 else "pay"
        parts.append(f"whether {format_list(unclear)} still {pay} cannot be told from these intervals")
    text = f"From {format_count(base)} to {format_count(begin['ladder'][-1])} MACs: {'; '.join(parts)}."
    if unfinished:
        text = f"Not finished. {text}"
    return text + _ahead(begin, done)


def _short(name: str, verdict: str, at: int | None, base: int) -> str:
    """What an axis does in a few words; nothing where it cannot be told."""
    if verdict == "stops":
        return f"{name} does not pay" if at == base else f"{name} stops paying at {format_count(at or 0)}"
    return {"pays": f"{name} still pays at the top", "short": f"{name} has no second point"}.get(verdict, "")


def _ahead(begin: Event, done: Mapping[str, Sequence[Training]]) -> str:
    """Who is best at the dearest budget that two axes have reached."""
    for budget in reversed(begin["ladder"]):
        reached: dict[str, Sequence[Training]] = {}
        for line in begin["lines"]:
            for key in line["points"][1:]:
                if key in done and 0.9 * budget <= begin["networks"][key]["macs"] <= budget:
                    reached[line["axis"]] = done[key]
        if len(reached) > 1:
            first, second, *_ = sorted(reached, key=lambda axis: -_accuracy(reached[axis]))
            ahead = gain(reached[first], reached[second])
            told = "" if ahead.certain else ", which is no certain difference"
            return (
                f" At {format_count(budget)} MACs {TITLES[first]} reaches most, "
                f"{format_percent(_accuracy(reached[first]))}, ahead of {TITLES[second]} by {_points(ahead)}{told}."
            )
    return ""


def _left_out(stop: Event | None) -> list[str]:
    count = stop["left_out"] if stop else 0
    return [f"The time was over before {count} planned trainings."] if count else []


def _failures(begin: Event, told: Sequence[Event]) -> list[str]:
    failed = [event for event in told if event["outcome"]["failure"]]
    return [
        f"{begin['networks'][event['candidate']]['name']}, seed {event['seed']}: {event['outcome']['failure']}"
        for event in failed
    ]


def _points(found: Gain) -> str:
    return f"{_number(found.difference)} points ({_number(found.low)} to {_number(found.high)})"


def _number(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
