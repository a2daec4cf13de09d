"""``convsmith evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli.app import Images, Json, make_command, one_line, print_json, print_text
from convsmith.cli.display import make_display
from convsmith.cli.page import print_table
from convsmith.jobs.evaluate import Evaluation, evaluate
from convsmith.quantities import format_percent
from convsmith.training.metrics import recalls

_MISTAKES = 5


def _command(
    run: Annotated[str, typer.Argument(help="The run folder of a train or fit that has ended.")],
    images: Annotated[str, Images()],
    json: Annotated[bool, Json()] = False,
) -> None:
    """Judge a trained network on labelled images: accuracy, confusion, calibration."""
    with make_display() as display:
        found = evaluate(run, images, show=display.show)
    if json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: Evaluation) -> None:
    low, high = (format_percent(end, 2) for end in found.interval)
    print_text(f"accuracy           {format_percent(found.accuracy, 2)} (95 % interval {low} to {high})")
    print_text(f"judged on          {found.images:,} images: {found.judged_on}")
    print_text(f"log loss           {found.log_loss:.4f} nats")
    print_text(f"calibration error  {format_percent(found.calibration.error, 2)}")
    print_text("")
    rows = zip(found.classes, found.confusion.sum(axis=1).tolist(), recalls(found.confusion).tolist(), strict=True)
    table = [(name, f"{count:,}", format_percent(recall) if count else "") for name, count, recall in rows]
    print_table(("class", "images", "right"), table)
    mistakes = _mistakes(found)
    if mistakes:
        print_text("")
        print_table(("is", "taken for", "times"), mistakes, left=2)
    if found.rejected:
        print_text("")
        print_table(("left out", "reason"), found.rejected, left=2)
    for note in found.notes:
        print_text(f"note: {one_line(note)}")


def _mistakes(found: Evaluation) -> list[tuple[str, str, str]]:
    """The most frequent confusions."""
    names = found.classes
    pairs = [
        (int(count), names[row], names[column])
        for row, counts in enumerate(found.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return [(true, taken, f"{count:,}") for count, true, taken in sorted(pairs, key=lambda pair: -pair[0])[:_MISTAKES]]


command = make_command(_command, "evaluate")
