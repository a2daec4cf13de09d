"""``convsmith predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json, tell
from convsmith.cli.display import make_display
from convsmith.cli.page import print_table
from convsmith.jobs.predict import Prediction, predict
from convsmith.quantities import format_percent


def _command(
    run: Annotated[str, typer.Argument(help="The run folder of a train or fit that has ended.")],
    files: Annotated[list[str], typer.Argument(help="Picture files: JPEG, PNG, WEBP, BMP, GIF or TIFF.")],
    top: Annotated[int, typer.Option(help="Number of labels for each file.")] = 3,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Say what is on pictures: labels with probabilities."""
    with make_display() as display:
        found = predict(run, files, top=top, show=display.show)
    if json:
        print_json(found.to_dict())
    elif found.predictions:
        count = len(found.predictions[0].labels)
        header = ("file", *(f"label {number}" for number in range(1, count + 1)))
        print_table(header, [_row(one) for one in found.predictions], left=len(header))
    found.check()
    for path, reason in found.unreadable:
        tell(f"{path}: left out: {reason}")


def _row(one: Prediction) -> tuple[str, ...]:
    return one.path, *(f"{label} {format_percent(share)}" for label, share in one.labels)


command = make_command(_command, "predict")
