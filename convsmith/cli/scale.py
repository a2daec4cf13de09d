"""``convsmith scale``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Count, Json, make_command, print_json, print_text
from convsmith.design import write_design
from convsmith.files import write_text
from convsmith.jobs.scale import scale
from convsmith.quantities import format_count, format_percent
from convsmith.scaling import RULES


def _command(
    design: Annotated[str, typer.Argument(help="file.toml, zoo:NAME or a run folder.")],
    depth: Annotated[float, typer.Option(help="Factor of the number of blocks.")] = 1.0,
    width: Annotated[float, typer.Option(help="Factor of the channels.")] = 1.0,
    resolution: Annotated[float, typer.Option(help="Factor of the size of the image.")] = 1.0,
    macs: Annotated[int | None, Count(help="Scale up or down to this many multiply-adds, never above.")] = None,
    params: Annotated[int | None, Count(help="Scale to this many parameters, never above.")] = None,
    rule: Annotated[str | None, typer.Option(help=f"How a budget is split: {', '.join(RULES)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scaled design to this file.")] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Scale a design along depth, width and resolution, or up to a budget."""
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


command = make_command(_command, "scale")
