"""``convsmith data``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Images, Json, make_command, print_json, tell
from convsmith.cli.display import make_display
from convsmith.cli.page import Block, Note, Row, Table, make_table, print_blocks
from convsmith.errors import RunError
from convsmith.files import make_folder, write_text
from convsmith.jobs.check_data import DataCheck, check_data
from convsmith.jobs.finding import Finding, Picture
from convsmith.quantities import count_of, format_bytes, format_seconds, format_shape
from convsmith.report.dataset import render_dataset

_GROUPS = 5
_MEMBERS = 3
_CLASSES = 20


def _command(
    images: Annotated[str, Images()],
    out: Annotated[
        Path | None,
        typer.Option(help="Write a page with the pictures behind each finding to this file; it opens offline."),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Look for wrong labels, which takes the most time.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Decides the folds and the trial of the label check.")] = 0,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Check a data set before hours are spent on it: damage, copies, leaks, labels."""
    if out is not None:
        _check_place(out, images)
    with make_display() as display:
        found = check_data(images, labels=labels, seed=seed, show=display.show)
    if out is not None:
        write_text(out, render_dataset(found.to_dict(), found.picture))
        tell(f"wrote {out}")
    if json:
        print_json(found.to_dict())
    else:
        print_blocks(list(_blocks(found, out)))


def _check_place(out: Path, images: str) -> None:
    """Refuse a file that cannot be written, or lies among the images, before any work is done for it.

    Raises:
        RunError: If that is so.
    """
    source = Path(images)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise RunError("the page must not lie in the image folder", where=str(out), remedy="choose another --out")
    if out.is_dir():
        raise RunError("a file is wanted, not a folder", where=str(out), remedy="name it, as data.html")
    make_folder(out.resolve().parent)


def _blocks(found: DataCheck, out: Path | None) -> Iterator[Block]:
    yield Note((found.source,), style="title")
    yield Note(tuple(_about(found)))
    yield _classes(found)
    if found.findings:
        rows = tuple(Row((one.title, one.severity, f"{one.images:,}" if one.images else "")) for one in found.findings)
        yield Table(("found", "severity", "images"), rows, (False, False, True))
    for one in found.findings:
        yield Note(tuple(_lines(one)), heading=one.title)
    yield Note((found.labels_told,), heading="How sure the labels are")
    todo = [f"{number}. {action}" for number, action in enumerate(found.actions, start=1)]
    clean = "Nothing to repair was found."
    yield Note(tuple(todo or [clean]), heading="What to do")
    if out is None and any(one.groups for one in found.findings):
        yield Note(("The pictures: add --out data.html. Every file: add --json.",), style="soft")


def _about(found: DataCheck) -> Iterator[str]:
    files, balance = found.to_dict()["files"], found.balance
    splits = ", ".join(
        f"{split} {count:,}" for split, count in zip(balance.splits, balance.counts.sum(axis=0).tolist(), strict=True)
    )
    yield f"{count_of(found.count, 'image')} in {len(balance.classes):,} classes ({splits})"
    kinds = [f"{name} {count:,}" for part in ("formats", "modes") for name, count in files[part].items()]
    sizes = [format_shape((one["height"], one["width"])) + f" {one['images']:,}" for one in files["sizes"][:_MEMBERS]]
    more = files["distinct_sizes"] - len(sizes)
    yield f"{format_bytes(files['bytes'])}: {', '.join(kinds)}"
    yield f"sizes (height x width): {', '.join(sizes)}" + (f" and {more:,} more" if more else "")
    yield f"checked in {format_seconds(found.seconds)}"


def _classes(found: DataCheck) -> Table:
    """The classes, or the largest and the smallest where there are many."""
    balance = found.balance
    rows = [
        (name, f"{sum(counts):,}", *(f"{count:,}" for count in counts if len(counts) > 1))
        for name, counts in sorted(
            zip(balance.classes, balance.counts.tolist(), strict=True), key=lambda one: -sum(one[1])
        )
    ]
    header = ("class", "images", *(balance.splits if len(balance.splits) > 1 else ()))
    if len(rows) > _CLASSES:
        half = _CLASSES // 2
        left_out = (f"... {len(rows) - 2 * half:,} more", *("" for _ in header[1:]))
        rows = [*rows[:half], left_out, *rows[-half:]]
    return make_table(header, rows)


def _lines(finding: Finding) -> Iterator[str]:
    yield finding.summary
    for group in finding.groups[:_GROUPS]:
        named = [_named(one) for one in group[:_MEMBERS]]
        more = f" and {len(group) - _MEMBERS:,} more" if len(group) > _MEMBERS else ""
        yield f"  {' = '.join(named)}{more}"
    if len(finding.groups) > _GROUPS:
        yield f"  ... and {len(finding.groups) - _GROUPS:,} more"


def _named(picture: Picture) -> str:
    return f"{picture.path} ({picture.remark})" if picture.remark else picture.path


command = make_command(_command, "data")
