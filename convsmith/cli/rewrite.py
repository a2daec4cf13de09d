"""``convsmith rewrite``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convsmith.cli.app import Json, Shape, UsageError, make_command, print_json, tell
from convsmith.cli.page import Block, Note, make_table, print_blocks
from convsmith.jobs.inspect import Inspection
from convsmith.jobs.rewrite import Rewriting, rewrite
from convsmith.quantities import format_bytes, format_percent
from convsmith.report.words import field_text
from convsmith.rewrites import RULES

if TYPE_CHECKING:
    from convsmith.jobs.score_map import ScoreMap

_SHOWN = 6


def _command(
    model: Annotated[
        str | None, typer.Argument(help="file.toml, zoo:NAME, a run folder, file.onnx, timm:NAME, module:factory.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="What to do; --list shows the rules.")] = None,
    list_rules: Annotated[bool, typer.Option("--list", help="Show the rules and what each of them keeps.")] = False,
    input: Annotated[tuple | None, Shape(help="Read the model for images of this size.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write file.onnx with the weights, file.toml, or of a run a new folder."),
    ] = None,
    larger: Annotated[
        tuple | None, Shape(help="Size of image that --out FILE.onnx takes, in place of the network's own.")
    ] = None,
    photo: Annotated[
        Path | None, typer.Option(help="Show the scores of full-convolution on this picture; needs --picture.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw them: file.png.")] = None,
    label: Annotated[str | None, typer.Option(help="The class to show; by default the likeliest of all.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="What pixels of 0 to 255 have subtracted: 127, or 124,117,104.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="What they are then divided by; a run knows its own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Say a network otherwise by a rule, and prove what that keeps."""
    if list_rules:
        _print_rules(json=json)
        return
    if model is None or rule is None:
        missing = "a model" if model is None else "--rule"
        raise UsageError(f"{missing} is missing", where="rewrite", remedy="`convsmith rewrite --list` shows the rules")
    if larger is not None and out is None and photo is None:
        raise UsageError("--larger needs --out FILE.onnx or --photo", where="rewrite", remedy="name the file")
    if (photo is None) != (picture is None):
        raise UsageError("--photo and --picture need each other", where="rewrite", remedy="give both")
    done = rewrite(model, rule, input=_size(input), seed=seed)
    if out is not None:
        done.write(out, input=_size(larger))
        random = done.source.weights is None and out.suffix.lower() == ".onnx"
        tell(f"wrote {out}" + (", with random weights: the model has none" if random else ""))
    seen = None
    if photo is not None and picture is not None:
        drawing = importlib.import_module("convsmith.jobs.score_map")  # which most rewrites never need
        size = None if larger is None else (larger[1], larger[2])
        levels = {"mean": _levels(mean, "mean"), "std": _levels(std, "std")}
        seen = drawing.score_map(done, photo, size=size, label=label, **levels)
        seen.write(picture)
        tell(f"wrote {picture}")
    if json:
        print_json(done.to_dict() if seen is None else done.to_dict() | {"score_map": seen.to_dict()})
    else:
        print_blocks([*_page(done), *([] if seen is None else [_seen(seen)])])


def _levels(text: str | None, name: str) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        remedy = "write 127, or 124,117,104"
        raise UsageError(f"--{name} must be numbers", received=text, where="rewrite", remedy=remedy) from error


def _seen(seen: ScoreMap) -> Note:
    (rows, columns), (high, wide) = seen.probabilities.shape[1:], seen.pixels.shape[:2]
    shares = seen.probabilities[seen.label]
    line = (
        f"{rows} x {columns} places of {wide} x {high} pixels; {seen.classes[seen.label]} is likeliest in row "
        f"{seen.best[0] + 1}, column {seen.best[1] + 1}: {format_percent(float(shares.max()))}"
    )
    return Note((line,), heading="scores")


def _size(shape: tuple | None) -> tuple[int, int, int] | None:
    return None if shape is None else (shape[0], shape[1], shape[2])


def _print_rules(*, json: bool) -> None:
    if json:
        keys = ("name", "keeps", "summary", "applies", "source")
        print_json({"rules": [{key: getattr(rule, key) for key in keys} for rule in RULES]})
        return
    rows = [(rule.name, rule.keeps, rule.summary) for rule in RULES]
    print_blocks([make_table(("rule", "keeps", "what it does"), rows, left=3)])


def _page(done: Rewriting) -> Iterator[Block]:
    result = done.result
    yield Note((f"{done.source.graph.name}, {done.rule.name}: {done.rule.summary}",), style="title")
    yield Note((_named(result.changed),), heading="rewritten")
    if result.left:
        yield Note(tuple(f"{name}: {why}" for name, why in [*result.left.items()][:_SHOWN]), heading="left as they are")
    yield make_table(("", "before", "after"), [*_rows(done.before, done.after)])
    yield Note((_kept(done),), heading="keeps")
    said = "can be said by a design" if done.design is not None else "is no longer a design: write it as file.onnx"
    if done.source.design is not None:
        yield Note((f"the network {said}",), style="soft")
    if done.source.warnings:
        yield Note(done.source.warnings, style="warning")


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _rows(before: Inspection, after: Inspection) -> Iterator[tuple[str, str, str]]:
    for title, name in (("params", "params"), ("macs", "macs"), ("activations", "activations")):
        yield title, f"{before.totals[name]:,}", f"{after.totals[name]:,}"
    peak = "peak_activation_bytes"
    yield "peak memory", format_bytes(before.totals[peak]), format_bytes(after.totals[peak])
    yield "sees", _sees(before), _sees(after)


def _sees(inspection: Inspection) -> str:
    field = inspection.last_field
    return "" if field is None else field_text(field.size, field.whole)


def _kept(done: Rewriting) -> str:
    if done.proof is not None:
        weights = ", with random weights" if done.proof.drawn else ""
        return (
            f"the numbers: {done.proof.outputs:,} outputs on random input in float64{weights} differ by "
            f"{done.proof.largest:.2g} at most, {done.proof.relative:.2g} of the largest"
        )
    layers = "1 layer has" if done.fresh == 1 else f"{done.fresh} layers have"
    trained = f"; {layers} new weights" if done.fresh and done.source.weights is not None else ""
    return f"only the shapes: the network must be trained again{trained}"


command = make_command(_command, "rewrite")
