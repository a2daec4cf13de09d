"""``convsmith scale --measure``: what raising depth, width and resolution is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convsmith.cli.app import print_json, print_text
from convsmith.cli.clock import began
from convsmith.cli.display import make_display
from convsmith.jobs.curves import curves
from convsmith.quantities import format_seconds


def measure(design: str, images: str, *, out: Path, json: bool, **options: Any) -> None:
    """Measure, and print what was found."""
    with make_display() as display:
        found = curves(design, images, out=out, started=began(), tell=display.tell, show=display.show, **options)
    if json:
        print_json(found.to_dict())
        return
    print_text(found.report["sentence"])
    for curve in found.report["curves"].values():
        print_text(f"  {curve['sentence']}")
    print_text(f"Took {format_seconds(found.report['seconds']['total'])}. The report: {found.folder / 'report.html'}")
