"""``train``: one network, trained on labelled images, judged, exported and reported."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, Normalisation, Split, open_images, split_images
from convsmith.design import Design, lower, read_design, write_design
from convsmith.errors import DataError, DesignError, RunError, TrainingError
from convsmith.files import write_text
from convsmith.interop.torch_module import build
from convsmith.jobs.finish import PARITY_IMAGES, finish_run
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.references import read_reference
from convsmith.jobs.rehearsal import check_time, rehearse
from convsmith.jobs.replay import begun, read_session
from convsmith.jobs.report_parts import data_report, is_same_data
from convsmith.jobs.reported import Reported
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.settings import rate_of, rate_test, read_settings, setup_for, setup_of
from convsmith.jobs.step import Show, Tell, ignore, reading, training
from convsmith.jobs.train_report import begin_report, judged_report, trained_report
from convsmith.quantities import in_units, parse_minutes
from convsmith.search.candidate import design_key
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget, Outside
from convsmith.training.distributed import joined
from convsmith.training.evaluate import RECALIBRATION_IMAGES, EvaluationSet, logits, recalibrate_batchnorm
from convsmith.training.events import EventLog
from convsmith.training.initialise import initialise
from convsmith.training.loop import train as train_module
from convsmith.training.recipe import Recipe

DEFAULT_EPOCHS: Final = 20.0


class TrainRun(Reported):
    """A finished training: its folder and its report."""


def train(
    design: str | Path | Design,
    images: str | Path,
    *,
    out: str | Path = "run",
    epochs: float | None = None,
    minutes: float | str | None = None,
    seed: int = 0,
    resume: bool = False,
    recipe: Recipe | str | Path | None = None,
    find_rate: bool = False,
    started: float | None = None,
    tell: Tell = ignore,
    show: Show = ignore,
) -> TrainRun:
    """Train a network and judge it on images it has never seen.

    The images are decoded at the design's own resolution and split into train, select and test; the select images are
    only watched, the test images are looked at once, at the end. Started by ``torchrun``, its processes train together,
    and only the first of them tells anything and writes the run folder; see ``docs/scale_out.md``.

    Args:
        design: A design file, ``zoo:NAME``, a run folder or a design.
        images: Labelled images: a folder of class folders, a CSV manifest, tar archives, or a named set.
        out: The run folder.
        epochs: Passes over the training images; 20 where neither this nor ``minutes`` is given.
        minutes: Time for everything, from reading the images to the report, in place of epochs; also as ``"90s"``.
        seed: Decides the split, the first weights, the order of images and their augmentation.
        resume: Go on with the training in ``out`` from its newest checkpoint.
        recipe: How to train, or a file with what is to differ (``docs/recipe.md``); the default suits short runs from
            scratch.
        find_rate: Replace the recipe's learning rate by that of a range test.
        started: When the time began, on the monotonic clock; with this call if not given.
        tell: Told of what happens, in lines.
        show: Told of the progress.

    Raises:
        ConvsmithError: If design, images, folder or options cannot be used or do not fit each other.
        KeyboardInterrupt: After Ctrl-C or, as ``Terminated``, SIGTERM, with a checkpoint to resume from.
    """
    started = time.monotonic() if started is None else started
    minutes = in_units(minutes, parse_minutes)
    design = design if isinstance(design, Design) else read_reference(design)
    budget = _budget(epochs, minutes)
    if seed < 0:
        raise TrainingError("the seed must not be negative", received=seed)
    graph = lower(design)
    recipe_for = read_settings(recipe)
    with joined() as group, contextlib.ExitStack() as held:
        if group.is_first:
            RunFolder.check(out, resume=resume, source=images)
            begun(RunFolder(Path(out)).events, "run")
        else:
            tell, show = ignore, ignore
        pictures = group.in_turn(lambda: open_images(images, side=_side(design), progress=reading(show)))
        _check_fit(design, pictures)
        split = split_images(pictures, seed=seed)
        recipe = recipe_for(pictures.side, pictures.channels)
        folder, chosen = RunFolder(Path(out)), None
        learn, watch, judge = (pictures.rows(rows) for rows in (split.train, split.select, split.test))
        sample = judge[:PARITY_IMAGES]
        tell(f"{len(learn):,} images to learn from, {len(watch):,} to watch, {len(judge):,} to judge by")
        if group.is_first:
            chosen = (setup_of(folder) if resume else None) or setup_for(graph, design, recipe, group)
        setup = group.setup(chosen)

        normalisation = Normalisation.of(pictures, split.train)
        data = TrainingSet(learn, pictures.labels[split.train], normalisation, len(pictures.classes))
        preparation = Preparation.of(pictures, pictures.side, normalisation)
        network = TrainedNetwork(design, graph, initialise(build(graph), seed), pictures.classes, preparation)
        tried, outside = None, None
        if find_rate:
            known = group.share(rate_of(folder) if resume and group.is_first else None)
            if known is None:
                tried = rate_test(network.module, data, recipe, seed, setup, group)
                tell(f"the range test suggests a learning rate of {tried.rate:g}")
            recipe = dataclasses.replace(recipe, learning_rate=tried.rate if tried is not None else known)
        if minutes is not None:
            more = len(watch) + min(len(learn), RECALIBRATION_IMAGES)
            outside = rehearse(network, sample, judge, normalisation, setup, started=started, more=more)
            outside = Outside(**group.share(dataclasses.asdict(outside)))
            check_time(outside, 60 * minutes)
        if group.is_first:
            folder = RunFolder.create(out, resume=resume, source=images)
            held.enter_context(folder.claimed())
            _check_images(folder, pictures, split, seed)
            _keep_design(folder, design)
        with EventLog(folder.events) if group.is_first else contextlib.nullcontext() as events:
            begin = begin_report(design, recipe, setup, budget, minutes, seed, group, tried)
            begin |= data_report(pictures, split, str(images))
            done = train_module(
                network.module,
                data,
                recipe=recipe,
                budget=budget,
                seed=seed,
                setup=setup,
                events=events,
                opening=None if events is None else functools.partial(events.write, "run", **begin),
                checkpoints=folder.checkpoints,
                resume=resume,
                select=EvaluationSet(watch, pictures.labels[split.select]),
                progress=training(show),
                tell=tell,
                group=group,
                outside=outside,
            )
            if events is None:
                return TrainRun(folder.path, group.share(None))
            recalibrate_batchnorm(done.module, data, setup)
            scores = logits(done.module, judge, normalisation, setup)
            _check_scores(scores, design, recipe)
            events.write("judged", sync=True, **judged_report(scores, pictures, split))
        network = dataclasses.replace(network, module=done.module)
        report = trained_report(read_session(folder.events))
        tell("exporting and checking the exported file")
        report = finish_run(folder, network, report, sample, started=started)
        group.share(report)
    return TrainRun(folder.path, report)


def _budget(epochs: float | None, minutes: float | None) -> Budget:
    if epochs is not None and minutes is not None:
        raise TrainingError("a training takes epochs or minutes, not both", remedy="leave one out")
    if minutes is not None:
        return Budget(seconds=60 * minutes)
    return Budget(epochs=DEFAULT_EPOCHS if epochs is None else epochs)


def _side(design: Design) -> int:
    _, height, width = design.input
    if height != width:
        rule = "a network is trained on square images"
        raise DataError(rule, received=(height, width), where=design.name, remedy="make height and width equal")
    return height


def _check_fit(design: Design, images: Images) -> None:
    """Hold the design against the images: it says which number of its file must be another."""
    if design.head.task != "classify":
        rule = "only a design whose task is classify can be trained"
        raise DesignError(rule, received=design.head.task, where=design.name, remedy="give it a [head] that classifies")
    if design.input[0] != images.channels:
        kind = "grey" if images.channels == 1 else "colour"
        raise DataError(
            f"the images are {kind} and have {images.channels} channels, the design's input has {design.input[0]}",
            where=design.name,
            remedy=f"set input = [{images.channels}, {design.input[1]}, {design.input[2]}] in its file",
        )
    classes = design.head.options["classes"]
    if classes != len(images.classes):
        raise DataError(
            f"the images have {len(images.classes)} classes, the design's head has {classes}",
            where=design.name,
            remedy=f"set classes = {len(images.classes)} under [head] in its file",
        )


def _check_images(folder: RunFolder, images: Images, split: Split, seed: int) -> None:
    """A resumed run must have the same images; a checkpoint knows but their number and labels."""
    begin = begun(folder.events, "run")
    if begin is not None and begin["seed"] == seed and not is_same_data(begin["data"], images, split):
        rule = "a resumed run must keep its images, and which of them are for what"
        raise RunError(rule, where=str(folder.path), remedy="give the same images, or start a new run")


def _check_scores(scores: NDArray[np.float32], design: Design, recipe: Recipe) -> None:
    """Refuse what the last step destroyed: no loss came after it that would have shown that."""
    if not np.isfinite(scores).all():
        rule = "the trained network must give finite scores, and its last steps destroyed it"
        remedy = f"start a new run with a lower learning_rate in the recipe, now {recipe.learning_rate:g}"
        raise TrainingError(rule, where=design.name, remedy=remedy)


def _keep_design(folder: RunFolder, design: Design) -> None:
    """Write the design of a new run; a resumed one must have the same."""
    if folder.design.is_file() and design_key(read_design(folder.design)) != design_key(design):
        rule, remedy = "a resumed run must keep its design", "give the same design, or start a new run"
        raise RunError(rule, received=design.name, where=str(folder.design), remedy=remedy)
    write_text(folder.design, write_design(design))
