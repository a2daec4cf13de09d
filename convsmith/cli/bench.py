"""``convsmith bench``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from convsmith.cli.app import Json, Seconds, Shape, make_command, print_json
from convsmith.cli.display import make_display
from convsmith.cli.page import Block, Note, Row, Table, print_blocks
from convsmith.deploy.runtimes import RUNTIMES
from convsmith.jobs.bench import SECONDS, Bench, bench
from convsmith.jobs.references import READABLE
from convsmith.quantities import format_count, format_seconds, format_shape

_HEADER = ("runtime", "typical", "median", "10 %", "90 %", "images/s", "multiply-adds/s", "differs by", "version")


def _command(
    model: Annotated[str, typer.Argument(help=f"{READABLE}.")],
    input: Annotated[tuple | None, Shape(help="Size of the image, in place of the model's own.")] = None,
    batch: Annotated[int, typer.Option(help="Images in a run.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads that each runtime may use.")] = 1,
    runtime: Annotated[
        list[str] | None, typer.Option(help=f"Time only this; may be repeated: {', '.join(RUNTIMES)}.")
    ] = None,
    seconds: Annotated[float, Seconds(help="How long to time each, at least.")] = f"{SECONDS:g}s",  # pyright: ignore[reportArgumentType]
    json: Annotated[bool, Json()] = False,
) -> None:
    """Time a network in each program that can run it here, side by side."""
    with make_display() as display:
        found = bench(model, input, batch=batch, threads=threads, runtimes=runtime, seconds=seconds, show=display.show)
    if json:
        print_json(found.to_dict())
    else:
        print_blocks(list(_blocks(found)))


def _blocks(found: Bench) -> Iterator[Block]:
    _, *size = found.graph.inputs[0][1].shape
    cpu = found.to_dict()["machine"]["cpu"]
    work = f"{format_count(found.macs)} multiply-adds a run of {found.batch}"
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    yield Note((f"{found.graph.name} on {format_shape(size)}, {work}; {cpu}, {threads}:",), style="title")
    yield Table(_HEADER, tuple(_row(found, name) for name in found.timed), (False, *(True,) * 7, False))
    made_up = "" if found.trained else " Weights are made up: times do not depend on them."
    yield Note(
        (
            "typical: mean of the fastest quarter, what a run takes that nothing disturbs. "
            f"differs by: from scores in float64, over the largest.{made_up}",
        ),
        style="soft",
    )
    said = [f"{name} cannot run it: {why}" for name, why in found.failed.items()]
    said += [f"{name} is not installed: pip install {RUNTIMES[name].package}" for name in found.missing]
    said += found.warnings
    if said:
        yield Note(tuple(said), style="warning")


def _row(found: Bench, name: str) -> Row:
    one = found.timed[name]
    times = (one.latency.typical_ms, one.latency.median_ms, one.latency.p10_ms, one.latency.p90_ms)
    cells = (
        name,
        *(format_seconds(time / 1e3) for time in times),
        format_count(found.images_per_second(name)),
        format_count(found.macs_per_second(name)),
        f"{one.difference:.1g}",
        one.latency.runtime.rpartition(" ")[2],
    )
    return Row(cells, style="total" if name == found.fastest else "")


command = make_command(_command, "bench")
