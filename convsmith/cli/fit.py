"""``convsmith fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Count, Images, Json, Minutes, Seconds, make_command, print_json, print_text
from convsmith.cli.display import make_display
from convsmith.jobs.fit import fit
from convsmith.quantities import format_seconds


def _command(
    images: Annotated[str, Images()],
    macs: Annotated[int | None, Count(help="Most multiply-adds for one image, such as 10M.")] = None,
    params: Annotated[int | None, Count(help="Most learned parameters, such as 1M.")] = None,
    latency: Annotated[float | None, Seconds(help="Most time for one image, such as 3ms.")] = None,
    minutes: Annotated[float, Minutes(help="Time for everything, report included.")] = 30.0,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("run"),
    seed: Annotated[int, typer.Option(min=0, help="Decides the split, the drawn networks and every training.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; repeats no training.")] = False,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Find, train, prove and export the network that fits a compute budget."""
    with make_display() as display:
        found = fit(
            images,
            macs=macs,
            params=params,
            latency=latency,
            minutes=minutes,
            out=out,
            seed=seed,
            resume=resume,
            tell=display.tell,
            show=display.show,
        )
    if json:
        print_json(found.to_dict())
        return
    print_text(found.report["sentence"])
    print_text(f"Took {format_seconds(found.report['seconds']['total'])}. The report: {found.folder / 'report.html'}")


command = make_command(_command, "fit")
