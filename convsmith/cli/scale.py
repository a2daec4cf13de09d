"""``convsmith scale``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from convsmith.cli.app import (
    Count,
    Json,
    Minutes,
    RecipeFile,
    UsageError,
    make_command,
    print_json,
    print_text,
)
from convsmith.design import write_design
from convsmith.files import write_text
from convsmith.jobs.curves_plan import DEFAULT_SEEDS
from convsmith.jobs.scale import scale
from convsmith.quantities import format_count, format_percent
from convsmith.scaling import RULES

_MEASURE: Final = "convsmith.cli.scale_measure"  # it needs torch, which scaling does not


def _command(
    design: Annotated[str, typer.Argument(help="file.toml, zoo:NAME or a run folder.")],
    depth: Annotated[float, typer.Option(help="Factor of the number of blocks.")] = 1.0,
    width: Annotated[float, typer.Option(help="Factor of the channels.")] = 1.0,
    resolution: Annotated[float, typer.Option(help="Factor of the size of the image.")] = 1.0,
    macs: Annotated[
        int | None,
        Count(help="Scale up or down to this many multiply-adds, never above; with --measure the dearest budget."),
    ] = None,
    params: Annotated[int | None, Count(help="Scale to this many parameters, never above.")] = None,
    rule: Annotated[str | None, typer.Option(help=f"How a budget is split: {', '.join(RULES)}.")] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="Raise depth, width and resolution alone and together, in steps up to --macs, train every network on "
            "these images, and draw what each is worth: docs/curves.md.",
        ),
    ] = None,
    minutes: Annotated[float | None, Minutes(help="Time for everything, report included; 30 if not given.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help=f"Trainings of every network; {DEFAULT_SEEDS} if not given, more where time is left."),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the images; as many as the time allows, up to 20, if not given.")
    ] = None,
    recipe: Annotated[Path | None, RecipeFile()] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the split and every training.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the curves in --out.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train even what an earlier run has trained.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the scaled design to this file; with --measure the run folder, 'run'.")
    ] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Scale a design along depth, width and resolution, or up to a budget, or measure what each is worth."""
    own: dict[str, Any] = {"minutes": minutes, "seeds": seeds, "epochs": epochs, "recipe": recipe}
    switches = {"seed": seed, "resume": resume, "fresh": fresh}
    if measure is not None:
        _refuse({"params": params, "rule": rule}, "is not for --measure, which draws every axis against --macs")
        given = {key: value for key, value in own.items() if value is not None}
        factors = {"depth": depth, "width": width, "resolution": resolution}
        importlib.import_module(_MEASURE).measure(
            design, measure, macs=macs, out=out or Path("run"), json=json, **factors, **switches, **given
        )
        return
    _refuse(own | {key: value or None for key, value in switches.items()}, "goes with --measure IMAGES")
    scaling = scale(design, depth=depth, width=width, resolution=resolution, macs=macs, params=params, rule=rule)
    if out is not None:
        write_text(out, write_design(scaling.design))
    result = scaling.to_dict()
    if json:
        print_json(result)
        return
    if out is None:
        print_text(result["design"])
    before = result["before"]
    for name in ("macs", "params"):
        growth = result[name] / before[name]
        print_text(f"# {name:<6} {format_count(before[name])} -> {format_count(result[name])} (x {growth:.3f})")
    for name, factor in result["factors"].items():
        print_text(f"# {name:<10} x {factor:.3f}, {format_percent(result['shares'][name])} of the growth")


def _refuse(options: dict[str, Any], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name} {why}", received=str(value), where="scale")


command = make_command(_command, "scale")
