"""``convsmith inspect``: asks the job and writes the answer; the files ``inspect_*.py`` lay it out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from convsmith.analysis import nearest_sizes
from convsmith.cli import inspect_diff, inspect_options, inspect_table
from convsmith.cli.app import UsageError, json_text, make_command, tell
from convsmith.cli.inspect_columns import COLUMNS, SHOWN, TIME, View, pick
from convsmith.cli.inspect_options import Format, Wish
from convsmith.cli.inspect_which import find_which
from convsmith.cli.page import Block, Note, print_blocks, write_markdown, write_plain
from convsmith.deploy.roofline import latency_of
from convsmith.files import write_text
from convsmith.jobs.compare import Comparison, compare
from convsmith.jobs.inspect import Inspection, inspect
from convsmith.report.formulas import formulas
from convsmith.report.inspection import render_inspection

Result = dict[str, Any] | str | Sequence[Block]
"""Data for JSON, text as it is, or what is laid out for people."""


def _command(
    model: inspect_options.Model,
    other: inspect_options.Other = None,
    input: inspect_options.Input = None,
    layers: inspect_options.Layers = False,
    sort: inspect_options.Sort = None,
    columns: inspect_options.Columns = None,
    format: inspect_options.Written = Format.TABLE,
    json: inspect_options.AsJson = False,
    out: inspect_options.Out = None,
    convention: inspect_options.Counted = None,
    which: inspect_options.Which = None,
    latency: inspect_options.Latency = False,
    nearest: inspect_options.Nearest = False,
    allow_unknown: inspect_options.AllowUnknown = False,
    run: inspect_options.Run = False,
    max_macs: inspect_options.MaxMacs = None,
    max_params: inspect_options.MaxParams = None,
    max_memory: inspect_options.MaxMemory = None,
    max_unproductive: inspect_options.MaxUnproductive = None,
) -> None:
    """Show the exact table of a network, or of two side by side."""
    if json and format not in (Format.TABLE, Format.JSON):
        raise UsageError(f"--json is short for --format json, not {format.value}", where="inspect", remedy="choose one")
    written = Format.JSON if json else format
    wish = Wish(written, other is not None, layers, sort, columns, convention, which, latency, nearest)
    models = [inspect(one, input, allow_unknown=allow_unknown, run=run) for one in (model, other) if one is not None]
    result, answered = _answer(models, wish)
    _put(result, written, out)
    for one in models:
        one.check(max_macs=max_macs, max_params=max_params, max_memory=max_memory, max_unproductive=max_unproductive)
    if not answered:
        raise typer.Exit(1)


def _answer(models: Sequence[Inspection], wish: Wish) -> tuple[Result, bool]:
    """What was asked for, and whether there is such a thing."""
    if wish.two:
        return _two(compare(*models), wish), True
    if wish.which is None:
        return _one(models[0], wish), True
    found = find_which(models[0], wish.which)
    return found.to_dict() if wish.format is Format.JSON else [Note(tuple(found.lines()))], bool(found.found)


def _two(comparison: Comparison, wish: Wish) -> Result:
    if wish.format is Format.JSON:
        return comparison.to_dict(layers=wish.layers)
    if wish.format is Format.CSV:
        return inspect_diff.csv_text(comparison)
    return list(inspect_diff.diff(comparison, layers=wish.layers))


def _one(inspection: Inspection, wish: Wish) -> Result:
    view = View(inspection, latency_of(inspection.graph, threads=1) if wish.latency else None)
    sizes = nearest_sizes(inspection.graph) if wish.nearest else None
    if wish.format in (Format.JSON, Format.HTML):
        data = inspection.to_dict(latency=view.estimate, sizes=sizes, convention=wish.convention)
        if wish.format is Format.JSON:
            return data
        return render_inspection(data, formulas(inspection.graph, inspection.fields), inspection.waste, sizes)
    known = (*COLUMNS, TIME) if wish.latency else COLUMNS
    sort = None if wish.sort is None else pick(wish.sort, known, "--sort")[0]
    if wish.format is Format.CSV:
        return inspect_table.csv_text(view, pick(wish.columns, known, "--columns") if wish.columns else known, sort)
    default = f"{SHOWN},ms" if wish.latency else SHOWN
    columns = pick(wish.columns or default, known, "--columns")
    every = wish.layers or sort is not None or wish.format is Format.MARKDOWN
    table = inspect_table.layer_table(view, columns, sort) if every else inspect_table.section_table(view, columns)
    return [inspect_table.title(view), table, *inspect_table.about(view, wish.convention, sizes)]


def _put(result: Result, format: Format, out: Path | None) -> None:
    """Write a result where it is wanted; on standard output in ASCII if it is for programs."""
    if out is None and format is Format.TABLE and not isinstance(result, dict | str):
        print_blocks(result)
        return
    if isinstance(result, dict):
        text = json_text(result)
    elif isinstance(result, str):
        text = result
    else:
        text = write_markdown(result) if format is Format.MARKDOWN else write_plain(result)
    if out is not None:
        write_text(out, text)
        tell(f"wrote {out}")
    elif format is Format.HTML:
        sys.stdout.write(text.encode("ascii", "xmlcharrefreplace").decode())
    else:
        sys.stdout.write(text)


command = make_command(_command, "inspect")
