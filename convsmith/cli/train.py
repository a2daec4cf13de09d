"""``convsmith train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Images, Json, Minutes, RecipeFile, make_command, print_json, print_text
from convsmith.cli.clock import began
from convsmith.cli.display import Lines, make_display
from convsmith.jobs.train import DEFAULT_EPOCHS, train
from convsmith.quantities import format_seconds
from convsmith.training.distributed import is_first_process


def _command(
    design: Annotated[str, typer.Argument(help="file.toml, zoo:NAME or a run folder.")],
    images: Annotated[str, Images()],
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("run"),
    epochs: Annotated[
        float | None, typer.Option(help=f"Passes over the training images; {DEFAULT_EPOCHS:g} if nothing is given.")
    ] = None,
    minutes: Annotated[float | None, Minutes(help="Time for all, report included, in place of --epochs.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the split, the first weights and the order of images.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    recipe: Annotated[Path | None, RecipeFile()] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Try rising learning rates first, and take one below the best.")
    ] = False,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Train one network on labelled images, and judge, export and report it."""
    with make_display() if is_first_process() else Lines() as display:
        done = train(
            design,
            images,
            out=out,
            epochs=epochs,
            minutes=minutes,
            seed=seed,
            resume=resume,
            recipe=recipe,
            find_rate=find_rate,
            started=began(),
            tell=display.tell,
            show=display.show,
        )
    if not is_first_process():
        return
    if json:
        print_json(done.to_dict())
        return
    print_text(done.report["sentence"])
    print_text(f"Took {format_seconds(done.report['seconds']['total'])}. The report: {done.folder / 'report.html'}")


command = make_command(_command, "train")
