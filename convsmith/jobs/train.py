"""``train``: one network, trained on labelled images, judged, exported and reported."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from convsmith.analysis import cost
from convsmith.data import Images, Normalisation, Split, open_images, split_images
from convsmith.data.augment import Policy
from convsmith.deploy.environment import machine, versions
from convsmith.design import Design, lower, read_design, write_design
from convsmith.errors import DataError, RunError, TrainingError
from convsmith.files import write_text
from convsmith.interop.torch_module import build
from convsmith.jobs.finish import PARITY_IMAGES, finish_run
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.references import read_reference
from convsmith.jobs.rehearsal import check_time, rehearse
from convsmith.jobs.report_parts import SCHEMA, confusion_report, data_report, incidents_report, quality_report
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.settings import SETUP_KEYS, rate_of, rate_test, read_settings, setup_for, setup_of
from convsmith.jobs.step import Show, Tell, ignore, reading, training
from convsmith.quantities import format_percent
from convsmith.search.candidate import design_key
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget, Outside
from convsmith.training.distributed import Group, joined
from convsmith.training.evaluate import EvaluationSet, logits, recalibrate_batchnorm
from convsmith.training.events import EventLog
from convsmith.training.initialise import initialise
from convsmith.training.loop import train as train_module
from convsmith.training.metrics import wilson
from convsmith.training.progress import Trained
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

DEFAULT_EPOCHS: Final = 20.0


@dataclass(frozen=True)
class TrainRun:
    """A finished training: the run folder and everything its report says."""

    folder: Path
    report: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What ``report.json`` holds."""
        return self.report


def train(
    design: str | Path | Design,
    images: str | Path,
    *,
    out: str | Path = "run",
    epochs: float | None = None,
    minutes: float | None = None,
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
        minutes: Time for everything, from reading the images to the report, in place of epochs.
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
    design = design if isinstance(design, Design) else read_reference(design)
    budget = _budget(epochs, minutes)
    if seed < 0:
        raise TrainingError("the seed must not be negative", received=seed)
    graph = lower(design)
    read_settings(recipe, Recipe())  # what is wrong in its file is told before images are read
    with joined() as group:
        if group.is_first:
            RunFolder.check(out, resume=resume, source=images)
        else:
            tell, show = ignore, ignore
        pictures = group.in_turn(lambda: open_images(images, side=_side(design), progress=reading(show)))
        _check_fit(design, pictures)
        split = split_images(pictures, seed=seed)
        recipe = read_settings(recipe, Recipe(policy=Policy.for_images(pictures.side, pictures.channels)))
        folder, chosen = RunFolder(Path(out)), None
        learn, watch, judge = (pictures.rows(rows) for rows in (split.train, split.select, split.test))
        tell(f"{len(learn):,} images to learn from, {len(watch):,} to watch, {len(judge):,} to judge by")
        if group.is_first:
            chosen = (setup_of(folder) if resume else None) or setup_for(graph, design, recipe, group)
        setup = group.setup(chosen)

        normalisation = Normalisation.of(pictures, split.train)
        data = TrainingSet(learn, pictures.labels[split.train], normalisation, len(pictures.classes))
        preparation = Preparation.of(pictures, pictures.side, normalisation)
        network = TrainedNetwork(design, graph, initialise(build(graph), seed), pictures.classes, preparation)
        tried = None
        if find_rate:
            known = group.share(rate_of(folder) if resume and group.is_first else None)
            if known is None:
                tried = rate_test(network.module, data, recipe, seed, setup, group)
                tell(f"the range test suggests a learning rate of {tried.rate:g}")
            recipe = dataclasses.replace(recipe, learning_rate=tried.rate if tried is not None else known)
        outside = None
        if minutes is not None:
            outside = rehearse(network, judge, len(learn), len(watch), normalisation, setup, started=started)
            outside = Outside(**group.share(dataclasses.asdict(outside)))
            check_time(outside, 60 * minutes)
        if group.is_first:
            folder = RunFolder.create(out, resume=resume, source=images)
            _keep_design(folder, design)
        with EventLog(folder.events) if group.is_first else contextlib.nullcontext() as events:
            done = train_module(
                network.module,
                data,
                recipe=recipe,
                budget=budget,
                seed=seed,
                setup=setup,
                events=events,
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
            judged = _judged(scores, pictures, split)
            events.write("judged", sync=True, **judged["accuracy"], design=design_key(design))
        network = dataclasses.replace(network, module=done.module)
        report = {
            **_described(network, judged["accuracy"], minutes),
            **judged,
            **data_report(pictures, split, str(images)),
            **_made(done, recipe, setup, budget, seed, group),
            **({"rate_test": tried.to_dict()} if tried is not None else {}),
            **incidents_report(done.incidents),
        }
        tell("exporting and checking the exported file")
        sample = pictures.pixels[split.test[:PARITY_IMAGES]]
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
    if design.input[0] != images.channels:
        kind = "grey" if images.channels == 1 else "colour"
        raise DataError(
            f"the images are {kind} and have {images.channels} channels, the design's input has {design.input[0]}",
            where=design.name,
            remedy=f"set input = [{images.channels}, {design.input[1]}, {design.input[2]}] in its file",
        )
    if design.head.classes != len(images.classes):
        raise DataError(
            f"the images have {len(images.classes)} classes, the design's head has {design.head.classes}",
            where=design.name,
            remedy=f"set classes = {len(images.classes)} under [head] in its file",
        )


def _keep_design(folder: RunFolder, design: Design) -> None:
    """Write the design of a new run; a resumed one must have the same."""
    if folder.design.is_file() and design_key(read_design(folder.design)) != design_key(design):
        rule, remedy = "a resumed run must keep its design", "give the same design, or start a new run"
        raise RunError(rule, received=design.name, where=str(folder.design), remedy=remedy)
    write_text(folder.design, write_design(design))


def _judged(scores: Any, images: Images, split: Split) -> dict[str, Any]:
    labels = images.labels[split.test]
    right = int(np.count_nonzero(scores.argmax(1) == labels))
    accuracy = {"test": right / len(labels), "ci95": list(wilson(right, len(labels))), "seeds": 1}
    accuracy |= {"images": len(labels), **quality_report(scores, labels)}
    return {**confusion_report(scores, labels, images.classes), "accuracy": accuracy}


def _described(network: TrainedNetwork, accuracy: dict[str, Any], minutes: float | None) -> dict[str, Any]:
    """The part of the report that names the network; nothing was searched, so nothing was tried beside it."""
    design, price = network.design, cost(network.graph)
    low, high = (format_percent(end) for end in accuracy["ci95"])
    sentence = (
        f"{design.name} is right on {format_percent(accuracy['test'])} of {accuracy['images']:,} test images "
        f"(95 % interval {low} to {high}), from one training."
    )
    chosen = {
        "key": design_key(design),
        "name": design.name,
        "design": write_design(design),
        "macs": price.macs,
        "params": price.params,
        "latency_ms": None,
        "shares": {},
        "input": list(design.input),
    }
    return {
        "schema": SCHEMA,
        "kind": "train",
        "name": design.name,
        "sentence": sentence,
        "budget": {"macs": None, "params": None, "latency_ms": None, "minutes": minutes},
        "chosen": chosen,
        "ties": [],
        "rules": {},
        "candidates": [],
    }


def _made(done: Trained, recipe: Recipe, setup: Setup, budget: Budget, seed: int, group: Group) -> dict[str, Any]:
    """The part of the report that says how the network came about."""
    seen = {"images": done.images_seen, "steps": done.steps, "images_per_second": done.images_per_second}
    seen |= {"processes": group.world}
    return {
        "recipe": recipe.to_dict(),
        "plan": {**budget.to_dict(), **seen, **{key: getattr(setup, key) for key in SETUP_KEYS}},
        "seconds": {"search": 0.0, "final": done.seconds},
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
    }
