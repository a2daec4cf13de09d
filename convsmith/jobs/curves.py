"""``scale --measure``: depth, width and resolution raised alone and together from one base, and what each is worth.

No network is chosen, so nothing is selected: all are trained on the train and select images and judged on the test
images, each as often as the time allows, with the same images and seeds. Everything is told to the log of the run, and
the report is made of that log alone.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from convsmith.data import Images, open_images, split_images
from convsmith.deploy.environment import machine, versions
from convsmith.design import Design, write_design
from convsmith.errors import DesignError, RunError, TrainingError
from convsmith.jobs.curves_plan import DEFAULT_SEEDS, MOST_SEEDS, Wish
from convsmith.jobs.curves_report import write_curves
from convsmith.jobs.curves_run import CurvesRun, Watcher
from convsmith.jobs.lab import Lab
from convsmith.jobs.past import results_for
from convsmith.jobs.replay import begun
from convsmith.jobs.report_parts import EVENTS, data_report
from convsmith.jobs.reported import Reported
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.scale import scale
from convsmith.jobs.settings import read_settings
from convsmith.jobs.step import Show, Tell, ignore, reading
from convsmith.quantities import format_count, in_units, parse_count, parse_minutes
from convsmith.scaling import price
from convsmith.scaling.axes import factors_between
from convsmith.scaling.ladder import AXES, Line, budgets, raise_axis
from convsmith.search.candidate import Candidate, design_key
from convsmith.search.shared import SharedStudy
from convsmith.search.study import Study
from convsmith.training.distributed import check_alone
from convsmith.training.events import EventLog
from convsmith.training.recipe import Recipe

GROWTH: Final = 8
"""The dearest budget over the cost of the base, where none is given."""

_ENDING: Final = 5.0  # seconds for the report and its picture
_ROOM: Final = 1.15  # work does not grow exactly with the square of the side
_SHARES: Final = {"depth": (1.0, 0.0, 0.0), "width": (0.0, 1.0, 0.0), "resolution": (0.0, 0.0, 1.0)}
_EVEN: Final = (1 / 3, 1 / 3, 1 / 3)


class Curves(Reported):
    """Measured saturation curves: its folder and its report."""


def curves(
    design: str | Path | Design,
    images: str | Path,
    *,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    macs: int | str | None = None,
    minutes: float | str = 30.0,
    seeds: int | None = None,
    epochs: float | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path = "run",
    seed: int = 0,
    resume: bool = False,
    fresh: bool = False,
    started: float | None = None,
    tell: Tell = ignore,
    show: Show = ignore,
) -> Curves:
    """Measure what depth, width, resolution and all three together are worth, from one base on.

    The base is the design, scaled by the factors if any are given, with the channels and classes of the images. Each
    curve has a point at every budget of a ladder from the base's multiply-adds to ``macs``, in steps of about two.

    Args:
        design: A design file, ``zoo:NAME``, a run folder or a design.
        images: Labelled images: a folder of class folders, a CSV manifest, tar archives, or a named set.
        depth: Factor of the blocks before anything is measured.
        width: Factor of the channels.
        resolution: Factor of the side; below one it leaves room for the resolution to be raised.
        macs: The dearest budget in multiply-adds; eight times the base if not given.
        minutes: Time for everything, from reading the images to the report.
        seeds: Trainings of every network; if not given 3 are wanted, and more are done where time is left.
        epochs: Passes over the training images; as many as the time allows, up to 20, if not given.
        recipe: How all networks are trained, or a file with what is to differ from the default.
        out: The run folder.
        seed: Decides the split and every training.
        resume: Go on with the curves in ``out``; no finished training is repeated.
        fresh: Train everything here, even what an earlier run has trained.
        started: When the time began, on the monotonic clock; with this call if not given.
        tell: Told of what happens, in lines.
        show: Told how much of the time is spent.

    Raises:
        ConvsmithError: If the design, the images, the budget or the folder cannot be used, or the time is too short.
    """
    started = time.monotonic() if started is None else started
    macs, minutes = in_units(macs, parse_count), in_units(minutes, parse_minutes)
    check_alone("scale --measure")
    _check(seeds, seed, epochs)
    recipe_for = read_settings(recipe)
    scaled = scale(design, depth=depth, width=width, resolution=resolution).design
    RunFolder.check(out, resume=resume, source=images)
    pictures = open_images(images, progress=reading(show))
    base = _base(scaled, pictures, resolution)
    least = price(base).macs
    ladder = budgets(least, GROWTH * least if macs is None else macs)
    wanted = _ROOM * base.input[1] * (ladder[-1] / least) ** 0.5
    pictures = _larger(images, pictures, wanted, reading(show))
    lines = [raise_axis(base, axis, ladder, native=pictures.side) for axis in AXES]
    networks = _networks(base, lines)
    split = split_images(pictures, seed=seed)
    _check_same(RunFolder(Path(out)), base, pictures)
    folder = RunFolder.create(out, resume=resume, source=images)
    tell(f"{len(pictures):,} images of {pictures.side} px in {len(pictures.classes)} classes")
    tell(f"{len(networks)} networks from {base.name}, {format_count(least)} MACs, up to {format_count(ladder[-1])}")
    for line in lines:
        if line.stop:
            more = "" if line.points or line.axis != "resolution" else "; --resolution 0.5 would begin lower"
            tell(f"{line.axis} has {len(line.points)} of {len(ladder)} budgets: {line.stop}{more}")
    with folder.claimed(), EventLog(folder.events) as events:
        watcher = Watcher(show, started, 60 * minutes)
        lab = Lab(pictures, split, recipe_for, None, events, watcher.watch)
        setup = lab.choose_setup(base)
        results = results_for(pictures, split, lab.recipe, setup)
        study = Study(folder.study, {"curves": design_key(base), **results.context})
        shared = SharedStudy(study, results, time.monotonic, fresh=fresh, warn=tell)
        events.write(
            "curves",
            schema=EVENTS,
            base=design_key(base),
            networks={key: _described(base, one) for key, one in networks.items()},
            lines=[_line(base, line) for line in lines],
            ladder=list(ladder),
            **data_report(pictures, split, str(images)),
            budget={"macs": ladder[-1], "minutes": minutes, "seeds": seeds, "epochs": epochs},
            recipe=lab.recipe.to_dict(),
            setup=setup.to_dict(),
            machine=machine(),
            versions=versions(),
            seed=seed,
        )
        load = lab.load(epoch=len(split.train) + len(split.select))
        wish = Wish(_steps(base, lines, ladder), seeds or DEFAULT_SEEDS, epochs)
        deadline = started + 60 * minutes - _ENDING
        run = CurvesRun(lab, shared, events, networks, load, seed, deadline, tell, watcher)
        run.go(wish, most=seeds or MOST_SEEDS)
        events.write("finished", sync=True, total=time.monotonic() - started)
    return Curves(folder.path, write_curves(folder))


def _check(seeds: int | None, seed: int, epochs: float | None) -> None:
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise TrainingError(f"seeds must be 1 to {MOST_SEEDS}", received=seeds)
    if seed < 0:
        raise TrainingError("the seed must not be negative", received=seed)
    if epochs is not None and not epochs > 0:
        raise TrainingError("epochs must be above zero", received=epochs)


def _check_same(folder: RunFolder, base: Design, images: Images) -> None:
    """Refuse to go on with curves of another base or of other images: the report would mix them."""
    before = begun(folder.events, "curves")
    if before is None:
        return
    if (before["base"], before["data"]["digest"]) != (design_key(base), images.digest):
        rule, remedy = "curves go on from the same base with the same images", "give the same ones, or another --out"
        raise RunError(rule, where=str(folder.path), remedy=remedy)


def _base(design: Design, images: Images, resolution: float) -> Design:
    """The design with the channels and classes of the images; it was scaled by the factor of resolution."""
    _, side, across = design.input
    most = _native(images)
    if side != across:
        raise DesignError("a network is trained on square images", received=(side, across), where=design.name)
    if side > most:
        rule = f"the base must see images no larger than they are, {most} px"
        lower = math.floor(50 * most / side * resolution) / 100
        remedy = f"start lower, such as with --resolution {lower:g}"
        raise DesignError(rule, received=f"{side} px", where=design.name, remedy=remedy)
    head = design.head.model_copy(update={"classes": len(images.classes)})
    return design.model_copy(update={"input": (images.channels, side, side), "head": head})


def _native(images: Images) -> int:
    return max(images.native, images.side)


def _larger(source: str | Path, images: Images, wanted: float, progress: Callable[[int, int], None]) -> Images:
    """The images at the largest side that a point may ask for, where they were decoded smaller than they are."""
    side = min(_native(images), math.ceil(wanted))
    return open_images(source, side=side, progress=progress) if side > images.side else images


def _networks(base: Design, lines: Sequence[Line]) -> dict[str, Candidate]:
    """All distinct networks by key, the base first."""
    made = [("base", base), *((line.axis, design) for line in lines for _, design in line.points)]
    found: dict[str, Candidate] = {}
    for axis, design in made:
        found.setdefault(design_key(design), _candidate(base, design, axis))
    return found


def _candidate(base: Design, design: Design, axis: str) -> Candidate:
    cost = price(design)
    name = base.name if axis == "base" else f"{base.name}-{axis}-{format_count(cost.macs)}"
    named = design.model_copy(update={"name": name})
    return Candidate(design_key(design), named, axis, _SHARES.get(axis, _EVEN), macs=cost.macs, params=cost.params)


def _described(base: Design, candidate: Candidate) -> dict[str, Any]:
    """A network as the log keeps it."""
    return {
        "name": candidate.design.name,
        "design": write_design(candidate.design),
        "input": list(candidate.design.input),
        "macs": candidate.macs,
        "params": candidate.params,
        "factors": dataclasses.asdict(factors_between(base, candidate.design)),
    }


def _line(base: Design, line: Line) -> dict[str, Any]:
    keys = [design_key(base), *(design_key(design) for _, design in line.points)]
    return {"axis": line.axis, "points": list(dict.fromkeys(keys)), "stop": line.stop}


def _steps(base: Design, lines: Sequence[Line], ladder: Sequence[int]) -> list[list[str]]:
    """Keys in the order of their trainings: the base, then budget by budget."""
    seen, steps = {design_key(base)}, [[design_key(base)]]
    for budget in ladder:
        keys = [design_key(design) for line in lines for filled, design in line.points if filled == budget]
        steps.append([key for key in dict.fromkeys(keys) if key not in seen])
        seen.update(keys)
    return [step for step in steps if step]
