"""The main job: labelled images and a budget in; the network that fits, trained, proven and exported, out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.data import open_images, split_images
from convsmith.errors import BudgetError
from convsmith.jobs.finish import finish_run
from convsmith.jobs.fit_report import accuracy_report, data_report, fit_report, judged_report, run_report
from convsmith.jobs.lab import Lab
from convsmith.jobs.run_folder import RunFolder
from convsmith.quantities import format_count, format_percent, format_seconds
from convsmith.scaling import Limits
from convsmith.search.candidate import Work
from convsmith.search.plan import Load, policy_for
from convsmith.search.racing import race
from convsmith.search.space import Space, make_field
from convsmith.search.statistics import judge
from convsmith.search.study import Study
from convsmith.training.events import EventLog
from convsmith.training.recipe import Recipe

DRAWS = 16
"""Networks drawn beside the rules; the time plan leaves out those that there is no time for."""

SETUP_SECONDS = 2.0
PARITY_IMAGES = 64


@dataclass(frozen=True)
class Fit:
    """A finished search: the run folder and everything its report says."""

    folder: Path
    report: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What ``report.json`` holds."""
        return self.report


def fit(
    images: str | Path,
    *,
    macs: int | None = None,
    params: int | None = None,
    latency: float | None = None,
    minutes: float = 30.0,
    out: str | Path = "run",
    seed: int = 0,
    resume: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Find, train, judge and export the network that fits the budget.

    Args:
        images: Labelled images: a folder of class folders, a CSV manifest, or a named set.
        macs: Most multiply-adds for one image.
        params: Most learned parameters.
        latency: Most seconds for one image; not searched yet.
        minutes: Time for everything, from reading the images to the report.
        out: The run folder.
        seed: Decides the split, the drawn networks and every training.
        resume: Go on with the search in ``out``; no finished training is repeated.
        tell: Told of every step in one line.

    Raises:
        ConvsmithError: If the images, the budget or the folder cannot be used.
    """
    started = time.monotonic()
    if latency is not None:
        raise BudgetError("a latency budget cannot be searched yet", received=latency, remedy="give --macs or --params")
    limits = Limits(macs, params)
    deadline = started + 60 * minutes - _finishing(60 * minutes)
    RunFolder.check(out, resume=resume, source=images)
    pictures = open_images(images)
    split = split_images(pictures, seed=seed)
    field = make_field(Space(limits, pictures.channels, pictures.side, len(pictures.classes)), DRAWS, seed=seed)
    folder = RunFolder.create(out, resume=resume, source=images)
    tell(f"{len(pictures):,} images of {pictures.side} px in {len(pictures.classes)} classes; budget {limits}")
    with EventLog(folder.events) as events:
        lab = Lab(pictures, split, Recipe(), folder.checkpoints, events)
        setup = lab.choose_setup(field.candidates[0].design, SETUP_SECONDS)
        report = {**data_report(pictures, split, str(images)), **run_report(limits, minutes, seed)}
        context = {"data": pictures.digest, "recipe": lab.recipe.digest, "machine": report["machine"]["cpu"]}
        narrator = _Narrator(events, tell)
        events.write("fit", budget=report["budget"], data=report["data"], setup=setup.to_dict(), context=context)
        result = race(
            field.candidates,
            train=lab.train,
            time_candidate=lab.seconds_per_image,
            study=Study(folder.study, context),
            load=Load(train=len(split.train), select=len(split.select), test=len(split.test)),
            policy=policy_for(deadline - time.monotonic()),
            clock=time.monotonic,
            deadline=deadline,
            seed=seed,
            emit=narrator.hear,
        )
        judgement = judge(result.finals, seed=seed)
        searched = time.monotonic() - started
        chosen = judgement.chosen.candidate
        # The first seed that succeeded, not the luckiest: picking by the test images would spoil them.
        shown = min(
            (t for t in result.finals if t.candidate == chosen and not t.outcome.failed), key=lambda t: t.work.seed
        )
        if not lab.has_weights(chosen, shown.work.seed):
            lab.train(Work(chosen, shown.work.images, shown.work.seed, final=True))
        network = lab.network(chosen, shown.work.seed)
        judged = judged_report(
            lab.scores(network.module, chosen.design, split.test), pictures.labels[split.test], pictures.classes
        )
        accuracy = accuracy_report(judgement.chosen, len(split.test))
        accuracy |= {key: judged.pop(key) for key in ("log_loss", "calibration_error")}
        report |= {
            **fit_report(result, judgement, field),
            **judged,
            "accuracy": accuracy,
            "recipe": lab.recipe.to_dict(),
        }
        report["seconds"] = {"search": searched, "final": sum(t.outcome.seconds for t in result.finals)}
        sample = pictures.pixels[split.test[:PARITY_IMAGES]]
        return Fit(folder.path, finish_run(folder, network, report, sample, started=started))


def _finishing(seconds: float) -> float:
    """Seconds kept for export, parity gate, latency and report."""
    return max(10.0, 0.02 * seconds)


class _Narrator:
    """Writes every event of the race to the log, and the ones a person waits for as lines."""

    def __init__(self, events: EventLog, tell: Callable[[str], None]) -> None:
        self._events = events
        self._tell = tell

    def hear(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the race."""
        self._events.write(event, sync=event == "training", **fields)
        if event == "plan":
            plan = fields["plan"]
            for number, rung in enumerate(plan["rungs"], start=1):
                self._tell(f"plan: rung {number}, {rung['candidates']} networks, {format_seconds(rung['seconds'])}")
        elif event == "rung":
            count, images = len(fields["candidates"]), format_count(fields["images"])
            self._tell(f"rung {fields['number']}: {count} networks see {images} images each")
        elif event == "finals":
            self._tell(f"finals: {len(fields['candidates'])} networks, {fields['seeds']} seeds")
        elif event == "training":
            outcome = fields["outcome"]
            found = outcome["failure"] or f"{format_percent(outcome['accuracy'])} right, {outcome['log_loss']:.3f} nats"
            again = " (on record)" if fields["reused"] else f", {format_seconds(outcome['seconds'])}"
            self._tell(f"  {fields['origin']} seed {fields['seed']}: {found}{again}")
