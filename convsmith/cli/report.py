"""``convsmith report``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json, print_text
from convsmith.jobs.recompute import recompute


def _command(
    run: Annotated[str, typer.Argument(help="The folder of a fit, a train or a scale --measure, done or under way.")],
    json: Annotated[bool, Json()] = False,
) -> None:
    """Make the report of a run again, every figure from its log alone; also while the run goes on."""
    found = recompute(run)
    if json:
        print_json(found.to_dict())
        return
    print_text(found.report["sentence"])
    if found.report.get("unfinished"):
        now = f"{found.process} works on it" if found.process else "no process works on it; --resume goes on with it"
        print_text(f"This is how the run stands now, and not its result: {now}.")
    print_text(f"The report: {found.folder / 'report.html'}")


command = make_command(_command, "report")
