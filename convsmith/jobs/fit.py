"""The main job: labelled images and a budget in; the network that fits, trained, proven and exported, out."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from convsmith.data import Split, open_images, split_images
from convsmith.errors import ModelError
from convsmith.jobs.elsewhere import Order
from convsmith.jobs.finish import finish_run
from convsmith.jobs.fit_budget import Allowance, too_short_for
from convsmith.jobs.fit_entry import Entry
from convsmith.jobs.fit_executor import check_executor, machines_for
from convsmith.jobs.fit_progress import Narrator
from convsmith.jobs.fit_replay import searched_report
from convsmith.jobs.fit_report import delivered, run_report
from convsmith.jobs.fit_resume import check_same, identity
from convsmith.jobs.fit_start import read_start
from convsmith.jobs.fit_study import Keeping, keeping
from convsmith.jobs.lab import Lab
from convsmith.jobs.past import results_for
from convsmith.jobs.probe import check_threads
from convsmith.jobs.replay import read_session
from convsmith.jobs.report_parts import EVENTS, confusion_report, data_report, quality_report
from convsmith.jobs.reported import Reported
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.settings import read_settings
from convsmith.jobs.step import Show, Tell, ignore, reading
from convsmith.quantities import in_units, parse_bytes, parse_count, parse_minutes, parse_seconds
from convsmith.search.candidate import START, Training
from convsmith.search.crew import Crew
from convsmith.search.policy import policy_for
from convsmith.search.racing import Race, race
from convsmith.search.shared import SharedStudy
from convsmith.search.space import Field
from convsmith.search.space_file import default_space, read_space
from convsmith.search.statistics import Judgement, cheapest, fastest, judge
from convsmith.training.distributed import check_alone
from convsmith.training.events import EventLog
from convsmith.training.recipe import Recipe


class Fit(Reported):
    """A finished search: its folder and its report."""


def fit(
    images: str | Path,
    *,
    macs: int | str | None = None,
    params: int | str | None = None,
    latency: float | str | None = None,
    memory: int | str | None = None,
    file_size: int | str | None = None,
    threads: int = 1,
    minutes: float | str = 30.0,
    space: str | Path | None = None,
    recipe: Recipe | str | Path | None = None,
    start_from: str | Path | None = None,
    start_design: str | Path | None = None,
    out: str | Path = "run",
    seed: int = 0,
    resume: bool = False,
    fresh: bool = False,
    study: str | None = None,
    processes: int | None = None,
    executor: str | None = None,
    address: str = "auto",
    started: float | None = None,
    tell: Tell = ignore,
    show: Show = ignore,
) -> Fit:
    """Find, train, judge and export the network that fits the budget.

    Every limit may be text with a unit, as on the command line: ``macs="10M"``, ``latency="3ms"``, ``minutes="2h"``.

    Args:
        images: Labelled images: a folder of class folders, a CSV manifest, tar archives, or a named set.
        macs: Most multiply-adds for one image.
        params: Most learned parameters.
        latency: Most seconds for one image, as exported, in onnxruntime on this machine.
        memory: Most bytes of the weights and of the values alive at once, for one image.
        file_size: Most bytes of the exported file.
        threads: Threads of onnxruntime that ``latency`` is meant for.
        minutes: Time for everything, from reading the images to the report.
        space: A file that says which networks are drawn; see ``search/space.toml``.
        recipe: How all networks are trained, or a file with what is to differ from the default (``docs/recipe.md``).
        start_from: A finished run, a safetensors or an ONNX file, whose network is fine-tuned as one more candidate.
        start_design: The design that the file belongs to.
        out: The run folder.
        seed: Decides the split, the drawn networks and every training.
        resume: Go on with the search in ``out``; no finished training is repeated.
        fresh: Train everything here, even what an earlier run has trained.
        study: ``postgresql://USER@HOST/DATABASE#NAME``: a study that any number of processes work on together, in place
            of the journal in ``out``; each has an ``out`` of its own, and all end with the same result.
        processes: Trainings at the same time on this machine; as many as its processors allow if not given.
        executor: ``ray``: train on the machines of a Ray cluster, which must have the images under the same name.
        address: Of that cluster; by default the one that this machine is part of.
        started: When the time began, on the monotonic clock; with this call if not given.
        tell: Told of what happens, in lines.
        show: Told how much of the time is spent.

    Raises:
        ConvsmithError: If the images, the budget or the folder cannot be used.
    """
    minutes = in_units(minutes, parse_minutes)
    started, seconds = time.monotonic() if started is None else started, 60 * minutes
    check_alone("fit")
    if start_design is not None and start_from is None:
        raise ModelError("a start-design needs the weights to start from", remedy="add --start-from FILE")
    check_executor(executor, study, processes)
    allowance = Allowance(
        in_units(macs, parse_count),
        in_units(params, parse_count),
        in_units(latency, parse_seconds),
        in_units(memory, parse_bytes),
        in_units(file_size, parse_bytes),
        check_threads(threads, "fit"),
    )
    recipe_for = read_settings(recipe)
    declared = default_space() if space is None else read_space(space)
    RunFolder.check(out, resume=resume, source=images)
    pictures = open_images(images, progress=reading(show))
    split = split_images(pictures, seed=seed)
    about = {**data_report(pictures, split, str(images)), **run_report(allowance, minutes, seed)}
    start = None if start_from is None else read_start(start_from, start_design, pictures)
    digest = recipe_for(pictures.side, pictures.channels).digest
    about["identity"] = identity(about, digest, declared, start.digest if start else "")
    check_same(RunFolder(Path(out)), about["identity"])
    entry = Entry(allowance, declared, pictures, split, seed=seed, seconds=seconds, tell=tell, show=show, start=start)
    asked = {**about["identity"], "machine": about["machine"]["cpu"]}
    with (
        keeping(study, RunFolder(Path(out)), asked, started=started, minutes=minutes, tell=tell) as kept,
        machines_for(executor, address, 1 if study else processes, tell) as machines,
    ):
        about["budget"] |= {"minutes": kept.seconds / 60}
        about |= {"study": kept.shown, "executor": executor, "address": address if executor else None}
        about["processes"] = processes
        field = kept.field(entry)
        about["start"] = [*start.notes, *_left_out(field)] if start else []
        folder = RunFolder.create(out, resume=resume, source=images)
        with folder.claimed():
            kept.keep(entry, field)
            size = f"{len(pictures):,} images of {pictures.side} px in {len(pictures.classes)} classes"
            tell(f"{size}; budget {allowance}")
            for note in about["start"]:
                tell(note)
            with EventLog(folder.events) as events:
                narrator = Narrator(events, tell, show, field.candidates, started=kept.started, seconds=kept.seconds)
                starts = {start.digest: start.weights} if start else {}
                lab = Lab(pictures, split, recipe_for, folder.checkpoints, events, narrator.watch, starts)
                setup = lab.choose_setup(field.candidates[0].design)
                cpu = about["machine"]["cpu"]
                context = {"data": f"{pictures.digest}/{seed}", "recipe": lab.recipe.digest, "machine": executor or cpu}
                machines.prepare(Order.of(images, pictures, seed, recipe_for, setup, starts), lab)
                about |= {"recipe": lab.recipe.to_dict(), "setup": setup.to_dict(), "context": context}
                about |= {"trainings_at_once": machines.hands}
                events.write("fit", schema=EVENTS, field=field.to_dict(), **about)
                results = results_for(pictures, split, lab.recipe, setup, executor)
                record = SharedStudy(
                    kept.study(context, lab.weights_path),
                    results,
                    price=kept.price / machines.hands,
                    fresh=fresh,
                    weights=lab.weights_path,
                    warn=tell,
                )
                crew = kept.crew(lab.train, record) or machines.crew(record, lab, narrator)
                judged = functools.partial(judge, cost=cheapest if latency is None else fastest, seed=seed)
                with too_short_for(minutes):
                    result = _race(lab, kept, record, crew, entry, field, split, narrator, judged, seed)
                searched = time.monotonic() - kept.started
                network = _network(lab, kept, result, judged(result.finals))
                scores, labels = lab.scores(network.module, network.design, split.test), pictures.labels[split.test]
                quality = quality_report(scores, labels)
                confused = confusion_report(scores, labels, pictures.classes)["confusion"]["matrix"]
                events.write("judged", sync=True, searched=searched, confusion=confused, **quality)
            report = searched_report(read_session(folder.events))
            tell("exporting and checking the exported file")
            finished = finish_run(folder, network, report, lab.sample, started=kept.started, measure=entry.time)
            return Fit(folder.path, finished)


def _left_out(field: Field) -> list[str]:
    """Why a network with given weights does not take part, where it does not."""
    kept = ((name.removeprefix(START), why) for name, why in field.refused.items() if name.startswith(START))
    return [f"{name} takes no part: {why}" for name, why in kept]


def _race(
    lab: Lab,
    kept: Keeping,
    record: SharedStudy,
    crew: Crew,
    entry: Entry,
    field: Field,
    split: Split,
    narrator: Narrator,
    judged: Callable[[Sequence[Training]], Judgement],
    seed: int,
) -> Race:
    largest = max(field.candidates, key=lambda candidate: candidate.params)
    deadline = kept.started + kept.seconds - lab.ending(largest, entry.time)
    return race(
        field.candidates,
        train=lab.train,
        time_candidate=lab.seconds_per_image,
        study=record,
        load=lab.load(epoch=len(split.train)),
        policy=policy_for(deadline - time.monotonic()),
        clock=record.clock,
        deadline=deadline,
        seed=seed,
        emit=record.hear(narrator.hear),
        settle=entry.settle,
        crew=crew,
        past=record.past(),
        choose=lambda finals: judged(finals).chosen.candidate,
    )


def _network(lab: Lab, kept: Keeping, result: Race, judgement: Judgement) -> TrainedNetwork:
    """The chosen network as it was delivered, or else from its first final that succeeded."""
    work = delivered(result, judgement).work
    path = lab.weights_path(work)
    if not path.is_file() and not kept.fetch(work, path):
        lab.train(work)
    return lab.network(work.candidate, work.seed)
