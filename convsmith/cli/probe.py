"""``convsmith probe``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from convsmith.cli.app import Json, Seconds, make_command, print_json
from convsmith.cli.display import make_display
from convsmith.cli.page import Block, Note, Row, Table, print_blocks
from convsmith.jobs.probe import Probe, probe
from convsmith.jobs.training_setups import TrainingSetups
from convsmith.quantities import format_bytes, format_count, format_percent, format_shape
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Measurement

_HEADER = ("number type", "layout", "kernels", "threads", "at a time", "images/s", "of peak", "outcome")
_NUMBERS = (False, False, False, True, True, True, True, False)


def _command(
    design: Annotated[
        str | None,
        typer.Argument(help="Also race how this network trains fastest: file.toml, zoo:NAME or a run folder."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads that networks will run with.")] = 1,
    seconds: Annotated[float, Seconds(help="About how long to measure the machine.")] = "60s",  # pyright: ignore[reportArgumentType]
    batch: Annotated[int, typer.Option(help="Images per training step in the race.")] = Recipe().batch,
    race: Annotated[float, Seconds(help="About how long to race, after that.")] = "10s",  # pyright: ignore[reportArgumentType]
    json: Annotated[bool, Json()] = False,
) -> None:
    """Measure this machine: how long networks take on it, and how one trains fastest."""
    with make_display() as display:
        found = probe(design, threads=threads, seconds=seconds, batch=batch, race_seconds=race, show=display.show)
    if json:
        print_json(found.to_dict())
        return
    print_blocks([Note(tuple(_lines(found))), *(_training(found.training) if found.training is not None else ())])


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


def _training(setups: TrainingSetups) -> Iterator[Block]:
    """The table of the race and what it means."""
    design, card = setups.design, "" if setups.setup.device == "cpu" else ", on the card"
    work = f"{format_count(setups.macs)} multiply-adds an image, {setups.batch} images a step{card}"
    yield Note((f"Training {design.name} on {format_shape(design.input)}, {work}:",), style="title")
    yield Table(_HEADER, tuple(_row(setups, row) for row in setups.rows), _NUMBERS)
    peaks = ", ".join(f"{format_count(rate)} in {dtype}" for dtype, rate in sorted(setups.peaks.items()))
    yield Note(
        (
            setups.reason,
            f"Trainings of this network with batches of {setups.batch} begin with it from now on.",
            f"of peak: multiply-adds forward and backward, of those in large matrix products: {peaks} a second.",
        )
    )


def _row(setups: TrainingSetups, row: Measurement) -> Row:
    cells = (
        row.dtype,
        "NHWC" if row.channels_last else "NCHW",
        "own" if row.kernels else "torch",
        str(row.threads),
        str(row.micro_batch or setups.batch),
        format_count(setups.images_per_second(row)),
        format_percent(setups.share_of_peak(row)),
        setups.outcome(row),
    )
    return Row(cells, style="total" if row is setups.chosen else "")


command = make_command(_command, "probe")
