"""``convsmith probe``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli.app import Json, Seconds, make_command, one_line, print_json, print_text
from convsmith.cli.display import make_display
from convsmith.jobs.probe import Probe, probe
from convsmith.quantities import format_bytes, format_count, format_percent


def _command(
    threads: Annotated[int, typer.Option(help="Threads that networks will run with.")] = 1,
    seconds: Annotated[float, Seconds(help="About how long to measure.")] = "60s",  # pyright: ignore[reportArgumentType]
    json: Annotated[bool, Json()] = False,
) -> None:
    """Measure this machine, so that `inspect --latency` knows how long a network takes."""
    with make_display() as display:
        found = probe(threads=threads, seconds=seconds, show=display.show)
    if json:
        print_json(found.to_dict())
        return
    for line in _lines(found):
        print_text(one_line(line))


def _lines(found: Probe) -> list[str]:
    calibration, best = found.calibration, found.peaks
    low, high = calibration.spread
    peaks = f"matrix product {format_count(best.gemm_float32)} multiply-adds/s in float32"
    if best.gemm_bfloat16 is not None:
        peaks += f", {format_count(best.gemm_bfloat16)} in bfloat16"
    return [
        f"{found.machine['cpu']}, cores at hand: {found.machine['cores']}, {', '.join(found.instruction_sets)}",
        f"caches {', '.join(map(format_bytes, found.caches))}; memory {found.machine['memory_gib']} GiB, "
        f"copied at {format_bytes(best.copy_bandwidth)}/s",
        f"{peaks}, threads: {found.threads}",
        f"Times of networks in onnxruntime {calibration.machine.onnxruntime}: median error "
        f"{format_percent(calibration.error)} for networks held out ({len(calibration.ratios)} were timed); "
        f"nine of ten took {low:.2f} to {high:.2f} times the estimate.",
        f"Kept in {found.path}.",
    ]


command = make_command(_command, "probe")
